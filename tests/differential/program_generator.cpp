#include "program_generator.hpp"

#include <algorithm>
#include <map>

#include "float_values.hpp"

namespace forkscope::test {

namespace {

bool has_operand(const Form& form, std::initializer_list<Operand> wanted) {
    return std::any_of(std::begin(form.operands), std::end(form.operands), [&](Operand operand) {
        return std::find(wanted.begin(), wanted.end(), operand) != wanted.end();
    });
}

bool takes_memory(const Form& form) {
    return has_mod_rm(form) && !ignores_mod(form) && form.group < 0xC0 && (form.attributes & kRegisterOnly) == 0;
}

bool is_branch(const Form& form) { return form.transfer != Transfer::None && form.transfer != Transfer::Overflow; }

constexpr u32 kCacheLine = 64;
u32 unsplit(u32 address) { return address % kCacheLine > kCacheLine - 8 ? address & ~7u : address; }

constexpr u32 kDangerous = 0x78; // the GDT entry in which Linux keeps the number of the CPU

} // namespace

ProgramGenerator::ProgramGenerator(u64 seed, BareMachine& machine) : random_(seed), machine_(machine) {
    std::map<std::string_view, std::vector<u16>> by_name;
    for (u16 form = 1; form < form_count(); ++form) {
        if (!is_drawn(form_at(form)))
            continue;
        forms_.push_back(form);
        by_name[form_at(form).mnemonic].push_back(form);
    }
    for (auto& [name, forms] : by_name)
        by_mnemonic_.push_back(std::move(forms));
}

// --- Values

u32 ProgramGenerator::interesting() {
    constexpr u32 kValues[] = {0,          1,          2,          3,          7,          8,          15,
                               16,         17,         31,         32,         33,         0x7F,       0x80,
                               0x81,       0xFF,       0x100,      0x7FFF,     0x8000,     0x8001,     0xFFFF,
                               0x10000,    0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFF80,
                               0xFFFF8000, 0x99,       0x9A,       0x0F,       0x0A};
    const u32 random = static_cast<u32>(random_.next());
    switch (random_.below(4)) {
    case 0:
        return kValues[random_.below(std::size(kValues))];
    case 1:
        return random >> random_.below(32);
    default:
        return random;
    }
}

// A linear address: mostly in the data, sometimes at an edge, in a place that may only be read, or nowhere.
u32 ProgramGenerator::target() {
    if (style_->astray && random_.chance(2))
        return static_cast<u32>(random_.next());
    switch (random_.below(40)) {
    case 0:
        return kDataAddress - static_cast<u32>(random_.below(9));
    case 1:
        return kReadOnlyAddress + kReadOnlyBytes - static_cast<u32>(random_.below(9));
    case 2:
        return kReadOnlyAddress + static_cast<u32>(random_.below(kReadOnlyBytes));
    case 3:
        return kCodeAddress + static_cast<u32>(random_.below(kCodeBytes));
    case 4:
        return static_cast<u32>(random_.next());
    case 5:
        return kReadOnlyAddress - static_cast<u32>(random_.below(9));
    case 6:
    case 7:
        return kDataAddress + 4096 - static_cast<u32>(random_.below(9));
    case 8: // the limit of kTight
        return kDataAddress + kLdtSegments[kTight].limit + 4 - static_cast<u32>(random_.below(9));
    default:
        break;
    }
    const u32 at = kDataAddress + static_cast<u32>(random_.below(kDataBytes - 16));
    return random_.chance(2) ? at & ~3u : at;
}

u16 ProgramGenerator::selector() {
    switch (random_.below(4)) {
    case 0:
        return kFlatData;
    case 1:
        return static_cast<u16>(random_.below(kDangerous));
    case 2:
        return 0;
    default:
        break;
    }
    const u64 entry = random_.below(kLdtEntries + 1);
    return static_cast<u16>(entry * 8 + 4 + random_.below(4));
}

u8 ProgramGenerator::general_register() {
    const u8 number = static_cast<u8>(random_.below(8));
    return number == kEsp && !random_.chance(4) ? u8{kEax} : number;
}

// --- A program

void ProgramGenerator::choose_world(const ProgramStyle& style) {
    Registers& start = test_->start;
    start = Registers{};
    if (style.segments) {
        start.cs = style.code_16 ? ldt_selector(kCode16) : ldt_selector(random_.chance(3) ? kExecuteOnly : kCode32);
        constexpr u16 kStacks[] = {kFlatData, kFlatData, ldt_selector(kBased), ldt_selector(kStack16),
                                   ldt_selector(kExpandDown)};
        constexpr u16 kData[] = {kFlatData,
                                 kFlatData,
                                 ldt_selector(kBased),
                                 ldt_selector(kBased),
                                 ldt_selector(kBasedReadOnly),
                                 ldt_selector(kExpandDown),
                                 ldt_selector(kExpandDown16),
                                 ldt_selector(kTight),
                                 ldt_selector(kCode32),
                                 0};
        start.ss = kStacks[random_.below(std::size(kStacks))];
        for (u16* const segment : {&start.ds, &start.es, &start.fs, &start.gs})
            *segment = kData[random_.below(std::size(kData))];
    }
    style_ = &style;
    test_->image = static_cast<u32>(random_.below(kImages));
    test_->code_size = 0;
    test_->code_offset = static_cast<u32>(random_.below(kCodeBytes - kMostCode));
    if (random_.chance(4)) // across the two pages
        test_->code_offset = 4096 - static_cast<u32>(random_.below(12));
    start.eip = kCodeAddress + test_->code_offset - code_base(start.cs);
}

void ProgramGenerator::choose_registers(const ProgramStyle& style) {
    Registers& start = test_->start;
    for (u32& value : start.gpr)
        value = interesting();
    // ESP is put right by what uses the stack.
    start.eflags = (interesting() & (kFlagsArithmetic | kFlagD)) | kFlagFixed | kFlagI;
    if (random_.chance(2))
        start.eflags &= ~u32{kFlagD};
    if (random_.chance(24))
        start.eflags |= kFlagAc;
    if (style.instructions == 1 && random_.chance(64))
        start.eflags |= kFlagT;
    start.floats = random_floats(random_);
}

void ProgramGenerator::make(const ProgramStyle& style, TestCase& test) {
    test_ = &test;
    do {
        is_odd_ = false;
        choose_world(style);
        choose_registers(style);
        machine_.load(test);
        undefined_.clear();
        const bool single_step = (test.start.eflags & kFlagT) != 0;
        for (u32 count = 0; count < style.instructions && test.code_size < kMostCode - 100; ++count)
            if (!add_instruction(style) || single_step)
                break;
    } while (is_odd_);
    if (style.instructions == 1 && random_.chance(32)) { // the last bytes lie in no page
        const u32 kept = static_cast<u32>(random_.below(test.code_size + 1));
        test.start.eip += kCodeBytes - kept - test.code_offset;
        test.code_offset = kCodeBytes - kept;
    }
}

u16 ProgramGenerator::draw_form(const ProgramStyle& style) {
    for (;;) {
        u16 form = forms_[random_.below(forms_.size())];
        if (random_.chance(2)) {
            const std::vector<u16>& kin = by_mnemonic_[random_.below(by_mnemonic_.size())];
            form = kin[random_.below(kin.size())];
        }
        if (style.only.empty() ||
            std::find(style.only.begin(), style.only.end(), form_at(form).mnemonic) != style.only.end())
            return form;
    }
}

// Draws one instruction with all that it needs before it. False: the program has ended.
bool ProgramGenerator::add_instruction(const ProgramStyle& style) {
    for (u32 attempt = 0; attempt < 20; ++attempt) {
        Draft draft;
        draft.form = draw_form(style);
        if (random_.chance(100) && random_.chance(style.keep_fault)) {
            append(undefined_encoding(random_));
            return false;
        }
        const Form& form = form_at(draft.form);
        if (style.instructions > 1 && loads_float_state(form) && !random_.chance(8))
            continue;
        if ((flags_of(form.flags.read) & undefined_.flags()) != 0 && !define_flags())
            return false;
        draft.choice.mode = mode();
        const u8 usual = mode().default_32 ? 4 : 2;
        draft.choice.operand_size = random_.chance(4) ? static_cast<u8>(6 - usual) : usual;
        draft.choice.address_size = random_.chance(8) ? static_cast<u8>(6 - usual) : usual;
        if (random_.chance(8))
            draft.choice.segment = static_cast<u8>(random_.below(kSegmentCount));
        choose_operands(draft);
        if (!suits_x87_stack(form, draft.choice.rm, state().x87) && !random_.chance(8))
            continue;
        if (!prepare(draft))
            return false;
        const std::vector<u8> bytes = bytes_of(draft);
        Instruction in;
        decode(bytes, mode(), in);
        if (style.instructions > 1 && has_undefined_result(in, state()))
            continue;
        if (is_settled_by_maker(in, state()))
            continue;
        if (form.mnemonic == "iret" && state().flag(kFlagNt))
            continue; // returns to another task here, and is #GP in IA-32e mode
        const CpuState before = state();
        const u32 size_before = test_->code_size;
        const UndefinedFlags undefined_before = undefined_;
        if (is_branch(form) ? add_branch(draft) : append(bytes) == Append::Continues)
            return form.mnemonic != "popf" || append({0x90}) == Append::Continues;
        const bool partial = (form.attributes & kString) != 0 && draft.repeat != 0;
        if (partial || random_.chance(style.keep_fault))
            return false;
        machine_.set_state(before);
        test_->code_size = size_before;
        undefined_ = undefined_before;
    }
    return true;
}

// --- Operands

// What does not depend on the registers' values.
void ProgramGenerator::choose_operands(Draft& draft) {
    const Form& form = form_at(draft.form);
    Choice& choice = draft.choice;
    do
        choice.reg = general_register();
    while (!is_valid_reg(form, choice.reg));
    choice.rm = general_register();
    choice.lock = random_.chance(400); // #UD without memory
    choice.immediate = interesting();
    choice.immediate2 = static_cast<u16>(random_.next());
    if (form.mnemonic == "int") {
        choice.immediate = random_.chance(2) ? 3 + static_cast<u32>(random_.below(2)) : choice.immediate & 0x7F;
    } else if (form.mnemonic == "enter") {
        // Whether the test of the new top of the stack is a misaligned reference, the manual does not say.
        choice.immediate &= state().flag(kFlagAc) ? 60 : 63;
        choice.immediate2 = static_cast<u16>(random_.chance(4) ? random_.below(256) : random_.below(4));
    } else if (is_one_of(form.mnemonic, {"ret", "retf"})) {
        choice.immediate &= 31;
    }
    if ((form.attributes & kString) != 0 && !random_.chance(3))
        draft.repeat = random_.chance(2) ? 0xF2 : 0xF3;
}

bool ProgramGenerator::prepare(Draft& draft) {
    const Form& form = form_at(draft.form);
    // Prefixes without effect: of the overrides the last one counts. More than 15 bytes are #GP.
    if (random_.chance(24) && (!takes_memory(form) || draft.choice.segment != kSegmentCount))
        draft.idle_prefixes = 1 + static_cast<u32>(random_.below(random_.chance(4) ? 14 : 2));
    if (form.mnemonic == "popf" && !settle_popf(draft))
        return false;
    if ((form.attributes & kString) != 0)
        return prepare_string(draft);
    return prepare_stack(draft) && prepare_segment_load(draft) && prepare_operands(draft);
}

bool ProgramGenerator::prepare_stack(const Draft& draft) {
    const std::string_view name = form_at(draft.form).mnemonic;
    if (is_one_of(name, {"enter", "leave"}) && !random_.chance(8))
        if (!set_register(kEbp, offset_in(kSs, kDataAddress + 0x200 + static_cast<u32>(random_.below(0x1000)))))
            return false;
    const bool uses_stack = is_one_of(name, {"push", "pop", "pusha", "popa", "pushf", "popf", "enter", "call", "ret",
                                             "lcall", "ljmp", "retf", "iret", "fldcw", "ldmxcsr"});
    if (!uses_stack || random_.chance(style_->astray ? 2 : 16))
        return true;
    const SegmentCache& ss = state().segments[kSs];
    const u32 linear = ss.base + (gpr(kEsp) & (ss.big ? 0xFFFFFFFFu : 0xFFFFu));
    constexpr u32 kMargin = 0x100;
    if (linear - (kDataAddress + kMargin) < kDataBytes - 2 * kMargin)
        return true;
    u32 aimed = kDataAddress + kMargin + static_cast<u32>(random_.below(kDataBytes - 2 * kMargin));
    if (random_.chance(16))
        aimed = target();
    return set_register(kEsp, offset_in(kSs, random_.chance(8) ? aimed : aimed & ~3u));
}

// PUSH of a segment register as 32 bits may leave the upper half as it was (SDM 2B, PUSH): so it is made zero before.
bool ProgramGenerator::clear_pushed_slot() {
    const std::vector<u8> push_zero = mode().default_32 ? std::vector<u8>{0x6A, 0} : std::vector<u8>{0x66, 0x6A, 0};
    std::vector<u8> lea = {0x8D, 0x64, 0x24, 0x04}; // lea esp, [esp+4]
    if (!mode().default_32)
        lea.insert(lea.begin(), {0x66, 0x67});
    return append(push_zero) == Append::Continues && append(lea) == Append::Continues;
}

bool ProgramGenerator::prepare_string(Draft& draft) {
    Choice& choice = draft.choice;
    const u8 source = choice.segment == kSegmentCount ? u8{kDs} : choice.segment;
    const u8 reaching = reaching_size(source, choice.address_size);
    choice.address_size = std::max(reaching, reaching_size(kEs, choice.address_size));
    if (!random_.chance(8) && !set_register(kEsi, offset_in(source, target())))
        return false;
    if (!random_.chance(8) && !set_register(kEdi, offset_in(kEs, target())))
        return false;
    if (draft.repeat != 0 && !random_.chance(32))
        return set_register(kEcx, static_cast<u32>(random_.below(random_.chance(8) ? 3000 : 40)));
    return true;
}

bool ProgramGenerator::prepare_segment_load(const Draft& draft) {
    const Form& form = form_at(draft.form);
    if (form.operands[0] == Operand::Sw || is_one_of(form.mnemonic, {"lar", "lsl", "verr", "verw", "arpl"}))
        return random_.chance(4) || set_register(draft.choice.rm, selector());
    if (form.pops != 0 && kind_of(form.operands[0]).place == Place::FixedSegment)
        return push(selector(), draft.choice.operand_size);
    if (form.pushes != 0 && kind_of(form.operands[0]).place == Place::FixedSegment && draft.choice.operand_size == 4)
        return clear_pushed_slot();
    return true;
}

// POPF gets a value chosen here: TF now and then (it ends the program), and AC (so does much of what follows).
bool ProgramGenerator::settle_popf(Draft& draft) {
    u32 flags = interesting() & ~u32{kFlagAc | kFlagT};
    if (random_.chance(16))
        flags |= random_.chance(2) ? kFlagT : kFlagAc;
    return prepare_stack(draft) && push(flags, draft.choice.operand_size);
}

bool ProgramGenerator::prepare_operands(Draft& draft) {
    const Form& form = form_at(draft.form);
    Choice& choice = draft.choice;
    if (form.operands[0] == Operand::Iw || is_branch(form))
        return true;
    if (is_one_of(form.mnemonic, {"div", "idiv"}) && !random_.chance(4)) {
        if (!set_register(form.operands[0] == Operand::Eb ? kEax : kEdx, interesting() & 0xFF))
            return false;
    }
    if (form.mnemonic == "xlatb") {
        const u8 segment = choice.segment == kSegmentCount ? u8{kDs} : choice.segment;
        choice.address_size = reaching_size(segment, choice.address_size);
        return set_register(kEbx, offset_in(segment, target()) - (gpr(kEax) & 0xFF));
    }
    if (has_operand(form, {Operand::Ob, Operand::Ov})) {
        const u8 segment = choice.segment == kSegmentCount ? u8{kDs} : choice.segment;
        choice.address_size = reaching_size(segment, choice.address_size);
        choice.immediate = offset_in(segment, target());
        return true;
    }
    if (is_one_of(form.mnemonic, {"maskmovq", "maskmovdqu"})) {
        const u8 segment = choice.segment == kSegmentCount ? u8{kDs} : choice.segment;
        choice.address_size = reaching_size(segment, choice.address_size);
        return set_register(kEdi, offset_in(segment, target()));
    }
    if (is_one_of(form.mnemonic, {"fldcw", "ldmxcsr"}) && !random_.chance(8))
        return aim_at_pushed(draft,
                             form.mnemonic == "fldcw" ? random_x87_control(random_) : random_sse_control(random_));
    if (takes_memory(form) && ((form.attributes & kMemoryOnly) != 0 || random_.chance(2)))
        return aim(draft);
    return true;
}

u8 ProgramGenerator::segment_of(const Draft& draft, u8 base) const {
    if (draft.choice.segment != kSegmentCount)
        return draft.choice.segment;
    return base == kEsp || base == kEbp ? kSs : kDs;
}

u32 ProgramGenerator::offset_in(u8 segment, u32 linear) const { return linear - state().segments[segment].base; }

// 16-bit addresses only where the data lies in the segment's first 64 KB, or seldom.
u8 ProgramGenerator::reaching_size(u8 segment, u8 wanted) {
    const bool reaches = offset_in(segment, kDataAddress) < 0x10000;
    return reaches || random_.chance(16) ? wanted : u8{4};
}

// With a register as bit number, BT, BTC, BTR, BTS reach beyond the addressed word.
u32 ProgramGenerator::bit_distance(const Draft& draft) const {
    const Form& form = form_at(draft.form);
    if (!is_one_of(form.mnemonic, {"bt", "bts", "btr", "btc"}) || form.operands[1] != Operand::Gv)
        return 0;
    const u32 number = gpr(draft.choice.reg);
    return draft.choice.operand_size == 4 ? static_cast<u32>(static_cast<i32>(number) >> 5) * 4
                                          : static_cast<u32>(static_cast<i16>(number) >> 4) * 2;
}

// Linux may stop or slow down programs that lock across cache lines, where the processor tells it.
bool ProgramGenerator::locks(const Draft& draft) const {
    return draft.choice.lock || form_at(draft.form).mnemonic == "xchg";
}

// The operand lies on the stack.
bool ProgramGenerator::aim_at_pushed(Draft& draft, u32 value) {
    aim_at_top(draft);
    draft.choice.segment = kSegmentCount;
    return push(value, 4);
}

void ProgramGenerator::aim_at_top(Draft& draft) {
    draft.memory = {kEsp, kNoRegister, 0, 0};
    draft.choice.address_size = 4;
    draft.address = encode_address(draft.memory, 4).front();
    draft.choice.memory = &draft.memory;
    draft.choice.address = &draft.address;
}

// A linear address that the operand is to have.
u32 ProgramGenerator::target_for(const Draft& draft) {
    const u32 address = locks(draft) ? unsplit(target()) : target();
    return wants_vector_alignment(form_at(draft.form)) && !random_.chance(12) ? address & ~15u : address;
}

// A memory operand whose address is a chosen place, for any register values.
bool ProgramGenerator::aim(Draft& draft) {
    Choice& choice = draft.choice;
    const bool lockable = (form_at(draft.form).attributes & kLockable) != 0;
    choice.lock = lockable ? random_.chance(4) : random_.chance(200);
    MemoryOperand& memory = draft.memory;
    choice.address_size =
        reaching_size(choice.segment == kSegmentCount ? u8{kDs} : choice.segment, choice.address_size);
    if (choice.address_size == 2) {
        constexpr u8 kBases[] = {kEbx, kEbx, kEbp, kEbp, kEsi, kEdi, kEbp, kEbx, kNoRegister};
        constexpr u8 kIndexes[] = {kEsi,        kEdi,        kEsi,        kEdi,       kNoRegister,
                                   kNoRegister, kNoRegister, kNoRegister, kNoRegister};
        const u64 pick = random_.below(std::size(kBases));
        memory = {kBases[pick], kIndexes[pick], 0, 0};
    } else {
        memory.base = random_.chance(6) ? u8{kNoRegister} : static_cast<u8>(random_.below(8));
        memory.index = random_.chance(2) ? u8{kNoRegister} : static_cast<u8>(random_.below(8));
        if (memory.index == kEsp)
            memory.index = kNoRegister;
        memory.scale = memory.index == kNoRegister ? u8{0} : static_cast<u8>(random_.below(4));
    }
    const u8 segment = segment_of(draft, memory.base);
    const u32 wanted = offset_in(segment, target_for(draft)) - bit_distance(draft);
    const bool near = memory.base != kNoRegister && memory.base != kEsp && memory.base != memory.index;
    if (near && random_.chance(3)) { // so that a short displacement, or none, will do
        const u32 rest = memory.index == kNoRegister ? 0 : gpr(memory.index) << memory.scale;
        const u32 distance = random_.chance(2) ? 0 : static_cast<u32>(random_.below(256)) - 128;
        if (!set_register(memory.base, wanted - rest - distance))
            return false;
    }
    u32 displacement = wanted;
    if (memory.base != kNoRegister)
        displacement -= gpr(memory.base);
    if (memory.index != kNoRegister)
        displacement -= gpr(memory.index) << memory.scale;
    if (choice.address_size == 2)
        displacement = static_cast<u32>(static_cast<i32>(static_cast<i16>(displacement)));
    memory.displacement = displacement;
    const std::vector<AddressBytes> encodings = encode_address(memory, choice.address_size);
    draft.address = encodings[random_.below(encodings.size())];
    choice.memory = &memory;
    choice.address = &draft.address;
    return true;
}

// --- Bytes

bool ProgramGenerator::set_register(u8 number, u32 value) {
    std::vector<u8> bytes;
    if (!mode().default_32)
        bytes.push_back(0x66);
    bytes.push_back(static_cast<u8>(0xB8 + number)); // mov r32, imm32
    for (u32 i = 0; i < 4; ++i)
        bytes.push_back(static_cast<u8>(value >> (8 * i)));
    return append(bytes) == Append::Continues;
}

bool ProgramGenerator::push(u32 value, u8 operand_size) {
    std::vector<u8> bytes;
    if (operand_size != (mode().default_32 ? 4 : 2))
        bytes.push_back(0x66);
    bytes.push_back(0x68);
    for (u32 i = 0; i < operand_size; ++i)
        bytes.push_back(static_cast<u8>(value >> (8 * i)));
    return append(bytes) == Append::Continues;
}

// CMP of two registers defines all six flags.
bool ProgramGenerator::define_flags() {
    return append({0x39, static_cast<u8>(0xC0 | random_.below(64))}) == Append::Continues;
}

// Up to three instructions that neither read flags nor touch memory, to be jumped over.
std::vector<u8> ProgramGenerator::filler() {
    std::vector<u8> bytes;
    for (u64 count = random_.below(4); count > 0; --count) {
        const u8 number = static_cast<u8>(random_.below(4)); // EAX..EBX
        if (random_.chance(2))
            bytes.insert(bytes.end(), {static_cast<u8>(0xB0 + number), static_cast<u8>(random_.next())});
        else if (random_.chance(2))
            bytes.insert(bytes.end(), {0xF7, static_cast<u8>(0xD0 + number)}); // not
        else
            bytes.push_back(static_cast<u8>(0x40 + number)); // inc
    }
    return bytes;
}

std::vector<u8> ProgramGenerator::bytes_of(const Draft& draft) const {
    std::vector<u8> bytes = encode(draft.form, draft.choice).bytes;
    if (draft.repeat != 0)
        bytes.insert(bytes.begin(), draft.repeat);
    bytes.insert(bytes.begin(), draft.idle_prefixes, 0x3E); // DS
    return bytes;
}

// Adds bytes and executes to behind them.
ProgramGenerator::Append ProgramGenerator::append(const std::vector<u8>& bytes) {
    std::memcpy(test_->code + test_->code_size, bytes.data(), bytes.size());
    machine_.write_code(test_->code_offset + test_->code_size, bytes.data(), static_cast<u32>(bytes.size()));
    test_->code_size += static_cast<u32>(bytes.size());
    for (u32 guard = 0; linear_eip(state()) != linear_of(test_->code_size) && guard < 64; ++guard)
        if (!step())
            return Append::Ended;
    return linear_eip(state()) == linear_of(test_->code_size) ? Append::Continues : Append::Ended; // or far away
}

bool ProgramGenerator::step() {
    const CpuState before = state();
    const u32 at = linear_eip(before) - (kCodeAddress + test_->code_offset);
    Instruction in;
    if (at < test_->code_size)
        decode({test_->code + at, test_->code_size - at}, mode(), in);
    if (!machine_.step(ended_))
        return false;
    undefined_.note(in, before);
    // The limit of Linux's CPU number segment depends on the CPU; ours is 0, as no other segment's.
    if (form_at(in.form).mnemonic == "lsl" && state().flags.z() && state().reg<u16>(in.reg) == 0)
        is_odd_ = true;
    return true;
}

} // namespace forkscope::test
