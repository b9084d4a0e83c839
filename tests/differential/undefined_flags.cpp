#include "undefined_flags.hpp"

#include "undefined_forms.hpp"

namespace forkscope::test {

namespace {

// The count of a shift or rotate, masked as the processor does; the last operand says where it comes from.
u32 shift_count(const Instruction& in, const Form& form, const CpuState& before) {
    for (const Operand operand : form.operands) {
        if (operand == Operand::One)
            return 1;
        if (operand == Operand::Cl)
            return before.reg<u8>(kEcx) & 31u;
        if (operand == Operand::Ib)
            return in.immediate & 31;
    }
    return 0;
}

u32 operand_bits(const Instruction& in, const Form& form) {
    return form.operands[0] == Operand::Eb ? 8 : in.operand_size * 8u;
}

FlagEffect rotate_effect(u32 count) {
    if (count == 0)
        return {};
    return count == 1 ? FlagEffect{kFlagC | kFlagO, 0} : FlagEffect{kFlagC, kFlagO};
}

// SDM 2B, SAL/SAR/SHL/SHR and SHLD, SHRD: AF always, OF unless the count is 1, CF where the count reaches the width
// (not SAR), and everything where a double shift's count exceeds it.
FlagEffect shift_effect(const Form& form, u32 count, u32 bits) {
    if (count == 0)
        return {};
    constexpr u32 kAll = kFlagsArithmetic;
    const bool is_double = is_one_of(form.mnemonic, {"shld", "shrd"});
    if (is_double && count > bits)
        return {0, kAll};
    u32 undefined = kFlagA;
    if (count != 1)
        undefined |= kFlagO;
    if (!is_double && form.mnemonic != "sar" && count >= bits)
        undefined |= kFlagC;
    return {kAll & ~undefined, undefined};
}

} // namespace

u32 flags_of(std::string_view letters) {
    constexpr std::string_view kLetters = "odiszapc";
    constexpr u32 kBitOf[] = {kFlagO, kFlagD, kFlagI, kFlagS, kFlagZ, kFlagA, kFlagP, kFlagC};
    u32 bits = 0;
    for (const char letter : letters)
        bits |= kBitOf[kLetters.find(letter)];
    return bits;
}

FlagEffect flag_effect(const Instruction& in, const CpuState& before) {
    const Form& form = form_at(in.form);
    const std::string_view name = form.mnemonic;
    if (is_one_of(name, {"rol", "ror", "rcl", "rcr"}))
        return rotate_effect(shift_count(in, form, before));
    if (is_one_of(name, {"shl", "sal", "shr", "sar", "shld", "shrd"}))
        return shift_effect(form, shift_count(in, form, before), operand_bits(in, form));
    u32 undefined = flags_of(form.flags.undefined);
    if (is_one_of(name, {"and", "or", "xor", "test"}))
        undefined |= kFlagA; // SDM 2: "the state of the AF flag is undefined"
    if (is_one_of(name, {"bt", "bts", "btr", "btc"}))
        undefined &= ~u32{kFlagZ}; // SDM 2A, BT: "the ZF flag is unaffected"
    const u32 mask = in.address_size == 4 ? 0xFFFFFFFFu : 0xFFFFu;
    if ((form.attributes & kString) != 0 && in.repeats() && (before.gpr[kEcx] & mask) == 0)
        return {};
    return {flags_of(form.flags.written) & ~undefined, undefined};
}

bool has_undefined_result(const Instruction& in, const CpuState& before) {
    const Form& form = form_at(in.form);
    if (is_one_of(form.mnemonic, {"shld", "shrd"}))
        return shift_count(in, form, before) > in.operand_size * 8u;
    return form.mnemonic == "bswap" && in.operand_size == 2;
}

bool UndefinedFlags::would_be_read(const Instruction& in) const {
    return (flags_of(form_at(in.form).flags.read) & undefined_) != 0;
}

void UndefinedFlags::note(const Instruction& in, const CpuState& before) {
    const FlagEffect effect = flag_effect(in, before);
    undefined_ = (undefined_ & ~effect.written) | effect.undefined;
}

} // namespace forkscope::test
