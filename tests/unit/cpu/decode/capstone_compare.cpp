#include "capstone_compare.hpp"

#include <cstdio>
#include <cstring>

#include "emu/base/assert.hpp"

namespace forkscope::test {

namespace {

constexpr u64 kAddress = 0x1000;

constexpr u16 kRegisters8[] = {X86_REG_AL, X86_REG_CL, X86_REG_DL, X86_REG_BL,
                               X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH};
constexpr u16 kRegisters16[] = {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX,
                                X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI};
constexpr u16 kRegisters32[] = {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX,
                                X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI};
constexpr u16 kSegments[] = {X86_REG_ES, X86_REG_CS, X86_REG_SS, X86_REG_DS, X86_REG_FS, X86_REG_GS};

// How an operand of our table is found in an Instruction, in Operand's order.
enum class How : u8 {
    Nothing,
    RegisterOrMemory,
    RegField,
    RmField,
    NumberedRmOrMemory, // of the registers that start at `value`
    WordOfRegisterOrMemory,
    Accumulator,
    Immediate,
    Target,
    FarPointer,
    Constant,
    Offset,
    Source,
    Destination,
    SegmentField,
    NumberedRegister,
    NamedRegister,
};
enum : u8 { kV = 100, kVAndSelector, kTwoV, kUnsized }; // sizes that depend on the operand size, or are not compared
struct Meaning {
    Operand operand;
    How how;
    u8 size = 0;
    u16 value = 0;

