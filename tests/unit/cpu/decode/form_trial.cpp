#include "form_trial.hpp"

#include <cstring>

#include "cpu/decode/decoder.hpp"
#include "form_encoder.hpp"

namespace forkscope::test {

namespace {

constexpr std::string_view kFlagLetters = "odiszapc";
constexpr u8 kFlagPositions[] = {11, 10, 9, 7, 6, 4, 2, 0};

// What is kept of memory: tables and handlers, the stack's page, the data page.
struct Region {
    u32 start, size;
};
constexpr Region kRegions[] = {{0, 0x4000}, {FormTrial::kStackPage, 0x1000}, {FormTrial::kDataPage, 0x1000}};
constexpr u32 kStackTop = FormTrial::kStackPage + 0x800;
constexpr u16 kOtherData = CodeRunner::kFree, kOtherCode = 0x60;
constexpr u32 kTarget = 0xF000;   // of transfers; no handler is near
constexpr u32 kFreeFlags = 0xED5; // but TF, and what only the system uses

bool is_handler(u32 eip) { return eip >= CodeRunner::kHandlers && eip < CodeRunner::handler_at(64); }

u64 digest_of(CpuState state) {
    HashArchive archive;
    archive.nested("state", state);
    return archive.digest();
}

} // namespace

std::string name_of(TrialPlace place) {
    constexpr std::string_view kNames[] = {"general register ", "segment register ", "mm", "xmm", "flag "};
    if (place.kind == PlaceKind::Operand)
        return "memory operand";
    if (place.kind == PlaceKind::Implied)
        return "implied memory";
    const std::string number =
        place.kind == PlaceKind::Flag ? std::string(1, kFlagLetters[place.number]) : std::to_string(place.number);
    return std::string(kNames[static_cast<u8>(place.kind)]) + number;
}

std::vector<TrialPlace> every_place() {
    std::vector<TrialPlace> all = {{PlaceKind::Operand, 0}, {PlaceKind::Implied, 0}};
    for (const PlaceKind kind : {PlaceKind::General, PlaceKind::Mm, PlaceKind::Xmm, PlaceKind::Flag}) {
        for (u8 number = 0; number < 8; ++number)
            all.push_back({kind, number});
    }
    for (u8 number = 0; number < kSegmentCount; ++number)
        all.push_back({PlaceKind::Segment, number});
    return all;
}

FormTrial::FormTrial(u64 seed, CpuModel model) : random_(seed), runner_({EngineKind::Interpreter, true}, model) {
    runner_.enter_protected_mode(0);
    runner_.descriptor(kOtherData, 0, 0xFFFFF, 0x93, true, true);
    runner_.descriptor(kOtherCode, 0, 0xFFFFF, 0x9B, true, true);
    for (u32 vector = 0; vector < 64; ++vector)
        runner_.gate(static_cast<u8>(vector), kOtherCode, CodeRunner::handler_at(static_cast<u8>(vector)), 0xEE);
    base_ = runner_.cpu.state();
    base_.cr4 = runner_.cpu.model().cr4 & (kCr4OsFxsr | kCr4OsXmmExcpt | kCr4Pce);
    base_.set_reg<u32>(kEsp, kStackTop);
    base_.sysenter = {kOtherCode, kStackTop + 0x100, kTarget};
    base_.x87.initialise();
    for (const Region& region : kRegions) {
        const u8* const from = runner_.memory().host(PhysicalAddress(region.start));
        base_memory_.insert(base_memory_.end(), from, from + region.size);
    }
}

u8* FormTrial::at(Memory& memory, u32 address) const {
    u32 before = 0;
    for (const Region& region : kRegions) {
        if (address - region.start < region.size)
            return memory.data() + before + (address - region.start);
        before += region.size;
    }
    return nullptr;
}

u32 FormTrial::random_value() {
    constexpr u32 kCorners[] = {0, 1, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    switch (random_.below(3)) {
    case 0:
        return static_cast<u32>(random_.below(40));
    case 1:
        return kCorners[random_.below(std::size(kCorners))];
    default:
        return static_cast<u32>(random_.next());
    }
}

void FormTrial::fill(u8* bytes, u32 size) {
    for (u32 i = 0; i < size; i += 4) {
        const u32 value = random_value();
        std::memcpy(bytes + i, &value, std::min(4u, size - i));
    }
}

bool FormTrial::draw(u16 form, bool memory, u8 operand_size) {
    const MemoryOperand operand{kNoRegister, kNoRegister, 0, kOperandAt};
    const std::vector<AddressBytes> addresses = encode_address(operand, 4);
    const Form& row = form_at(form);
    Choice choice;
    choice.mode = {true};
    choice.operand_size = operand_size;
    do {
        choice.reg = static_cast<u8>(random_.below(8));
    } while (!is_valid_reg(row, choice.reg));
    choice.rm = static_cast<u8>(random_.below(8));
    choice.memory = memory ? &operand : nullptr;
    choice.address = &addresses[random_.below(addresses.size())];
    choice.immediate = random_value();
    choice.immediate2 = static_cast<u16>(random_.below(4));
    for (const Operand kind : row.operands) {
        if (kind_of(kind).place == Place::Offset)
            choice.immediate = kOperandAt;
        if (kind_of(kind).place == Place::FarPointer) {
            choice.immediate = kTarget;
            choice.immediate2 = kOtherCode;
        }
    }
    if (row.transfer == Transfer::Interrupt)
        choice.immediate = static_cast<u32>(random_.below(64));
    if (row.port != Port::None)
        choice.immediate = CodeRunner::kLogPort;
    bytes_ = encode(form, choice).bytes;
    if (decode(bytes_, {true}, in_) != DecodeStatus::Ok || in_.form != form || in_.has_memory() != memory)
        return false;
    runner_.put(CodeRunner::kStart, {bytes_.begin(), bytes_.end()});
    start_ = base_;
    start_memory_ = base_memory_;
    draw_registers();
    draw_memory();
    suit();
    return true;
}

void FormTrial::draw_registers() {
    for (u8 number = 0; number < 8; ++number) {
        if (number != kEsp)
            start_.set_reg<u32>(number, random_value());
        fill(reinterpret_cast<u8*>(&start_.xmm[number]), 16);
        start_.x87.registers[number] =
            Float80{random_.next() | u64{1} << 63, static_cast<u16>(0x3FFF + random_.below(16))};
    }
    start_.x87.occupied = random_.chance(2) ? 0xFF : 0;
    start_.set_eflags(static_cast<u32>(random_.next()) & kFreeFlags);
}

void FormTrial::draw_memory() {
    fill(at(start_memory_, kStackPage), 0x1000);
    fill(at(start_memory_, kDataPage), 0x1000);
}

// What makes an instruction run where random values would mostly fault, or reach beyond the pages kept.
void FormTrial::suit() {
    const Form& form = form_at(in_.form);
    for (const Operand operand : form.operands) {
        if (kind_of(operand).place == Place::StringSource)
            start_.set_reg<u32>(kEsi, kDataPage + 0x100);
        if (kind_of(operand).place == Place::StringTarget)
            start_.set_reg<u32>(kEdi, kDataPage + 0x200);
    }
    if (form.implied_memory != Operand::None) {
        start_.set_reg<u32>(kEbx, kImpliedAt - (start_.reg<u32>(kEax) & 0xFF));
        start_.set_reg<u32>(kEdi, kImpliedAt);
    }
    const bool bit_string = form.map == 2 && (form.opcode & 0xE7) == 0xA3 && in_.has_memory();
    if (bit_string)
        start_.set_reg<u32>(in_.reg, static_cast<u32>(random_.below(operand_size() * 8)));
    if (form.cost.value == CostClass::Divide && (form.reads & kDx) != 0)
        start_.set_reg<u32>(kEdx, static_cast<u32>(random_.below(3)));
    if ((form.attributes & kNestsFrames) != 0 || form.mnemonic == "leave")
        start_.set_reg<u32>(kEbp, kStackTop + 0x100);
    if ((form.attributes & kPrivileged) != 0 && (form.reads & kCx) != 0) // MSRs: those of SYSENTER
        start_.set_reg<u32>(kEcx, 0x174 + static_cast<u32>(random_.below(3)));
    if (form.mnemonic == "rdpmc")
        start_.set_reg<u32>(kEcx, static_cast<u32>(random_.below(2)));
    if (form.port != Port::None)
        start_.set_reg<u32>(kEdx, CodeRunner::kLogPort);
    suit_vectors();
    suit_operand();
    suit_transfer();
}

// Sources that are small counts, or equal to the target.
void FormTrial::suit_vectors() {
    const u64 way = random_.below(4);
    if (way > 1)
        return;
    const Vector128 small{random_.below(16), 0};
    const Vector128 xmm = way == 0 ? small : start_.xmm[in_.reg];
    const u64 mm = way == 0 ? small.low : start_.x87.registers[in_.reg].significand;
    for (const Operand operand : form_at(in_.form).operands) {
        const Place place = kind_of(operand).place;
        const bool is_mm = place == Place::MmOrMemory || place == Place::MmRm;
        const bool is_xmm = place == Place::XmmOrMemory || place == Place::XmmRm;
        if ((is_mm || is_xmm) && in_.has_memory())
            std::memcpy(at(start_memory_, kOperandAt), is_mm ? static_cast<const void*>(&mm) : &xmm, operand_size());
        else if (is_mm)
            start_.x87.registers[in_.rm].significand = mm;
        else if (is_xmm)
            start_.xmm[in_.rm] = xmm;
    }
}

// Selectors that can be loaded, control bits that may be set, numbers that are equal.
void FormTrial::suit_operand() {
    const Form& form = form_at(in_.form);
    const Operand first = form.operands[0];
    const auto put = [&](u32 value) {
        if (in_.has_memory())
            std::memcpy(at(start_memory_, kOperandAt), &value, 4);
        else
            start_.set_reg<u32>(in_.rm, value);
    };
    if (first == Operand::Sw)
        put(random_.chance(2) && in_.reg != kSs ? 0 : kOtherData);
    if (first == Operand::Ew && form.cost.value == CostClass::System)
        put(random_.chance(2) ? kOtherData : random_value());
    if (form.mnemonic == "lldt")
        put(random_.chance(2) ? 0 : CodeRunner::kLdt);
    if (form.mnemonic == "ltr")
        put(CodeRunner::kTss2);
    if (first == Operand::Cd)
        put(in_.reg == 0   ? start_.cr0 ^ (random_value() & (kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne))
            : in_.reg == 4 ? start_.cr4 ^ (random_value() & (kCr4Tsd | kCr4De | kCr4Pse))
                           : random_value());
    if (first == Operand::Dd)
        put(random_value() & 0xFFFF);
    if (first == Operand::Mfx || first == Operand::Md) { // MXCSR
        u8* const mxcsr = at(start_memory_, kOperandAt + (first == Operand::Mfx ? 24 : 0));
        if (form.map == kMapNone)
            mxcsr[2] = mxcsr[3] = 0, mxcsr[0] &= 0xBF;
    }
    if (form.cost.value == CostClass::ReadModifyWrite && (form.reads & kAx) != 0 && random_.chance(2)) // CMPXCHG
        put(start_.reg<u32>(kEax));
    if (first == Operand::Mq && (form.reads & kDx) != 0 && random_.chance(2)) { // CMPXCHG8B
        std::memcpy(at(start_memory_, kOperandAt), &start_.gpr[kEax], 4);
        std::memcpy(at(start_memory_, kOperandAt + 4), &start_.gpr[kEdx], 4);
    }
}

// Where it goes, and what it finds on the stack.
void FormTrial::suit_transfer() {
    const Form& form = form_at(in_.form);
    const u32 size = in_.operand_size;
    const auto put = [&](u32 address, u32 element, u32 value) {
        std::memcpy(at(start_memory_, address + element * size), &value, size);
    };
    if (form.operands[0] == Operand::Mp || form.operands[1] == Operand::Mp) {
        put(kOperandAt, 0, kTarget);
        put(kOperandAt, 1, form.transfer != Transfer::None ? kOtherCode : kOtherData);
    }
    if (form.pops == 0)
        return;
    if (kind_of(form.operands[0]).place == Place::FixedSegment)
        put(kStackTop, 0, kOtherData);
    if (form.mnemonic == "popf")
        put(kStackTop, 0, random_value() & kFreeFlags);
    if (is_far(form.transfer)) {
        put(kStackTop, 0, kTarget);
        put(kStackTop, 1, kOtherCode);
        put(kStackTop, 2, static_cast<u32>(random_.next()) & kFreeFlags);
    }
}

FormTrial::Outcome FormTrial::run_from(const CpuState& state, const Memory& memory, CpuState& end, Memory& end_memory,
                                       std::vector<u32>& log) {
    const u8* from = memory.data();
    for (const Region& region : kRegions) {
        std::memcpy(runner_.memory().host(PhysicalAddress(region.start)), from, region.size);
        from += region.size;
    }
    Cpu& cpu = runner_.cpu;
    cpu.reset();
    CpuState start = state;
    start.tsc_offset = 0x1234567890 - cpu.now();
    cpu.set_state(start);
    runner_.log.clear();
    runner_.step();
    end = cpu.state();
    end.tsc_offset = 0;
    log = runner_.log;
    end_memory.clear();
    for (const Region& region : kRegions) {
        const u8* const bytes = runner_.memory().host(PhysicalAddress(region.start));
        end_memory.insert(end_memory.end(), bytes, bytes + region.size);
    }
    // A fault's handler has run its first instruction, which logs the vector next.
    return cpu.shut_down() || (is_handler(end.eip) && end.eip % 32 != 0) ? Outcome::Faulted : Outcome::Ran;
}

FormTrial::Outcome FormTrial::run() { return run_from(start_, start_memory_, end_, end_memory_, log_); }

FormTrial::Outcome FormTrial::run_changed(TrialPlace place) {
    changed_ = start_;
    changed_memory_ = start_memory_;
    PlaceBits bits = bits_of(place, start_, start_memory_);
    if (place.kind == PlaceKind::Flag)
        bits.bytes[0] ^= 1;
    else
        fill(bits.bytes.data(), bits.size);
    set_bits(place, bits, changed_, changed_memory_);
    return run_from(changed_, changed_memory_, changed_end_, changed_end_memory_, changed_log_);
}

bool FormTrial::alike_but_for(TrialPlace place) {
    CpuState state = changed_end_;
    Memory memory = changed_end_memory_;
    set_bits(place, after(place), state, memory);
    return digest_of(state) == digest_of(end_) && memory == end_memory_ && log_ == changed_log_;
}

u32 FormTrial::operand_size() const {
    const Form& form = form_at(in_.form);
    for (const Operand operand : form.operands) {
        const OperandKind& kind = kind_of(operand);
        if (!kind.addressed())
            continue;
        if (in_.operand_size == 2 && (operand == Operand::Menv || operand == Operand::Mstate))
            return kind.bytes - 14u;
        return kind.parts * operand_bytes(operand, in_);
    }
    return 0;
}

PlaceBits FormTrial::bits_of(TrialPlace place, const CpuState& state, const Memory& memory) const {
    PlaceBits bits;
    const auto take = [&](const void* from, u32 size) {
        std::memcpy(bits.bytes.data() + bits.size, from, size);
        bits.size += size;
    };
    const SegmentCache& segment = state.segments[place.number % kSegmentCount];
    Memory& bytes = const_cast<Memory&>(memory);
    switch (place.kind) {
    case PlaceKind::General:
        take(&state.gpr[place.number], 4);
        break;
    case PlaceKind::Segment:
        take(&segment.base, 4);
        take(&segment.selector, 2);
        break;
    case PlaceKind::Mm:
        take(&state.x87.registers[place.number].significand, 8);
        break;
    case PlaceKind::Xmm:
        take(&state.xmm[place.number], 16);
        break;
    case PlaceKind::Flag:
        bits.bytes[0] = state.eflags() >> kFlagPositions[place.number] & 1;
        bits.size = 1;
        break;
    case PlaceKind::Operand:
        take(at(bytes, kOperandAt), operand_size());
        break;
    case PlaceKind::Implied:
        take(at(bytes, kImpliedAt), kind_of(form_at(in_.form).implied_memory).bytes);
        break;
    }
    return bits;
}

void FormTrial::set_bits(TrialPlace place, const PlaceBits& bits, CpuState& state, Memory& memory) const {
    u32 at_byte = 0;
    const auto give = [&](void* to, u32 size) {
        std::memcpy(to, bits.bytes.data() + at_byte, size);
        at_byte += size;
    };
    switch (place.kind) {
    case PlaceKind::General:
        give(&state.gpr[place.number], 4);
        break;
    case PlaceKind::Segment:
        give(&state.segments[place.number].base, 4);
        give(&state.segments[place.number].selector, 2);
        break;
    case PlaceKind::Mm:
        give(&state.x87.registers[place.number].significand, 8);
        break;
    case PlaceKind::Xmm:
        give(&state.xmm[place.number], 16);
        break;
    case PlaceKind::Flag: {
        const u32 flag = 1u << kFlagPositions[place.number];
        state.set_eflags((state.eflags() & ~flag) | (bits.bytes[0] != 0 ? flag : 0));
        break;
    }
    case PlaceKind::Operand:
        give(at(memory, kOperandAt), bits.size);
        break;
    case PlaceKind::Implied:
        give(at(memory, kImpliedAt), bits.size);
        break;
    }
}

bool FormTrial::stray_write() const {
    Memory expected = start_memory_, found = end_memory_;
    const auto forget = [&](u32 address, u32 size) {
        std::memset(at(expected, address), 0, size);
        std::memset(at(found, address), 0, size);
    };
    forget(kOperandAt, operand_size());
    forget(kImpliedAt, kind_of(form_at(in_.form).implied_memory).bytes);
    forget(kStackPage, kStackTop - kStackPage);
    forget(kDataPage + 0x200, 4); // where strings go
    forget(0, 0x4000);            // descriptors are marked
    return expected != found;
}

u32 FormTrial::stack_moved() const { return start_.esp() - end_.esp(); }

} // namespace forkscope::test
