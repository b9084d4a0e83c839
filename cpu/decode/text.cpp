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

constexpr std::string_view kPredicates[] = {"eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"};

// CMPPS and its like have a name for each predicate, which then is no operand.
bool has_predicate_name(const Instruction& in) {
    return (form_at(in.form).attributes & kNamesPredicate) != 0 && in.immediate < std::size(kPredicates);
}

std::string_view mnemonic_of(const Instruction& in) {
    const Form& form = form_at(in.form);
    if (!form.name_f3.empty() && (in.flags & kHasRep) != 0)
        return form.name_f3;
    const u8 size = (form.attributes & kNamedByAddress) != 0 ? in.address_size : in.operand_size;
    const std::string_view name = size == 4 ? form.name_32 : form.name_16;
    return name.empty() ? form.mnemonic : name;
}

std::string hex(u32 value) {
    char text[16];
    std::snprintf(text, sizeof(text), value < 10 ? "%u" : "0x%x", value);
    return text;
}

std::string_view general_register(u8 number, u32 bytes) {
    return bytes == 1 ? kNames8[number & 7] : bytes == 2 ? kNames16[number & 7] : kNames32[number & 7];
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

std::string memory_text(const Instruction& in, Operand operand) {
    const OperandKind& kind = kind_of(operand);
    std::string text(size_prefix(kind.unsized ? 0 : kind.parts * operand_bytes(operand, in)));
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

// Memory, or the register of that name.
std::string memory_or(std::string_view name, Operand operand, const Instruction& in) {
    return in.has_memory() ? memory_text(in, operand) : std::string(name);
}

std::string operand_text(const Form& form, Operand operand, const Instruction& in, u32 address) {
    const OperandKind& kind = kind_of(operand);
    const u32 bytes = operand_bytes(operand, in);
    switch (kind.place) {
    case Place::None:
        return {};
    case Place::Reg:
    case Place::InOpcode:
        return std::string(general_register(in.reg, bytes));
    case Place::Rm:
    case Place::RmOrMemory:
        return memory_or(general_register(in.rm, bytes), operand, in);
    case Place::Memory:
    case Place::Offset:
        return memory_text(in, operand);
    case Place::MmReg:
        return std::string(kMmRegisters[in.reg]);
    case Place::MmRm:
    case Place::MmOrMemory:
        return memory_or(kMmRegisters[in.rm], operand, in);
    case Place::XmmReg:
        return std::string(kXmmRegisters[in.reg]);
    case Place::XmmRm:
    case Place::XmmOrMemory:
        return memory_or(kXmmRegisters[in.rm], operand, in);
    case Place::Segment:
        return std::string(kSegmentNames[in.reg]);
    case Place::Control:
        return "cr" + hex(in.reg);
    case Place::Debug:
        return "dr" + hex(in.reg);
    case Place::Test:
        return "tr" + hex(in.reg);
    case Place::FloatRm:
        return std::string(kStackRegisters[in.rm]);
    case Place::Immediate: {
        if (operand == Operand::Ibs)
            return hex(in.operand_size == 4 ? in.immediate : in.immediate & 0xFFFF);
        const bool level = operand == Operand::Ib && (form.attributes & kNestsFrames) != 0;
        return hex(level ? in.immediate2 : in.immediate);
    }
    case Place::Distance:
        return target_text(in, address);
    case Place::FarPointer:
        return hex(in.immediate2) + ":" + hex(in.immediate);
    case Place::StringSource:
        return string_operand_text(in, bytes, in.segment, kEsi);
    case Place::StringTarget:
        return string_operand_text(in, bytes, kEs, kEdi);
    case Place::Constant:
        return hex(kind.number);
    case Place::General:
        return std::string(general_register(kind.number, bytes));
    case Place::FixedSegment:
        return std::string(kSegmentNames[kind.number]);
    case Place::FloatTop:
        return std::string(kStackRegisters[0]);
    }
    return {};
}

} // namespace

std::string to_text(const Instruction& instruction, u32 address) {
    const Form& form = form_at(instruction.form);
    std::string text;
    if ((instruction.flags & kHasLock) != 0)
        text += "lock ";
    if ((form.attributes & kString) != 0 && instruction.repeats())
        text += (instruction.flags & kHasRepne) != 0 ? "repne " : form.flags.written.empty() ? "rep " : "repe ";
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
        text += operand_text(form, operand, instruction, address);
        separator = ", ";
    }
    return text;
}

} // namespace forkscope