    u8 size_for(u8 v) const {
        switch (size) {
        case kV:
            return v;
        case kVAndSelector:
            return static_cast<u8>(v + 2);
        case kTwoV:
            return static_cast<u8>(v * 2);
        case kUnsized:
            return 0;
        default:
            return size;
        }
    }
};
constexpr Meaning kMeanings[] = {
    {Operand::None, How::Nothing},
    {Operand::Eb, How::RegisterOrMemory, 1},
    {Operand::Ew, How::RegisterOrMemory, 2},
    {Operand::Ed, How::RegisterOrMemory, 4},
    {Operand::Ev, How::RegisterOrMemory, kV},
    {Operand::Edw, How::WordOfRegisterOrMemory, 2},
    {Operand::Gb, How::RegField, 1},
    {Operand::Gw, How::RegField, 2},
    {Operand::Gd, How::RegField, 4},
    {Operand::Gv, How::RegField, kV},
    {Operand::Rd, How::RmField, 4},
    {Operand::Rv, How::RmField, kV},
    {Operand::Mb, How::RegisterOrMemory, 1},
    {Operand::Mw, How::RegisterOrMemory, 2},
    {Operand::Md, How::RegisterOrMemory, 4},
    {Operand::Mq, How::RegisterOrMemory, 8},
    {Operand::Mt, How::RegisterOrMemory, 10},
    {Operand::Mx, How::RegisterOrMemory, 16},
    {Operand::Mp, How::RegisterOrMemory, kVAndSelector},
    {Operand::Ma, How::RegisterOrMemory, kTwoV},
    {Operand::Ms, How::RegisterOrMemory, kUnsized},
    {Operand::M, How::RegisterOrMemory, kUnsized},
    {Operand::Menv, How::RegisterOrMemory, kUnsized},
    {Operand::Mstate, How::RegisterOrMemory, kUnsized},
    {Operand::Mfx, How::RegisterOrMemory, kUnsized},
    {Operand::Pq, How::NumberedRegister, 8, X86_REG_MM0},
    {Operand::Nq, How::NumberedRmOrMemory, 8, X86_REG_MM0},
    {Operand::Qd, How::NumberedRmOrMemory, 4, X86_REG_MM0},
    {Operand::Qq, How::NumberedRmOrMemory, 8, X86_REG_MM0},
    {Operand::Vx, How::NumberedRegister, 16, X86_REG_XMM0},
    {Operand::Ux, How::NumberedRmOrMemory, 16, X86_REG_XMM0},
    {Operand::Wd, How::NumberedRmOrMemory, 4, X86_REG_XMM0},
    {Operand::Wq, How::NumberedRmOrMemory, 8, X86_REG_XMM0},
    {Operand::Wx, How::NumberedRmOrMemory, 16, X86_REG_XMM0},
    {Operand::Sw, How::SegmentField},
    {Operand::Cd, How::NumberedRegister, 4, X86_REG_CR0},
    {Operand::Dd, How::NumberedRegister, 4, X86_REG_DR0},
    {Operand::Td, How::Nothing}, // no form has test registers
    {Operand::Sti, How::NumberedRegister, 10, X86_REG_ST0},
    {Operand::Ib, How::Immediate, 1},
    {Operand::Ibs, How::Immediate, kV},
    {Operand::Iw, How::Immediate, 2},
    {Operand::Iz, How::Immediate, kV},
    {Operand::Iv, How::Immediate, kV},
    {Operand::Jb, How::Target, kV},
    {Operand::Jz, How::Target, kV},
    {Operand::Ap, How::FarPointer, kV},
    {Operand::Ob, How::Offset, 1},
    {Operand::Ov, How::Offset, kV},
    {Operand::Zb, How::RegField, 1},
    {Operand::Zd, How::RegField, 4},
    {Operand::Zv, How::RegField, kV},
    {Operand::Xb, How::Source, 1},
    {Operand::Xv, How::Source, kV},
    {Operand::Yb, How::Destination, 1},
    {Operand::Yv, How::Destination, kV},
    {Operand::One, How::Constant, 1, 1},
    {Operand::Al, How::NamedRegister, 1, X86_REG_AL},
    {Operand::Cl, How::NamedRegister, 1, X86_REG_CL},
    {Operand::Ax, How::NamedRegister, 2, X86_REG_AX},
    {Operand::Dx, How::NamedRegister, 2, X86_REG_DX},
    {Operand::Eax, How::Accumulator, kV},
    {Operand::Es, How::NamedRegister, 2, X86_REG_ES},
    {Operand::Cs, How::NamedRegister, 2, X86_REG_CS},
    {Operand::Ss, How::NamedRegister, 2, X86_REG_SS},
    {Operand::Ds, How::NamedRegister, 2, X86_REG_DS},
    {Operand::Fs, How::NamedRegister, 2, X86_REG_FS},
    {Operand::Gs, How::NamedRegister, 2, X86_REG_GS},
    {Operand::St0, How::NamedRegister, 10, X86_REG_ST0},
};

// Names that differ only in spelling: ours, as to_text() writes it, and Capstone's.
struct Alias {
    const char* ours;
    const char* theirs;
};
constexpr Alias kAliases[] = {{"pusha", "pushaw"}, {"pushad", "pushal"}, {"popa", "popaw"}, {"popad", "popal"}};

bool is_prefix(u8 byte) {
    return byte == 0x26 || byte == 0x2E || byte == 0x36 || byte == 0x3E || (byte >= 0x64 && byte <= 0x67) ||
           byte == 0xF0 || byte == 0xF2 || byte == 0xF3;
}

// Rows of an opcode (0x100 and up: after 0F) by what they say of mandatory prefixes.
bool has_row(u32 opcode, u32 first_map, u32 last_map) {
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        const u32 row_opcode = (row.map == 1 ? 0u : 0x100u) + row.opcode;
        if (row_opcode == opcode && row.map >= first_map && row.map <= last_map)
            return true;
    }
    return false;
}

bool has_predicate(const Instruction& in) {
    return form_at(in.form).opcode == 0xC2 && form_at(in.form).map >= kMapNone;
}
bool names_predicate(const Instruction& in) { return has_predicate(in) && in.immediate < 8; } // "cmpeqps"

bool same_instruction(const Instruction& a, const Instruction& b) {
    return a.form == b.form && a.length == b.length && a.flags == b.flags && a.operand_size == b.operand_size &&
           a.address_size == b.address_size && a.immediate == b.immediate && a.immediate2 == b.immediate2 &&
           a.displacement == b.displacement && a.segment == b.segment && a.base == b.base && a.index == b.index &&
           a.scale == b.scale && a.reg == b.reg && a.rm == b.rm;
}

u32 mask_of(u32 size) { return size == 1 ? 0xFF : size == 2 ? 0xFFFF : 0xFFFFFFFF; }

} // namespace

u16 general_register(u8 number, u32 size) {
    if (number == kNoRegister)
        return X86_REG_INVALID;
    return size == 1 ? kRegisters8[number] : size == 2 ? kRegisters16[number] : kRegisters32[number];
}

// The last of F2 and F3 counts, and goes before 66.
u32 Sides::mandatory_prefix() const {
    for (u32 i = prefixes; i-- > 0;) {
        if (bytes[i] == 0xF2 || bytes[i] == 0xF3)
            return bytes[i] == 0xF3 ? kMapF3 - kMapNone : kMapF2 - kMapNone;
    }
    return has_prefix(0x66) ? kMap66 - kMapNone : 0;
}

bool Sides::has_mandatory_prefixes() const { return opcode >= 0x100 && has_row(opcode, kMapNone, kMapF2); }

