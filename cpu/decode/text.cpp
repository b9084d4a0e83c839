#include <array>
#include <cstdio>

#include "cpu/decode/decoder.hpp"

namespace forkscope {

namespace {

constexpr std::string_view kNames8[] = {"al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"};
constexpr std::string_view kNames16[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
constexpr std::string_view kNames32[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::string_view kStackRegisters[] = {"st(0)", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"};
constexpr std::string_view kMmRegisters[] = {"mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7"};
constexpr std::string_view kXmmRegisters[] = {"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"};
constexpr std::string_view kSegmentNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};

// Forms whose name in Intel syntax depends on a size; the table names them once.
struct SizedName {
    std::string_view form;
    std::string_view name16;
    std::string_view name32;
};
constexpr SizedName kSizedNames[] = {
    {"cbw", "cbw", "cwde"},       {"cwd", "cwd", "cdq"},      {"pusha", "pusha", "pushad"}, {"popa", "popa", "popad"},
    {"pushf", "pushf", "pushfd"}, {"popf", "popf", "popfd"},  {"iret", "iret", "iretd"},    {"movs", "movsw", "movsd"},
    {"cmps", "cmpsw", "cmpsd"},   {"stos", "stosw", "stosd"}, {"lods", "lodsw", "lodsd"},   {"scas", "scasw", "scasd"},
    {"ins", "insw", "insd"},      {"outs", "outsw", "outsd"},
};

constexpr std::string_view kPredicates[] = {"eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"};

// CMPPS and its like have a name for each predicate, which then is no operand.
bool has_predicate_name(const Instruction& in) {
    const Form& form = form_at(in.form);
    return form.opcode == 0xC2 && form.map >= kMapNone && in.immediate < std::size(kPredicates);
}

std::string_view mnemonic_of(const Instruction& in) {
    const std::string_view name = form_at(in.form).mnemonic;
    if (name == "jcxz")
        return in.address_size == 4 ? "jecxz" : "jcxz";
    if (name == "nop" && form_at(in.form).map == 1 && (in.flags & kHasRep) != 0)
        return "pause";
    for (const SizedName& sized : kSizedNames) {
        if (sized.form == name)
            return in.operand_size == 4 ? sized.name32 : sized.name16;
    }
    return name;
}

std::string hex(u32 value) {
    char text[16];
    std::snprintf(text, sizeof(text), value < 10 ? "%u" : "0x%x", value);
    return text;
}

std::string_view general_register(u8 number, u32 bytes) {
    return bytes == 1 ? kNames8[number & 7] : bytes == 2 ? kNames16[number & 7] : kNames32[number & 7];
}

// Bytes of what an operand names; 0 where it has no size of its own.
u32 operand_bytes(Operand operand, const Instruction& in) {
    switch (operand) {
    case Operand::Eb:
    case Operand::Gb:
    case Operand::Mb:
    case Operand::Ib:
    case Operand::Ob:
    case Operand::Zb:
    case Operand::Xb:
    case Operand::Yb:
        return 1;
    case Operand::Ew:
    case Operand::Gw:
    case Operand::Mw:
    case Operand::Iw:
    case Operand::Sw:
        return 2;
    case Operand::Ed:
    case Operand::Gd:
    case Operand::Md:
    case Operand::Rd:
    case Operand::Zd:
    case Operand::Qd:
    case Operand::Wd:
        return 4;
    case Operand::Edw:
        return in.has_memory() ? 2 : 4;
    case Operand::Mq:
    case Operand::Qq:
    case Operand::Wq:
        return 8;
    case Operand::Mt:
        return 10;
    case Operand::Wx:
    case Operand::Mx:
        return 16;
    case Operand::Mp:
        return in.operand_size + 2u;
    case Operand::Ma:
        return in.operand_size * 2u;
    case Operand::Ms:
    case Operand::M:
        return 0;
    default:
        return in.operand_size;
    }
}

std::string_view size_prefix(u32 bytes) {
    switch (bytes) {
    case 1:
        return "byte ptr ";
    case 2:
        return "word ptr ";
    case 4:
        return "dword ptr ";
    case 6:
        return "fword ptr ";
    case 8:
        return "qword ptr ";
    case 10:
        return "xword ptr ";
    case 16:
        return "xmmword ptr ";
    default:
        return "";
    }
}

std::string address_text(const Instruction& in) {
    std::string text;
    if (in.base != kNoRegister)
        text += general_register(in.base, in.address_size);
    if (in.index != kNoRegister) {
        if (!text.empty())
            text += '+';
        text += general_register(in.index, in.address_size);
        if (in.scale != 0) {
            text += '*';
            text += hex(1u << in.scale);
        }
    }
    if (text.empty())
        return hex(in.address_size == 4 ? in.displacement : in.displacement & 0xFFFF);
    if (in.displacement != 0) {
        const bool negative = (in.displacement >> 31) != 0;
        text += negative ? '-' : '+';
        text += hex(negative ? 0 - in.displacement : in.displacement);
    }
    return text;
}

std::string memory_text(const Instruction& in, u32 bytes) {
    std::string text(size_prefix(bytes));
    if ((in.flags & kHasSegment) != 0)
        text += std::string(kSegmentNames[in.segment]) + ":";
    return text + "[" + address_text(in) + "]";
}

// DS:eSI and ES:eDI of the string instructions.
std::string string_operand_text(const Instruction& in, u32 bytes, u8 segment, u8 pointer) {
    return std::string(size_prefix(bytes)) + std::string(kSegmentNames[segment]) + ":[" +
           std::string(general_register(pointer, in.address_size)) + "]";
}

std::string target_text(const Instruction& in, u32 address) {
    const u32 target = address + in.length + in.displacement;
    return hex(in.operand_size == 4 ? target : target & 0xFFFF);
}

// Operands that the opcode itself names.
std::string_view fixed_operand_text(Operand operand, const Instruction& in) {
    switch (operand) {
    case Operand::One:
        return "1";
    case Operand::Three:
        return "3";
    case Operand::Al:
        return "al";
    case Operand::Cl:
        return "cl";
    case Operand::Ax:
        return "ax";
    case Operand::Dx:
        return "dx";
    case Operand::Eax:
        return general_register(kEax, in.operand_size);
    default:
        return kSegmentNames[static_cast<u8>(operand) - static_cast<u8>(Operand::Es)];
    }
}

// MM and XMM registers; empty for other operands, and for memory.
std::string_view simd_register(Operand operand, const Instruction& in) {
    switch (operand) {
    case Operand::Pq:
        return kMmRegisters[in.reg];
    case Operand::Vx:
        return kXmmRegisters[in.reg];
    case Operand::Nq:
    case Operand::Qd:
    case Operand::Qq:
        return in.has_memory() ? std::string_view() : kMmRegisters[in.rm];
    case Operand::Ux:
    case Operand::Wd:
    case Operand::Wq:
    case Operand::Wx:
        return in.has_memory() ? std::string_view() : kXmmRegisters[in.rm];
    default:
        return {};
    }
}

std::string operand_text(Operand operand, const Instruction& in, u32 address) {
    const u32 bytes = operand_bytes(operand, in);
    switch (operand) {
    case Operand::None:
        return {};
    case Operand::Gb:
    case Operand::Gw:
    case Operand::Gd:
    case Operand::Gv:
    case Operand::Zb:
    case Operand::Zd:
    case Operand::Zv:
        return std::string(general_register(in.reg, bytes));
    case Operand::Ib:
    case Operand::Iw:
    case Operand::Iz:
    case Operand::Iv:
        // ENTER keeps its second immediate apart.
        return hex(operand == Operand::Ib && form_at(in.form).operands[0] == Operand::Iw ? in.immediate2
                                                                                         : in.immediate);
    case Operand::Ibs:
        return hex(in.operand_size == 4 ? in.immediate : in.immediate & 0xFFFF);
    case Operand::Jb:
    case Operand::Jz:
        return target_text(in, address);
    case Operand::Sw:
        return std::string(kSegmentNames[in.reg]);
    case Operand::Cd:
        return "cr" + hex(in.reg);
    case Operand::Dd:
        return "dr" + hex(in.reg);
    case Operand::Td:
        return "tr" + hex(in.reg);
    case Operand::Xb:
    case Operand::Xv:
        return string_operand_text(in, bytes, in.segment, kEsi);
    case Operand::Yb:
    case Operand::Yv:
        return string_operand_text(in, bytes, kEs, kEdi);
    case Operand::St0:
        return "st(0)";
    case Operand::Sti:
        return std::string(kStackRegisters[in.rm]);
    case Operand::Ap:
        return hex(in.immediate2) + ":" + hex(in.immediate);
    default:
        if (operand >= Operand::One)
            return std::string(fixed_operand_text(operand, in));
        if (const std::string_view name = simd_register(operand, in); !name.empty())
            return std::string(name);
        // E, M, R, O, Q and W operands
        return in.has_memory() ? memory_text(in, bytes) : std::string(general_register(in.rm, bytes));
    }
}

} // namespace

std::string to_text(const Instruction& instruction, u32 address) {
    const Form& form = form_at(instruction.form);
    std::string text;
    if ((instruction.flags & kHasLock) != 0)
        text += "lock ";
    if ((form.attributes & kString) != 0 && instruction.repeats())
        text += (instruction.flags & kHasRepne) != 0 ? "repne " : form.flags_written.empty() ? "rep " : "repe ";
    const bool names_predicate = has_predicate_name(instruction);
    if (names_predicate)
        text += "cmp" + std::string(kPredicates[instruction.immediate]) + std::string(form.mnemonic.substr(3));
    else
        text += mnemonic_of(instruction);
    std::string_view separator = " ";
    for (const Operand operand : form.operands) {
        if (operand == Operand::None || (names_predicate && operand == Operand::Ib))
            break;
        text += separator;
        text += operand_text(operand, instruction, address);
        separator = ", ";
    }
    return text;
}

} // namespace forkscope
