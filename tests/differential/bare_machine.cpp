#include "bare_machine.hpp"

#include <algorithm>

namespace forkscope::test {

namespace {

constexpr u16 kStopPort = 0xF0;
constexpr u32 kLastVector = 31;
constexpr u64 kMostInstructions = 100'000;

bool has_error_code(u32 vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

u64 descriptor_of(const LdtSegment& in) {
    SegmentFields out;
    out.base = in.base;
    out.limit = in.limit;
    const u8 type = static_cast<u8>(in.contents << 2 | (in.read_only ? 0 : 2) | 1);
    out.access = static_cast<u8>(type | kAccessNotSystem | kAccessDpl | (in.present ? u8{kAccessPresent} : 0));
    out.big = in.big;
    out.granular = in.granular;
    return Descriptor::of(out).bits;
}

void take_floats(const FloatRegisters& floats, CpuState& state) {
    X87State& x87 = state.x87;
    x87.set_control_word(floats.control);
    x87.set_status_word(floats.status);
    x87.occupied = floats.occupied;
    for (u32 i = 0; i < 8; ++i) {
        x87.registers[x87.physical(i)] = {floats.stack[i].significand, floats.stack[i].sign_exponent};
        state.xmm[i] = {floats.xmm[i][0], floats.xmm[i][1]};
    }
    state.mxcsr = floats.mxcsr;
}

FloatRegisters floats_of(const CpuState& state) {
    const X87State& x87 = state.x87;
    FloatRegisters floats;
    floats.control = x87.control;
    floats.status = x87.status_word();
    floats.occupied = x87.occupied;
    for (u32 i = 0; i < 8; ++i) {
        floats.stack[i].significand = x87.st(i).significand;
        floats.stack[i].sign_exponent = x87.st(i).sign_exponent;
        floats.xmm[i][0] = state.xmm[i].low;
        floats.xmm[i][1] = state.xmm[i].high;
    }
    floats.mxcsr = state.mxcsr;
    return floats;
}

} // namespace

BareMachine::BareMachine(EngineKind engine, const SharedMemory& shared)
    : shared_(shared), memory_(u64{2} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_),
      stop_port_(cpu_) {
    bus_.map_ports(kStopPort, 1, stop_port_);
    cpu_.set_engine(engine);
    map(kCodeAddress, kCodeFrame, kCodeBytes, 0, kPteUser);
    map(kDataAddress, kDataFrame, kDataBytes, 1, kPteUser | kPteWritable);
    map(kReadOnlyAddress, kDataFrame + kDataBytes, kReadOnlyBytes, 1, kPteUser);
    map(kOurAddress, kOurs, kOurBytes, 2, kPteWritable);
    memory_.write(PhysicalAddress(kDataFrame + kDataBytes), {shared.read_only, kReadOnlyBytes});
    build_tables();
    build_handlers();

    fresh_ = cpu_.state();
    fresh_.cr0 = kCr0Pe | kCr0Mp | kCr0Et | kCr0Ne | kCr0Wp | kCr0Am | kCr0Pg;
    fresh_.cr3 = kDirectory;
    fresh_.cr4 = kCr4OsFxsr | kCr4OsXmmExcpt;
    fresh_.cpl = 3;
    fresh_.gdtr = {kOurAddress + kGdt, 127};
    fresh_.idtr = {kOurAddress + kIdt, (kLastVector + 1) * 8 - 1};
    fresh_.tr = segment(kTssSelector);
    // A host that could not fill its LDT has none.
    fresh_.ldtr = shared.has_ldt != 0 ? segment(kLdtSelector) : SegmentCache::null(0);
}

void BareMachine::write32(u32 physical, u32 value) {
    u8 bytes[4];
    std::memcpy(bytes, &value, 4);
    memory_.write(PhysicalAddress(physical), bytes);
}

void BareMachine::write64(u32 physical, u64 value) {
    write32(physical, static_cast<u32>(value));
    write32(physical + 4, static_cast<u32>(value >> 32));
}

void BareMachine::map(u32 linear, u32 physical, u32 bytes, u32 table, u32 rights) {
    const u32 table_at = kTables + table * kPageSize;
    write32(kDirectory + (linear >> 22) * 4, table_at | kPtePresent | kPteWritable | kPteUser);
    for (u32 at = 0; at < bytes; at += kPageSize)
        write32(table_at + ((linear + at) >> 12 & 1023) * 4, (physical + at) | kPtePresent | rights);
}

// The GDT as Linux has it for 64-bit kernels, as far as CPL 3 can see it.
void BareMachine::build_tables() {
    const u32 gdt = kOurs + kGdt;
    write64(gdt + kOurCode, 0x00CF9B000000FFFF);
    write64(gdt + 0x10, 0x00AF9B000000FFFF);
    write64(gdt + kOurData, 0x00CF93000000FFFF);
    write64(gdt + 0x20, 0x00CFFB000000FFFF); // kFlatCode
    write64(gdt + 0x28, 0x00CFF3000000FFFF); // kFlatData
    write64(gdt + 0x30, 0x00AFFB000000FFFF); // 64-bit code
    write64(gdt + 0x78, 0x0040F50000000000); // the number of the CPU, as a limit: 0
    SegmentFields tss;
    tss.base = kOurAddress + kTss;
    tss.limit = 103;
    tss.access = kAccessPresent | static_cast<u8>(SystemType::Tss32Busy);
    write64(gdt + kTssSelector, Descriptor::of(tss).bits);
    SegmentFields ldt;
    ldt.base = kOurAddress + kLdt;
    ldt.limit = kLdtEntries * 8 - 1;
    ldt.access = kAccessPresent | static_cast<u8>(SystemType::Ldt);
    write64(gdt + kLdtSelector, Descriptor::of(ldt).bits);
    for (u32 entry = 0; entry < kLdtEntries; ++entry)
        write64(kOurs + kLdt + entry * 8, descriptor_of(kLdtSegments[entry]));
    write32(kOurs + kTss + 4, kOurAddress + kOurBytes); // ESP0
    write32(kOurs + kTss + 8, kOurData);
    write32(kOurs + kTss + 100, 104 << 16); // no port is allowed
}

// A handler per vector: OUT to a port that stops the run.
void BareMachine::build_handlers() {
    for (u32 vector = 0; vector <= kLastVector; ++vector) {
        const u32 handler = kHandlers + vector * 2;
        const u8 code[2] = {0xE6, kStopPort};
        memory_.write(PhysicalAddress(kOurs + handler), code);
        const u32 address = kOurAddress + handler;
        const u32 rights = vector == kBreakpoint || vector == kOverflow ? 0xEE00 : 0x8E00;
        write64(kOurs + kIdt + vector * 8,
                u64{(address & 0xFFFF0000) | rights} << 32 | (u64{kOurCode} << 16 | (address & 0xFFFF)));
    }
}

SegmentCache BareMachine::segment(u16 selector) const {
    if ((selector & ~3u) == 0)
        return SegmentCache::null(selector);
    const u32 table = (selector & 4) != 0 ? kLdt : kGdt;
    u64 bytes;
    std::memcpy(&bytes, memory_.host(PhysicalAddress(kOurs + table + (selector & ~7u))), 8);
    return SegmentCache::from(selector, {bytes, {}});
}

void BareMachine::load(const TestCase& test) {
    mmu_.poke_physical(PhysicalAddress(kCodeFrame + dirty_from_), std::vector<u8>(dirty_size_, kCodeFiller));
    dirty_from_ = test.code_offset;
    dirty_size_ = 0;
    write_code(test.code_offset, test.code, test.code_size);
    std::memcpy(memory_.host(PhysicalAddress(kDataFrame)), shared_.images[test.image], kDataBytes);

    CpuState state = fresh_;
    for (u8 i = 0; i < 8; ++i)
        state.gpr[i] = test.start.gpr[i];
    state.eip = test.start.eip;
    state.set_eflags(test.start.eflags);
    take_floats(test.start.floats, state);
    const Registers& start = test.start;
    const u16 selectors[kSegmentCount] = {start.es, start.cs, start.ss, start.ds, start.fs, start.gs};
    for (const u8 number : {kEs, kCs, kSs, kDs, kFs, kGs})
        state.segments[number] = segment(selectors[number]);
    cpu_.set_state(state);
}

void BareMachine::write_code(u32 offset, const u8* bytes, u32 size) {
    const u32 fitting = std::min(size, kCodeBytes - offset);
    mmu_.poke_physical(PhysicalAddress(kCodeFrame + offset), {bytes, fitting});
    dirty_size_ = std::max(dirty_size_, offset + fitting - dirty_from_);
}

void BareMachine::write_data(const u8 (&data)[kDataBytes]) {
    std::memcpy(memory_.host(PhysicalAddress(kDataFrame)), data, kDataBytes);
}

bool BareMachine::run(Outcome& outcome, u64 pause_after) {
    const u64 start = cpu_.instructions();
    CpuStop reason = cpu_.run_until(kNever, start + pause_after);
    if (reason == CpuStop::Instructions)
        reason = cpu_.run_until(kNever, start + kMostInstructions);
    if (reason != CpuStop::Requested)
        return false;
    collect(outcome);
    return true;
}

bool BareMachine::step(Outcome& outcome) {
    CpuStop reason = cpu_.run_until(kNever, cpu_.instructions() + 1);
    if (cpu_.state().cpl == 3)
        return true;
    // The handler may have run already, or not yet.
    for (int i = 0; i < 4 && reason != CpuStop::Requested; ++i)
        reason = cpu_.run_until(kNever, cpu_.instructions() + 1);
    collect(outcome);
    return false;
}

u64 BareMachine::state_hash() {
    HashArchive archive;
    cpu_.serialize(archive);
    mmu_.serialize(archive);
    return archive.digest();
}

u64 BareMachine::memory_hash() {
    HashArchive archive;
    archive.raw("tables", memory_.host(PhysicalAddress(0)), kOurs + kOurBytes);
    archive.raw("world", memory_.host(PhysicalAddress(kCodeFrame)), kCodeBytes + kDataBytes + kReadOnlyBytes);
    return archive.digest();
}

// Reads the frame that delivery pushed.
void BareMachine::collect(Outcome& outcome) const {
    const CpuState& state = cpu_.state();
    outcome.vector = (state.eip - 2 - (kOurAddress + kHandlers)) / 2;
    u32 frame[6] = {};
    const u32 top = has_error_code(outcome.vector) ? 0 : 1;
    std::memcpy(frame + top, memory_.host(PhysicalAddress(kOurs + state.esp() - kOurAddress)), (6 - top) * 4);
    for (u8 i = 0; i < 8; ++i)
        outcome.end.gpr[i] = static_cast<u32>(state.gpr[i]);
    outcome.error = frame[0];
    outcome.end.eip = frame[1];
    outcome.end.cs = static_cast<u16>(frame[2]);
    outcome.end.eflags = frame[3];
    outcome.end.gpr[kEsp] = frame[4];
    outcome.end.ss = static_cast<u16>(frame[5]);
    outcome.end.ds = state.segments[kDs].selector;
    outcome.end.es = state.segments[kEs].selector;
    outcome.end.fs = state.segments[kFs].selector;
    outcome.end.gs = state.segments[kGs].selector;
    outcome.end.floats = floats_of(state);
    outcome.cr2 = outcome.vector == kPageFault ? state.cr2 : 0;
    std::memcpy(outcome.data, data(), kDataBytes);
}

} // namespace forkscope::test