bool Sides::has_prefix(u8 prefix) const { return std::memchr(bytes, prefix, prefixes) != nullptr; }

CapstoneComparer::CapstoneComparer(CodeMode mode) : mnemonics_(u32{form_count()} * 64) {
    sides_.mode = mode;
    const cs_err error = cs_open(CS_ARCH_X86, mode.default_32 ? CS_MODE_32 : CS_MODE_16, &handle_);
    EMU_ASSERT(error == CS_ERR_OK, "Capstone does not open: {}", cs_strerror(error));
    cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON);
    instruction_ = cs_malloc(handle_);
}

CapstoneComparer::~CapstoneComparer() {
    cs_free(instruction_, 1);
    cs_close(&handle_);
}

Verdict CapstoneComparer::compare(const u8* bytes, u32 size) {
    sides_.bytes = bytes;
    sides_.size = size;
    sides_.status = decode({bytes, size}, sides_.mode, sides_.ours);
    u64 address = kAddress;
    size_t left = size;
    const u8* at = bytes;
    sides_.theirs = cs_disasm_iter(handle_, &at, &left, &address, instruction_) ? instruction_ : nullptr;

    sides_.prefixes = 0;
    while (sides_.prefixes < size && is_prefix(bytes[sides_.prefixes]))
        ++sides_.prefixes;
    if (sides_.prefixes + 1 < size) {
        const u8* opcode = bytes + sides_.prefixes;
        sides_.opcode = opcode[0] == 0x0F ? 0x100u + opcode[1] : opcode[0];
    }

    sides_.difference = first_difference();
    if (sides_.difference.empty())
        return Verdict::Same;
    const auto& known = known_differences();
    for (known_difference_ = 0; known_difference_ < known.size(); ++known_difference_) {
        if (known[known_difference_].applies(*this))
            return Verdict::KnownDifference;
    }
    const bool lacking = sides_.status == DecodeStatus::Undefined && sides_.theirs != nullptr;
    return lacking ? Verdict::FormWeLack : Verdict::Different;
}

CapstoneComparer::Other CapstoneComparer::compare_other(const u8* bytes, u32 size, CodeMode mode) {
    auto& inner = inner_[mode.default_32 ? 1 : 0];
    if (!inner)
        inner = std::make_unique<CapstoneComparer>(mode);
    const Verdict verdict = inner->compare(bytes, size);
    return {verdict, inner->sides()};
}

bool CapstoneComparer::agrees_without(bool (*prefix)(u8 byte)) {
    u8 bytes[15];
    u32 size = 0;
    u32 dropped = 0;
    for (u32 i = 0; i < sides_.size && i < sizeof(bytes); ++i) {
        if (i < sides_.prefixes && prefix(sides_.bytes[i]))
            ++dropped;
        else
            bytes[size++] = sides_.bytes[i];
    }
    if (dropped == 0)
        return false;
    const auto [verdict, other] = compare_other(bytes, size, sides_.mode);
    if (verdict != Verdict::Same && verdict != Verdict::KnownDifference)
        return false;
    if (sides_.status == DecodeStatus::Undefined)
        return (sides_.ours.flags & kHasLock) != 0 || sides_.has_prefix(0xF0);

    Instruction without = other.ours;
    without.length = static_cast<u8>(without.length + dropped);
    without.flags = sides_.ours.flags;
    without.address_size = sides_.ours.address_size;
    return other.status == sides_.status && same_instruction(without, sides_.ours);
}

u32 CapstoneComparer::bytes_looked_at() const {
    u32 length = sides_.status == DecodeStatus::TooLong ? 15u : sides_.ours.length;
    if (sides_.theirs == nullptr)
        return sides_.status == DecodeStatus::Ok ? length : sides_.size;
    return length < sides_.theirs->size ? sides_.theirs->size : length;
}

std::string_view CapstoneComparer::first_difference() {
    if (sides_.status != DecodeStatus::Ok)
        return sides_.theirs == nullptr ? "" : "only Capstone decodes";
    if (sides_.theirs == nullptr)
        return "only we decode";
    if (sides_.theirs->size != sides_.ours.length)
        return "length";
    if (mnemonic() != sides_.theirs->mnemonic)
        return "mnemonic";

    const cs_x86& theirs = sides_.theirs->detail->x86;
    Expected operands[4];
    u32 count = 0;
    for (const Operand operand : form_at(sides_.ours.form).operands) {
        if (operand == Operand::Ib && names_predicate(sides_.ours))
            break;
        if (!append(operand, operands, count))
            break;
    }
    return theirs.op_count == count ? first_different_operand(operands, count) : "operand count";
}

