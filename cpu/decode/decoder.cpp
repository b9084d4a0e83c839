#include "cpu/decode/decoder.hpp"

#include <array>
#include <cstring>

#include "cpu/decode/form_rows.hpp"

namespace forkscope {

namespace {

// --- What opcodes.def says, reduced at compile time to what decoding needs.

enum class Immediate : u8 {
    None,
    Byte,
    ByteSigned,
    Word,
    Full,
    JumpByte,
    JumpFull,
    Offset,
    FarPointer,
    Enter,
    FloatOpcode
};

// ModRM.reg numbers that name nothing, by what the field selects (SDM 2B, MOV; SDM 3A 2.5).
enum class RegField : u8 { Any, Segment, LoadedSegment, Control };
constexpr u8 kValidReg[] = {
    0b1111'1111, // Any
    0b0011'1111, // Segment: six there are
    0b0011'1101, // LoadedSegment: CS is loaded by control transfers only
    0b0001'1101, // Control: CR0, CR2, CR3, CR4
};

// How the bytes after the opcode are to be read.
struct Rule {
    bool mod_rm = false;
    bool mod_ignored = false; // moves from and to control and debug registers
    bool lockable = false;
    RegField reg_field = RegField::Any;
    Immediate immediate = Immediate::None;
};

constexpr Immediate immediate_of(Operand operand) {
    switch (operand) {
    case Operand::Ib:
        return Immediate::Byte;
    case Operand::Ibs:
        return Immediate::ByteSigned;
    case Operand::Iw:
        return Immediate::Word;
    case Operand::Iz:
    case Operand::Iv:
        return Immediate::Full;
    case Operand::Jb:
        return Immediate::JumpByte;
    case Operand::Jz:
        return Immediate::JumpFull;
    case Operand::Ob:
    case Operand::Ov:
        return Immediate::Offset;
    case Operand::Ap:
        return Immediate::FarPointer;
    default:
        return Immediate::None;
    }
}

constexpr Rule make_rule(const Form& row) {
    Rule rule;
    rule.mod_rm = row.group >= 0;
    rule.lockable = (row.attributes & kLockable) != 0;
    if (row.map == 1 && row.opcode >= 0xD8 && row.opcode <= 0xDF)
        rule.immediate = Immediate::FloatOpcode;
    for (int i = 0; i < 3; ++i) {
        const Operand operand = row.operands[i];
        const Place place = kind_in_rows(operand).place;
        rule.mod_rm |= kind_in_rows(operand).by_mod_rm();
        rule.mod_ignored |= place == Place::Control || place == Place::Debug || place == Place::Test;
        if (operand == Operand::Cd)
            rule.reg_field = RegField::Control;
        if (operand == Operand::Sw)
            rule.reg_field = i == 0 ? RegField::LoadedSegment : RegField::Segment;
        if (const Immediate immediate = immediate_of(operand); immediate != Immediate::None)
            rule.immediate = rule.immediate == Immediate::Word ? Immediate::Enter : immediate;
    }
    return rule;
}

constexpr auto kRules = [] {
    std::array<Rule, kFormCount> rules;
    for (u16 form = 0; form < kFormCount; ++form)
        rules[form] = make_rule(kForms[form]);
    return rules;
}();

// The forms of one opcode that its ModRM byte tells apart: memory forms by ModRM.reg, register forms by the whole byte.
struct Group {
    u16 memory[8] = {};
    u16 whole[64] = {};
};

// A cell per opcode: a form, or kGroupBit and the number of a Group. After the one-byte opcodes come those after 0F,
// 256 for each mandatory prefix in the order of kMapNone to kMapF2.
constexpr u16 kGroupBit = 0x8000;
constexpr u32 kColumns = 4;
constexpr u16 kOpcodeCells = 256 * (1 + kColumns);

constexpr bool depends_on_mod_rm(const Form& row) {
    return row.group >= 0 || (row.attributes & (kMemoryOnly | kRegisterOnly)) != 0;
}

// The cells of a row: one, or one for each mandatory prefix if it does not care.
struct Cells {
    u32 first;
    u32 count;
};
constexpr Cells cells_of(const Form& row) {
    if (row.map == 2)
        return {256u + row.opcode, kColumns};
    return {row.map == 1 ? row.opcode : 256u * (row.map - kMapNone + 1u) + row.opcode, 1};
}

constexpr u16 group_count() {
    bool grouped[kOpcodeCells] = {};
    u16 count = 0;
    for (u16 form = 1; form < kFormCount; ++form) {
        const Cells cells = cells_of(kForms[form]);
        for (u32 i = 0; i < cells.count && depends_on_mod_rm(kForms[form]); ++i) {
            bool& cell = grouped[cells.first + 256 * i];
            count = static_cast<u16>(count + !cell);
            cell = true;
        }
    }
    return count;
}

struct Lookup {
    std::array<u16, kOpcodeCells> cells = {};
    std::array<Group, group_count()> groups = {};
    bool unambiguous = true;
};

// Puts a form in an empty place; a taken place means that two rows claim the same bytes.
constexpr void claim(Lookup& lookup, u16& place, u16 form) {
    lookup.unambiguous &= place == 0;
    place = form;
}

constexpr void add_to_group(Lookup& lookup, Group& group, u16 form) {
    const Form& row = kForms[form];
    for (u16 reg = 0; reg < 8; ++reg) {
        if (row.group >= 0 && row.group != reg)
            continue;
        if ((row.attributes & kRegisterOnly) == 0)
            claim(lookup, group.memory[reg], form);
        for (u16 rm = 0; rm < 8 && (row.attributes & kMemoryOnly) == 0; ++rm)
            claim(lookup, group.whole[reg * 8 + rm], form);
    }
}

constexpr void add_to_cell(Lookup& lookup, u16& cell, u16& groups, u16 form) {
    if (!depends_on_mod_rm(kForms[form])) {
        claim(lookup, cell, form);
        return;
    }
    if (cell == 0)
        cell = static_cast<u16>(kGroupBit | groups++);
    lookup.unambiguous &= (cell & kGroupBit) != 0;
    if (kForms[form].group < 0xC0)
        add_to_group(lookup, lookup.groups[cell & ~kGroupBit], form);
}

constexpr Lookup build_lookup() {
    Lookup lookup;
    u16 groups = 0;
    for (u16 form = 1; form < kFormCount; ++form) {
        const Cells cells = cells_of(kForms[form]);
        for (u32 i = 0; i < cells.count; ++i)
            add_to_cell(lookup, lookup.cells[cells.first + 256 * i], groups, form);
    }
    // Rows for one ModRM byte come last: they take their byte from the row for the whole ModRM.reg digit.
    for (u16 form = 1; form < kFormCount; ++form) {
        const Cells cells = cells_of(kForms[form]);
        for (u32 i = 0; i < cells.count && kForms[form].group >= 0xC0; ++i)
            lookup.groups[lookup.cells[cells.first + 256 * i] & ~kGroupBit].whole[kForms[form].group - 0xC0] = form;
    }
    return lookup;
}

constexpr Lookup kLookup = build_lookup();
static_assert(kLookup.unambiguous, "two rows of opcodes.def claim the same bytes");

// What a byte before the opcode does.
enum class Prefix : u8 { None, Segment, OperandSize, AddressSize, Lock, Repne, Rep };

constexpr auto kPrefixes = [] {
    std::array<Prefix, 256> prefixes = {};
    for (const u8 byte : {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65})
        prefixes[byte] = Prefix::Segment;
    prefixes[0x66] = Prefix::OperandSize;
    prefixes[0x67] = Prefix::AddressSize;
    prefixes[0xF0] = Prefix::Lock;
    prefixes[0xF2] = Prefix::Repne;
    prefixes[0xF3] = Prefix::Rep;
    return prefixes;
}();

// 16-bit addressing by ModRM.rm (SDM 2A, table 2-1).
struct Addressing16 {
    u8 base;
    u8 index;
    u8 segment;
};
constexpr Addressing16 kAddressing16[8] = {
    {kEbx, kEsi, kDs},        {kEbx, kEdi, kDs},        {kEbp, kEsi, kSs},        {kEbp, kEdi, kSs},
    {kEsi, kNoRegister, kDs}, {kEdi, kNoRegister, kDs}, {kEbp, kNoRegister, kSs}, {kEbx, kNoRegister, kDs},
};

// --- Reading. Everything after the prefixes takes at most kMostAfterPrefixes bytes, and decode() makes sure that so
// many can be read; whether they were really given is checked once, at the end.

constexpr u32 kMaxLength = 15;
constexpr u32 kMostAfterPrefixes = 12; // 0F, opcode, ModRM, SIB, displacement 4, immediate 4

u32 take8(const u8*& at) { return *at++; }

u32 take8_signed(const u8*& at) { return static_cast<u32>(static_cast<i32>(static_cast<i8>(*at++))); }

u32 take16(const u8*& at) {
    const u32 value = at[0] | static_cast<u32>(at[1]) << 8;
    at += 2;
    return value;
}

u32 take16_signed(const u8*& at) { return static_cast<u32>(static_cast<i32>(static_cast<i16>(take16(at)))); }

u32 take32(const u8*& at) {
    const u32 low = take16(at);
    return low | take16(at) << 16;
}

void use_segment(Instruction& in, u8 segment) {
    if ((in.flags & kHasSegment) == 0)
        in.segment = segment;
}

void take_displacement(const u8*& at, u8 mod, Instruction& in) {
    if (mod == 1)
        in.displacement = take8_signed(at);
    else if (mod == 2)
        in.displacement = in.address_size == 4 ? take32(at) : take16_signed(at);
}

void take_memory16(const u8*& at, u8 mod, u8 rm, Instruction& in) {
    if (mod == 0 && rm == 6) {
        in.displacement = take16_signed(at);
        return;
    }
    in.base = kAddressing16[rm].base;
    in.index = kAddressing16[rm].index;
    use_segment(in, kAddressing16[rm].segment);
    take_displacement(at, mod, in);
}

void take_memory32(const u8*& at, u8 mod, u8 rm, Instruction& in) {
    u8 base = rm;
    if (rm == kEsp) { // a SIB byte follows
        const u8 sib = *at++;
        base = sib & 7;
        const u8 index = (sib >> 3) & 7;
        if (index != kEsp) {
            in.index = index;
            in.scale = sib >> 6;
        }
    }
    if (mod == 0 && base == kEbp) {
        in.displacement = take32(at);
        return;
    }
    in.base = base;
    if (base == kEsp || base == kEbp)
        use_segment(in, kSs);
    take_displacement(at, mod, in);
}

void take_immediate(const u8*& at, Immediate kind, Instruction& in) {
    const bool wide = in.operand_size == 4;
    switch (kind) {
    case Immediate::None:
    case Immediate::FloatOpcode: // no bytes of its own
        break;
    case Immediate::Byte:
        in.immediate = take8(at);
        break;
    case Immediate::ByteSigned:
        in.immediate = take8_signed(at);
        break;
    case Immediate::Word:
        in.immediate = take16(at);
        break;
    case Immediate::Full:
        in.immediate = wide ? take32(at) : take16(at);
        break;
    case Immediate::JumpByte:
        in.displacement = take8_signed(at);
        break;
    case Immediate::JumpFull:
        in.displacement = wide ? take32(at) : take16_signed(at);
        break;
    case Immediate::Offset:
        in.displacement = in.address_size == 4 ? take32(at) : take16(at);
        in.flags |= kHasMemory;
        break;
    case Immediate::FarPointer:
        in.immediate = wide ? take32(at) : take16(at);
        in.immediate2 = static_cast<u16>(take16(at));
        break;
    case Immediate::Enter:
        in.immediate = take16(at);
        in.immediate2 = static_cast<u16>(take8(at));
        break;
    }
}

// Reads prefixes up to the first other byte, at most `limit` of them.
u32 take_prefixes(const u8* bytes, u32 limit, CodeMode mode, Instruction& in) {
    u32 count = 0;
    for (; count < limit; ++count) {
        const u8 byte = bytes[count];
        switch (kPrefixes[byte]) {
        case Prefix::None:
            return count;
        case Prefix::Segment:
            in.segment = byte >= 0x64 ? static_cast<u8>(byte - 0x64 + kFs) : (byte >> 3) & 3;
            in.flags |= kHasSegment;
            break;
        case Prefix::OperandSize:
            in.operand_size = mode.default_32 ? 2 : 4;
            break;
        case Prefix::AddressSize:
            in.address_size = mode.default_32 ? 2 : 4;
            break;
        case Prefix::Lock:
            in.flags |= kHasLock;
            break;
        case Prefix::Repne:
            in.flags = (in.flags & ~kHasRep) | kHasRepne;
            break;
        case Prefix::Rep:
            in.flags = (in.flags & ~kHasRepne) | kHasRep;
            break;
        }
    }
    return count;
}

// Which mandatory prefix an opcode after 0F has: F2 and F3 go before 66 (SDM 2A 2.1.2).
u32 column_of(CodeMode mode, const Instruction& in) {
    if (in.repeats())
        return (in.flags & kHasRepne) != 0 ? kMapF2 - kMapNone : kMapF3 - kMapNone;
    return in.operand_size == (mode.default_32 ? 4 : 2) ? 0 : kMap66 - kMapNone;
}

// Opcode and what follows it. Returns false if there is no such form.
bool take_opcode(const u8*& at, CodeMode mode, Instruction& in) {
    u32 cell = take8(at);
    if (cell == 0x0F)
        cell = 256 + 256 * column_of(mode, in) + take8(at);
    in.reg = cell & 7;
    u16 form = kLookup.cells[cell];
    if ((form & kGroupBit) != 0) {
        const Group& group = kLookup.groups[form & ~kGroupBit];
        const u8 mod_rm = *at; // counted below if the form exists
        form = mod_rm >= 0xC0 ? group.whole[mod_rm - 0xC0] : group.memory[(mod_rm >> 3) & 7];
        at += form == 0;
    }
    if (form == 0)
        return false;
    in.form = form;
    const Rule rule = kRules[form];
    if (rule.mod_rm) {
        const u8 mod_rm = *at++;
        const u8 mod = rule.mod_ignored ? 3 : mod_rm >> 6;
        in.reg = (mod_rm >> 3) & 7;
        in.flags |= kHasModRm;
        if (rule.immediate == Immediate::FloatOpcode)
            in.immediate = (cell & 7) << 8 | mod_rm;
        if ((kValidReg[static_cast<u8>(rule.reg_field)] >> in.reg & 1) == 0)
            return false;
        if (mod == 3) {
            in.rm = mod_rm & 7;
        } else {
            in.flags |= kHasMemory;
            (in.address_size == 4 ? take_memory32 : take_memory16)(at, mod, mod_rm & 7, in);
        }
    }
    take_immediate(at, rule.immediate, in);
    return (in.flags & kHasLock) == 0 || (rule.lockable && (in.flags & kHasMemory) != 0);
}

// What decoding starts from, by CodeMode. Copied: a compiler makes a temporary of an Instruction{} member by member,
// and reading that as a whole waits for each of those stores.
constexpr Instruction blank(u8 size) {
    Instruction in;
    in.operand_size = in.address_size = size;
    return in;
}
constexpr Instruction kBlank[] = {blank(2), blank(4)};

} // namespace

DecodeStatus decode(std::span<const u8> bytes, CodeMode mode, Instruction& instruction) {
    // Written in place: copying bytes that were written one by one stalls for longer than the fields take to decode.
    Instruction& in = instruction;
    std::memcpy(static_cast<void*>(&in), &kBlank[mode.default_32 ? 1 : 0], sizeof in);
    const u32 given = bytes.size() < kMaxLength ? static_cast<u32>(bytes.size()) : kMaxLength;
    const u32 prefixes = take_prefixes(bytes.data(), given, mode, in);

    const u8* at = bytes.data() + prefixes;
    u8 padded[kMostAfterPrefixes] = {};
    if (const u32 left = given - prefixes; left < kMostAfterPrefixes) {
        if (left != 0)
            std::memcpy(padded, at, left);
        at = padded;
    }
    const u8* const start = at;
    const bool known = take_opcode(at, mode, in);
    const u32 length = prefixes + static_cast<u32>(at - start);
    if (known && length <= given) {
        in.length = static_cast<u8>(length);
        in.prefixes = static_cast<u8>(prefixes);
        return DecodeStatus::Ok;
    }
    in = Instruction{};
    in.length = static_cast<u8>(length < given ? length : given);
    if (length <= given)
        return DecodeStatus::Undefined;
    return given == kMaxLength ? DecodeStatus::TooLong : DecodeStatus::Truncated;
}

} // namespace forkscope
