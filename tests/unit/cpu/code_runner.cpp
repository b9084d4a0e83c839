#include "code_runner.hpp"

#include <cstring>

#include "emu/base/archive.hpp"
#include "emu/base/assert.hpp"
#include "tests/eager_translator.hpp"

namespace forkscope::test {

CodeRunner::CodeRunner(Way way, CpuModel model, CostModelKind clock, BusWidth bus, u64 memory)
    : memory_(memory), log_port_(log), mmu(memory_, bus_, tracer_), cpu(mmu, bus_, tracer_) {
    bus_.map_ports(kLogPort, 4, log_port_, 4);
    cpu.set_model(model, clock, bus);
    if (const EngineFactory translator = eager_translator(); way.engine == EngineKind::Translator && translator)
        cpu.set_engine(translator);
    else
        cpu.set_engine(way.engine);
    mmu.set_fast_table(way.fast_table);
    mmu.set_a20(true);
}

u32 CodeRunner::put(u32 address, const std::vector<int>& bytes) {
    std::vector<u8> raw(bytes.begin(), bytes.end());
    memory_.write(PhysicalAddress(address), raw);
    return address + static_cast<u32>(raw.size());
}

void CodeRunner::put32(u32 address, u32 value) {
    u8 bytes[4];
    std::memcpy(bytes, &value, 4);
    memory_.write(PhysicalAddress(address), bytes);
}

void CodeRunner::put16(u32 address, u16 value) {
    u8 bytes[2];
    std::memcpy(bytes, &value, 2);
    memory_.write(PhysicalAddress(address), bytes);
}

u32 CodeRunner::get32(u32 address) const {
    u32 value;
    std::memcpy(&value, memory_.host(PhysicalAddress(address)), 4);
    return value;
}

u16 CodeRunner::get16(u32 address) const { return static_cast<u16>(get32(address)); }

void CodeRunner::descriptor(u16 selector, const SegmentFields& descriptor) {
    const u64 bytes = Descriptor::of(descriptor).bits;
    const u32 at = ((selector & 4) != 0 ? kLdtAt : kGdt) + (selector & 0xFFF8u);
    put32(at, static_cast<u32>(bytes));
    put32(at + 4, static_cast<u32>(bytes >> 32));
}

void CodeRunner::descriptor(u16 selector, u32 base, u32 limit, u8 access, bool big, bool granular) {
    SegmentFields d;
    d.base = base;
    d.limit = limit;
    d.access = access;
    d.big = big;
    d.granular = granular;
    descriptor(selector, d);
}

void CodeRunner::gate(u8 vector, u16 selector, u32 offset, u8 access) {
    put32(kIdt + vector * 8u, u32{selector} << 16 | (offset & 0xFFFF));
    put32(kIdt + vector * 8u + 4, (offset & 0xFFFF0000) | u32{access} << 8);
}

void CodeRunner::enter_real_mode() {
    for (u32 vector = 0; vector < 64; ++vector) {
        std::vector<int> bytes = log_bytes(static_cast<u8>(vector));
        bytes.push_back(0xF4);
        handler(static_cast<u8>(vector), bytes);
        put16(vector * 4, static_cast<u16>(handler_at(static_cast<u8>(vector))));
        put16(vector * 4 + 2, 0);
    }
    CpuState& state = edit();
    for (SegmentCache& segment : state.segments)
        segment = SegmentCache::at_reset(0, 0);
    state.segments[kCs] = SegmentCache::at_reset(0x1000, kStart);
    state.eip = 0;
    state.set_reg<u32>(kEsp, kStack);
    apply();
}

void CodeRunner::enter_protected_mode(u8 cpl) {
    descriptor(kCode, 0, 0xFFFFF, 0x9B, true, true);
    descriptor(kData, 0, 0xFFFFF, 0x93, true, true);
    descriptor(kUserCode, 0, 0xFFFFF, 0xFB, true, true);
    descriptor(kUserData, 0, 0xFFFFF, 0xF3, true, true);
    descriptor(kTss, kTssAt, 0x1FF, 0x8B);
    descriptor(kCode16, 0, 0xFFFF, 0x9B, false);
    descriptor(kLdt, kLdtAt, 0xFF, 0x82);
    descriptor(kTss2, kTss2At, 0x67, 0x89);
    descriptor(kTss3, kTss3At, 0x67, 0x89);
    put32(kTssAt + 4, kStack);
    put32(kTssAt + 8, kData);
    put16(kTssAt + 0x66, 0x88); // I/O bitmap behind 32 bytes of redirection bitmap; ports 0..0x7FF are allowed
    put(kTssAt + 0x1FF, {0xFF});
    for (u32 number = 0; number < 64; ++number) {
        const u8 vector = static_cast<u8>(number);
        std::vector<int> bytes = log_bytes(vector);
        bytes.push_back(0xF4);
        handler(vector, bytes);
        gate(vector, kCode, handler_at(vector), 0xEE);
    }
    CpuState& state = edit();
    const auto load = [this](u16 selector) {
        const u32 at = kGdt + (selector & 0xFFF8u);
        return SegmentCache::from(selector, {u64{get32(at + 4)} << 32 | get32(at), {}});
    };
    for (const u8 segment : {kEs, kSs, kDs, kFs, kGs})
        state.segments[segment] = load(cpl == 3 ? kUserData : kData);
    state.segments[kCs] = load(cpl == 3 ? kUserCode : kCode);
    state.tr = load(kTss);
    state.ldtr = load(kLdt);
    state.gdtr = {kGdt, 0xFF};
    state.idtr = {kIdt, 64 * 8 - 1};
    state.cr0 |= kCr0Pe;
    state.cpl = cpl;
    state.eip = kStart;
    state.set_reg<u32>(kEsp, cpl == 3 ? kUserStack : kStack);
    apply();
}

void CodeRunner::enter_virtual_8086(u32 flags) {
    enter_protected_mode(0);
    CpuState& state = edit();
    for (SegmentCache& segment : state.segments)
        segment.load_virtual_8086(0);
    state.segments[kCs].load_virtual_8086(0x1000);
    state.cpl = 3;
    state.eip = 0;
    state.set_reg<u32>(kEsp, kUserStack);
    state.set_eflags(flags | kFlagVm);
    apply();
}

void CodeRunner::enable_paging() {
    constexpr u32 kDirectory = 0x100000, kTable = 0x101000;
    put32(kDirectory, kTable | kPtePresent | kPteWritable | kPteUser);
    for (u32 page = 0; page < 1024; ++page)
        put32(kTable + page * 4, page << 12 | kPtePresent | kPteWritable | kPteUser);
    CpuState& state = edit();
    state.cr3 = kDirectory;
    state.cr0 |= kCr0Pg;
    apply();
}

CpuStop CodeRunner::run(u64 most) { return cpu.run_until(kNever, cpu.instructions() + most); }

u64 CodeRunner::hash() {
    HashArchive archive;
    archive.nested("cpu", cpu);
    archive.nested("memory", memory_);
    archive.nested("mmu", mmu);
    return archive.digest();
}

void CodeRunner::reload() {
    SaveArchive saved;
    saved.nested("cpu", cpu);
    saved.nested("memory", memory_);
    saved.nested("mmu", mmu);
    const std::vector<u8> bytes = saved.take();
    LoadArchive loaded(bytes);
    loaded.nested("cpu", cpu);
    loaded.nested("memory", memory_);
    loaded.nested("mmu", mmu);
    EMU_ASSERT(loaded.finish().ok(), "a processor cannot load what it saved");
}

} // namespace forkscope::test