// Sizes of memory operands come last, so that "memory size" means that all else is equal.
std::string_view CapstoneComparer::first_different_operand(const Expected* operands, u32 count) const {
    std::string_view size_difference;
    for (u32 i = 0; i < count; ++i) {
        const Expected& mine = operands[i];
        const cs_x86_op& other = sides_.theirs->detail->x86.operands[i];
        switch (mine.kind) {
        case Expected::Kind::Register:
            if (other.type != X86_OP_REG || other.reg != mine.reg)
                return "register";
            break;
        case Expected::Kind::Immediate:
            if (other.type != X86_OP_IMM || ((static_cast<u32>(other.imm) ^ mine.value) & mine.mask) != 0)
                return "immediate";
            break;
        case Expected::Kind::Memory:
            if (other.type != X86_OP_MEM)
                return "memory operand";
            if (other.mem.base != mine.base)
                return "base";
            if (other.mem.index != mine.index)
                return "index";
            if (mine.index != X86_REG_INVALID && other.mem.scale != 1 << mine.scale)
                return "scale";
            if (static_cast<u32>(other.mem.disp) != mine.value)
                return "displacement";
            if (other.mem.segment != mine.segment)
                return "segment";
            if (mine.size != 0 && other.size != mine.size)
                size_difference = "memory size";
            break;
        }
    }
    return size_difference;
}

CapstoneComparer::Expected CapstoneComparer::register_operand(u16 reg) {
    Expected expected;
    expected.reg = reg;
    return expected;
}

CapstoneComparer::Expected CapstoneComparer::number(u32 value, u32 mask) {
    Expected expected;
    expected.kind = Expected::Kind::Immediate;
    expected.value = value;
    expected.mask = mask;
    return expected;
}

// Zero- or sign-extension is compared too, but Capstone cuts sign-extended bytes to the operand size for some
// instructions and not for others, and keeps ENTER's two numbers sign-extended where the manual uses them as they are.
CapstoneComparer::Expected CapstoneComparer::immediate_operand(Operand operand, u8 size, u32 position) const {
    const Instruction& in = sides_.ours;
    const bool is_enter = form_at(in.form).mnemonic == "enter";
    const u32 value = is_enter && position == 1 ? in.immediate2 : in.immediate;
    return number(value, is_enter || operand == Operand::Ibs ? mask_of(size) : ~0u);
}

CapstoneComparer::Expected CapstoneComparer::memory_operand(u8 size) const {
    const Instruction& in = sides_.ours;
    Expected memory;
    memory.kind = Expected::Kind::Memory;
    memory.size = size;
    memory.segment = override_segment();
    memory.base = general_register(in.base, in.address_size);
    memory.index = general_register(in.index, in.address_size);
    memory.scale = in.scale;
    memory.value = in.displacement;
    return memory;
}

CapstoneComparer::Expected CapstoneComparer::string_operand(u16 segment, u8 pointer, u8 size) const {
    Expected memory;
    memory.kind = Expected::Kind::Memory;
    memory.size = size;
    memory.segment = segment;
    memory.base = general_register(pointer, sides_.ours.address_size);
    return memory;
}

u16 CapstoneComparer::override_segment() const {
    return (sides_.ours.flags & kHasSegment) != 0 ? kSegments[sides_.ours.segment] : u16{X86_REG_INVALID};
}

// The register that ModRM.rm names: by Capstone's number of the first of its kind, or a general one of that size.
CapstoneComparer::Expected CapstoneComparer::rm_register(u16 first, u8 size) const {
    const u8 rm = sides_.ours.rm;
    return register_operand(first != 0 ? static_cast<u16>(first + rm) : general_register(rm, size));
}

