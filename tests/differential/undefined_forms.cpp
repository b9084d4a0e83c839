#include "undefined_forms.hpp"

#include <algorithm>

namespace forkscope::test {

namespace {

// SDM 2D appendix A, tables: the empty places that have stayed empty, and the forms that need memory.
struct UndefinedForm {
    u8 map;
    u8 opcode;
    u8 regs;             // bit n: ModRM.reg = n
    bool register_forms; // only with ModRM.mod = 3
};
constexpr UndefinedForm kUndefinedForms[] = {
    {1, 0x8D, 0xFF, true},                      // LEA
    {2, 0xB2, 0xFF, true},                      // LSS
    {2, 0xB4, 0xFF, true},                      // LFS
    {2, 0xB5, 0xFF, true},                      // LGS
    {1, 0xFF, 1 << 3 | 1 << 5, true},           // CALL, JMP far
    {1, 0xFF, 1 << 7, false},                   //
    {1, 0xFE, 0xFC, false},                     // but for INC, DEC
    {1, 0x8C, 1 << 6 | 1 << 7, false},          // MOV from no segment register
    {1, 0x8E, 1 << 1 | 1 << 6 | 1 << 7, false}, // MOV to CS, or to none
    {1, 0xC6, 0x7E, false},                     // but for MOV, XABORT
    {1, 0xC7, 0x7E, false},                     // but for MOV, XBEGIN
    {2, 0xBA, 0x0F, false},                     // but for BT, BTS, BTR, BTC
    {2, 0xB9, 0xFF, false},                     // UD1
};

} // namespace

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

const char* why_not_drawn(const Form& form) {
    const std::string_view name = form.mnemonic;
    if (form.operands[0] == Operand::Td || form.operands[1] == Operand::Td)
        return "no processor after the 486 has test registers";
    if (is_one_of(name, {"ud0", "ud1"}))
        return "undefined everywhere: drawn as bytes";
    if ((form.attributes & kNoFuzz) != 0)
        return "depends on more than architectural state";
    if (form.cost == CostClass::FloatFunction)
        return "transcendentals may differ in the last place (tests/unit/cpu/numbers/x87_transcendental_test.cpp)";
    if (is_one_of(name, {"rcpps", "rcpss", "rsqrtps", "rsqrtss"}))
        return "approximations are each maker's own (tests/unit/cpu/numbers/simd_test.cpp)";
    if (is_one_of(name, {"fnstenv", "fnsave", "fxsave"}))
        return "stores where the last x87 instruction was, of which processors keep more or less";
    if (is_one_of(name, {"sgdt", "sidt", "sldt", "str", "smsw"}))
        return "Linux answers for the processor where that has UMIP";
    if (name == "int1")
        return "a hypervisor may report it with the EIP before it";
    if (is_one_of(name, {"sysenter", "syscall"}))
        return "calls the host's kernel";
    return nullptr;
}

namespace {

u32 linear_operand(const Instruction& in, const CpuState& before) {
    const u32 offset = before.reg<u32>(in.base) + (before.reg<u32>(in.index) << in.scale) + in.displacement;
    return before.segments[in.segment].base + (in.address_size == 4 ? offset : offset & 0xFFFF);
}

} // namespace

bool is_settled_by_maker(const Instruction& in, const CpuState& before) {
    const Form& form = form_at(in.form);
    if (before.flag(kFlagAc) && in.has_memory() && is_one_of(form.mnemonic, {"movups", "movupd", "movdqu"}))
        return linear_operand(in, before) % 16 == 8;
    const bool is_fcomi =
        (form.opcode == 0xDB || form.opcode == 0xDF) && form.map == 1 && form.flags.written == "oszapc";
    return is_fcomi && (before.x87.status & kX87C1) != 0;
}

bool is_harmless(const Instruction& in) {
    const Form& form = form_at(in.form);
    return is_drawn(form) && !(form.mnemonic == "int" && (in.immediate & 0xFF) == 0x80);
}

bool is_prefix(u8 byte) {
    constexpr u8 kPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};
    return std::find(std::begin(kPrefixes), std::end(kPrefixes), byte) != std::end(kPrefixes);
}

std::vector<u8> undefined_encoding(Random& random) {
    const UndefinedForm& form = kUndefinedForms[random.below(std::size(kUndefinedForms))];
    u32 reg;
    do
        reg = static_cast<u32>(random.below(8));
    while ((form.regs >> reg & 1) == 0);
    std::vector<u8> bytes;
    if (random.chance(4))
        bytes.push_back(random.chance(2) ? 0x66 : 0x67);
    if (form.map == 2)
        bytes.push_back(0x0F);
    bytes.push_back(form.opcode);
    // Without displacement, so that its end is not ambiguous.
    const bool memory = !form.register_forms && random.chance(2);
    bytes.push_back(static_cast<u8>((memory ? 0x07 : 0xC0 | random.below(8)) | reg << 3));
    return bytes;
}

bool is_undefined_everywhere(std::span<const u8> bytes) {
    std::size_t at = 0;
    for (; at < bytes.size() && is_prefix(bytes[at]); ++at)
        if (bytes[at] == 0xF2 || bytes[at] == 0xF3)
            return false;
    const u8 map = at < bytes.size() && bytes[at] == 0x0F ? 2 : 1;
    at += map - 1u;
    if (at + 1 >= bytes.size())
        return false;
    const u8 opcode = bytes[at];
    const u8 mod_rm = bytes[at + 1];
    return std::any_of(std::begin(kUndefinedForms), std::end(kUndefinedForms), [&](const UndefinedForm& form) {
        return form.map == map && form.opcode == opcode && (form.regs >> (mod_rm >> 3 & 7) & 1) != 0 &&
               (!form.register_forms || mod_rm >= 0xC0);
    });
}

} // namespace forkscope::test
