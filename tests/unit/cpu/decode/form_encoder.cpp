#include "form_encoder.hpp"

#include <algorithm>

namespace forkscope::test {

namespace {

bool has_operand(const Form& form, std::initializer_list<Operand> wanted) {
    return std::any_of(std::begin(form.operands), std::end(form.operands), [&](Operand operand) {
        return std::find(wanted.begin(), wanted.end(), operand) != wanted.end();
    });
}

void append(std::vector<u8>& bytes, u32 value, u32 size) {
    for (u32 i = 0; i < size; ++i)
        bytes.push_back(static_cast<u8>(value >> (8 * i)));
}

u32 sign_extended(u32 value, u32 size) {
    const u32 shift = 32 - 8 * size;
    return static_cast<u32>(static_cast<i32>(value << shift) >> shift);
}

u32 zero_extended(u32 value, u32 size) { return size == 4 ? value : value & ((1u << (8 * size)) - 1); }

bool fits(u32 value, u32 size) { return sign_extended(value, size) == value; }

u8 make_mod_rm(u32 mod, u32 rm) { return static_cast<u8>(mod << 6 | rm); }

// Adds `head` with each displacement width that can hold the value. No displacement at all is possible where
// `may_be_bare` says so; a full displacement without base is mod 0.
void add_widths(std::vector<AddressBytes>& out, AddressBytes head, u32 displacement, u32 full, bool may_be_bare) {
    if (displacement == 0 && may_be_bare)
        out.push_back(head);
    head[0] |= 0x40;
    if (fits(displacement, 1)) {
        out.push_back(head);
        append(out.back(), displacement, 1);
    }
    head[0] ^= 0xC0;
    if (full == 4 || fits(displacement, 2)) {
        out.push_back(head);
        append(out.back(), displacement, full);
    }
}

std::vector<AddressBytes> encode_address16(const MemoryOperand& operand) {
    std::vector<AddressBytes> out;
    if (operand.base == kNoRegister && operand.index == kNoRegister) {
        if (fits(operand.displacement, 2)) {
            out.push_back({make_mod_rm(0, 6)});
            append(out.back(), operand.displacement, 2);
        }
        return out;
    }
    struct Pair {
        u8 base, index;
    };
    constexpr Pair kPairs[8] = {{kEbx, kEsi},        {kEbx, kEdi},        {kEbp, kEsi},        {kEbp, kEdi},
                                {kEsi, kNoRegister}, {kEdi, kNoRegister}, {kEbp, kNoRegister}, {kEbx, kNoRegister}};
    for (u32 rm = 0; rm < 8; ++rm) {
        if (kPairs[rm].base == operand.base && kPairs[rm].index == operand.index && operand.scale == 0)
            add_widths(out, {make_mod_rm(0, rm)}, operand.displacement, 2, rm != 6);
    }
    return out;
}

std::vector<AddressBytes> encode_address32(const MemoryOperand& operand) {
    std::vector<AddressBytes> out;
    const bool indexed = operand.index != kNoRegister;
    if (operand.index == kEsp)
        return out; // cannot be said
    const u32 index = indexed ? operand.index : 4u;
    // Without an index the scale means nothing, so every scale is one more encoding.
    for (u32 scale = indexed ? operand.scale : 0; scale <= (indexed ? operand.scale : 3u); ++scale) {
        const u8 sib = static_cast<u8>(scale << 6 | index << 3);
        if (operand.base == kNoRegister) {
            out.push_back({make_mod_rm(0, 4), static_cast<u8>(sib | 5)});
            append(out.back(), operand.displacement, 4);
        } else {
            add_widths(out, {make_mod_rm(0, 4), static_cast<u8>(sib | operand.base)}, operand.displacement, 4,
                       operand.base != kEbp);
        }
    }
    if (indexed)
        return out;
    if (operand.base == kNoRegister) {
        out.push_back({make_mod_rm(0, 5)});
        append(out.back(), operand.displacement, 4);
    } else if (operand.base != kEsp) {
        add_widths(out, {make_mod_rm(0, operand.base)}, operand.displacement, 4, operand.base != kEbp);
    }
    return out;
}

void encode_prefixes(u8 map, const Choice& choice, Encoded& out) {
    constexpr u8 kOverrides[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    const u8 default_size = choice.mode.default_32 ? 4 : 2;
    if (choice.lock) {
        out.bytes.push_back(0xF0);
        out.expected.flags |= kHasLock;
    }
    if (choice.operand_size != default_size)
        out.bytes.push_back(0x66);
    if (choice.segment != kSegmentCount) {
        out.bytes.push_back(kOverrides[choice.segment]);
        out.expected.flags |= kHasSegment;
        out.expected.segment = choice.segment;
    }
    if (choice.address_size != default_size)
        out.bytes.push_back(0x67);
    if (map == kMapF3 || map == kMapF2) {
        out.bytes.push_back(map == kMapF3 ? 0xF3 : 0xF2);
        out.expected.flags |= map == kMapF3 ? kHasRep : kHasRepne;
    }
}

// 66 as part of the opcode is the prefix that is not the default operand size.
u8 operand_size_of(const Form& form, const Choice& choice) {
    const u8 default_size = choice.mode.default_32 ? 4 : 2;
    if (form.map == kMap66)
        return static_cast<u8>(6 - default_size);
    return form.map == kMapNone ? default_size : choice.operand_size;
}

void encode_mod_rm(const Form& form, const Choice& choice, Encoded& out) {
    Instruction& in = out.expected;
    in.flags |= kHasModRm;
    u8 reg = choice.reg;
    u8 rm = choice.rm;
    if (form.group >= 0xC0) {
        reg = form.group >> 3 & 7;
        rm = form.group & 7;
    } else if (form.group >= 0) {
        reg = static_cast<u8>(form.group);
    }
    in.reg = reg;
    if (choice.memory == nullptr || form.group >= 0xC0) {
        in.rm = rm;
        out.bytes.push_back(static_cast<u8>(0xC0 | reg << 3 | rm));
        return;
    }
    in.flags |= kHasMemory;
    in.base = choice.memory->base;
    in.index = choice.memory->index;
    in.scale = choice.memory->scale;
    in.displacement = choice.memory->displacement;
    if (choice.segment == kSegmentCount && (in.base == kEbp || in.base == kEsp))
        in.segment = kSs;
    const size_t at = out.bytes.size();
    out.bytes.insert(out.bytes.end(), choice.address->begin(), choice.address->end());
    out.bytes[at] = static_cast<u8>(out.bytes[at] | reg << 3);
}

// The immediate bytes of one operand, and what is to become of them.
void encode_immediate(Operand operand, const Form& form, const Choice& choice, Encoded& out) {
    Instruction& in = out.expected;
    const u32 full = choice.operand_size;
    switch (operand) {
    case Operand::Ib:
        if (form.operands[0] == Operand::Iw) { // ENTER
            in.immediate2 = static_cast<u16>(zero_extended(choice.immediate2, 1));
            append(out.bytes, choice.immediate2, 1);
        } else {
            in.immediate = zero_extended(choice.immediate, 1);
            append(out.bytes, choice.immediate, 1);
        }
        break;
    case Operand::Ibs:
        in.immediate = sign_extended(choice.immediate, 1);
        append(out.bytes, choice.immediate, 1);
        break;
    case Operand::Iw:
        in.immediate = zero_extended(choice.immediate, 2);
        append(out.bytes, choice.immediate, 2);
        break;
    case Operand::Iz:
    case Operand::Iv:
        in.immediate = zero_extended(choice.immediate, full);
        append(out.bytes, choice.immediate, full);
        break;
    case Operand::Jb:
        in.displacement = sign_extended(choice.immediate, 1);
        append(out.bytes, choice.immediate, 1);
        break;
    case Operand::Jz:
        in.displacement = sign_extended(choice.immediate, full);
        append(out.bytes, choice.immediate, full);
        break;
    case Operand::Ob:
    case Operand::Ov:
        in.flags |= kHasMemory;
        in.displacement = zero_extended(choice.immediate, choice.address_size);
        append(out.bytes, choice.immediate, choice.address_size);
        break;
    case Operand::Ap:
        in.immediate = zero_extended(choice.immediate, full);
        in.immediate2 = choice.immediate2;
        append(out.bytes, choice.immediate, full);
        append(out.bytes, choice.immediate2, 2);
        break;
    default:
        break;
    }
}

} // namespace

std::vector<AddressBytes> encode_address(const MemoryOperand& operand, u8 address_size) {
    return address_size == 4 ? encode_address32(operand) : encode_address16(operand);
}

std::vector<MemoryOperand> every_memory_operand(u8 address_size) {
    std::vector<MemoryOperand> out;
    std::vector<u32> displacements = {0, 1, 0x7F, ~0x7Fu, 0x80, 0x7FFF, ~0x7FFFu};
    if (address_size == 4)
        displacements.insert(displacements.end(), {0x8000, 0x7FFFFFFF, 0x80000000});
    for (u8 base = 0; base <= 8; ++base) {
        for (u8 index = 0; index <= 8; ++index) {
            for (u8 scale = 0; scale < (index == 8 ? 1 : 4); ++scale) {
                for (const u32 displacement : displacements) {
                    const MemoryOperand operand{base == 8 ? u8{kNoRegister} : base,
                                                index == 8 ? u8{kNoRegister} : index, scale, displacement};
                    if (!encode_address(operand, address_size).empty())
                        out.push_back(operand);
                }
            }
        }
    }
    return out;
}

bool has_mod_rm(const Form& form) {
    return form.group >= 0 || std::any_of(std::begin(form.operands), std::end(form.operands),
                                          [](Operand operand) { return kind_of(operand).by_mod_rm(); });
}

bool ignores_mod(const Form& form) { return has_operand(form, {Operand::Cd, Operand::Dd, Operand::Td}); }

bool is_valid_reg(const Form& form, u8 reg) {
    if (has_operand(form, {Operand::Cd}))
        return reg == 0 || (reg >= 2 && reg <= 4);
    if (has_operand(form, {Operand::Sw}))
        return reg <= kGs && !(reg == kCs && form.operands[0] == Operand::Sw);
    return true;
}

Encoded encode(u16 form_index, const Choice& wanted) {
    const Form& form = form_at(form_index);
    Choice choice = wanted;
    choice.operand_size = operand_size_of(form, wanted);
    Encoded out;
    out.expected.form = form_index;
    out.expected.operand_size = choice.operand_size;
    out.expected.address_size = choice.address_size;
    encode_prefixes(form.map, choice, out);
    if (form.map != 1)
        out.bytes.push_back(0x0F);
    out.bytes.push_back(form.opcode);
    const size_t mod_rm_at = out.bytes.size();
    if (has_mod_rm(form))
        encode_mod_rm(form, choice, out);
    else
        out.expected.reg = form.opcode & 7;
    if (form.map == 1 && form.opcode >= 0xD8 && form.opcode <= 0xDF)
        out.expected.immediate = (form.opcode & 7u) << 8 | out.bytes[mod_rm_at];
    for (const Operand operand : form.operands)
        encode_immediate(operand, form, choice, out);
    out.expected.length = static_cast<u8>(out.bytes.size());
    return out;
}

} // namespace forkscope::test