// Adds what `operand` means; false for Operand::None.
bool CapstoneComparer::append(Operand operand, Expected* operands, u32& count) const {
    const Instruction& in = sides_.ours;
    const Meaning& meaning = kMeanings[static_cast<u8>(operand)];
    EMU_ASSERT(meaning.operand == operand, "kMeanings is not in the order of Operand");
    const u8 size = meaning.size_for(in.operand_size);
    const auto add = [&](const Expected& expected) { operands[count++] = expected; };

    switch (meaning.how) {
    case How::Nothing:
        return false;
    case How::RegisterOrMemory:
    case How::NumberedRmOrMemory:
        add(in.has_memory() ? memory_operand(size) : rm_register(meaning.value, size));
        break;
    case How::WordOfRegisterOrMemory:
        add(in.has_memory() ? memory_operand(size) : rm_register(0, 4));
        break;
    case How::RegField:
        add(register_operand(general_register(in.reg, size)));
        break;
    case How::RmField:
        add(register_operand(general_register(in.rm, size)));
        break;
    case How::Accumulator:
        add(register_operand(general_register(kEax, size)));
        break;
    case How::Immediate:
        add(immediate_operand(operand, size, count));
        break;
    case How::Target:
        add(number(static_cast<u32>(kAddress) + in.length + in.displacement, mask_of(size)));
        break;
    case How::FarPointer:
        add(number(in.immediate2, ~0u));
        add(number(in.immediate, ~0u));
        break;
    case How::Constant:
        add(number(meaning.value, ~0u));
        break;
    case How::Offset:
        add(memory_operand(size));
        break;
    case How::Source:
        add(string_operand(override_segment(), kEsi, size));
        break;
    case How::Destination:
        add(string_operand(X86_REG_ES, kEdi, size));
        break;
    case How::SegmentField:
        add(register_operand(kSegments[in.reg]));
        break;
    case How::NumberedRegister:
        add(register_operand(static_cast<u16>(meaning.value + (operand == Operand::Sti ? in.rm : in.reg))));
        break;
    case How::NamedRegister:
        add(register_operand(meaning.value));
        break;
    }
    return true;
}

// The prefixes and the name that to_text() writes, in Capstone's spelling.
const std::string& CapstoneComparer::mnemonic() {
    const Instruction& in = sides_.ours;
    const u32 prefixes = ((in.flags & kHasLock) != 0 ? 1 : 0) | ((in.flags & kHasRep) != 0 ? 2 : 0) |
                         ((in.flags & kHasRepne) != 0 ? 4 : 0);
    std::string& name =
        mnemonics_[(u32{in.form} * 8 + prefixes) * 4 + (in.operand_size == 4 ? 2 : 0) + (in.address_size == 4 ? 1 : 0)];
    if (!name.empty() && !has_predicate(in))
        return name;
    const std::string text = to_text(in, static_cast<u32>(kAddress));
    size_t start = 0;
    for (const char* prefix : {"lock ", "rep ", "repe ", "repne "}) {
        if (text.compare(start, std::strlen(prefix), prefix) == 0)
            start += std::strlen(prefix);
    }
    const std::string word = text.substr(start, text.find(' ', start) - start);
    name = text.substr(0, start) + word;
    for (const Alias& alias : kAliases) {
        if (word == alias.ours)
            name = text.substr(0, start) + alias.theirs;
    }
    return name;
}

std::string CapstoneComparer::lacking_form() const {
    constexpr const char* kPrefixes[] = {"", "66 ", "F3 ", "F2 "};
    const bool two = sides_.opcode >= 0x100;
    const u8 mod_rm = sides_.mod_rm();
    const u32 map = two ? kMapNone + sides_.mandatory_prefix() : 1u;
    const bool by_prefix = two && has_row(sides_.opcode, kMapNone, kMapF2);
    char text[40];
    std::snprintf(text, sizeof(text), two ? "%s0F %02X" : "%s%02X", by_prefix ? kPrefixes[map - kMapNone] : "",
                  sides_.opcode & 0xFF);
    std::string form = text;
    if (has_row(sides_.opcode, map, map) || (two && has_row(sides_.opcode, 2, 2))) {
        std::snprintf(text, sizeof(text), " /%d %s", mod_rm >> 3 & 7, mod_rm >= 0xC0 ? "register" : "memory");
        form += text;
    }
    return form;
}

std::string CapstoneComparer::explain() const {
    std::string text(sides_.difference);
    text += sides_.mode.default_32 ? ", 32-bit code:" : ", 16-bit code:";
    char buffer[8];
    for (u32 i = 0; i < sides_.size && i < 15; ++i) {
        std::snprintf(buffer, sizeof(buffer), " %02x", sides_.bytes[i]);
        text += buffer;
    }
    text += "\n    ours: ";
    if (sides_.status == DecodeStatus::Ok)
        text += std::to_string(sides_.ours.length) + " " + to_text(sides_.ours, static_cast<u32>(kAddress));
    else
        text += sides_.status == DecodeStatus::Undefined ? "undefined" : "too long or truncated";
    text += "\n    theirs: ";
    if (sides_.theirs != nullptr)
        text += std::to_string(sides_.theirs->size) + " " + sides_.theirs->mnemonic + " " + sides_.theirs->op_str;
    else
        text += "none";
    return text + "\n";
}

} // namespace forkscope::test
