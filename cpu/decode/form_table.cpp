#include "cpu/decode/form_rows.hpp"
#include "cpu/decode/instruction.hpp"

namespace forkscope {

namespace {

// --- What no row may contradict

constexpr bool is_memory(const Form& form) { return kind_in_rows(form.operands[0]).addressed(); }

// Named operands come first, and what is done to each stands with it; constants can only be read.
constexpr bool operands_agree(const Form& form) {
    bool named = true;
    for (const FormOperand& operand : form.operands) {
        if (operand != Operand::None && !named)
            return false;
        named = operand != Operand::None;
        const Place place = kind_in_rows(operand).place;
        const bool constant = (place >= Place::Immediate && place <= Place::FarPointer) || place == Place::Constant;
        if (named != (operand.use != OperandUse::None) || (constant && operand.use != OperandUse::Read))
            return false;
    }
    return true;
}

// LOCK needs a memory destination that is read and written.
constexpr bool lock_agrees(const Form& form) {
    return (form.attributes & kLockable) == 0 || (is_memory(form) && form.operands[0].use == OperandUse::ReadWrite);
}

constexpr bool stack_agrees(const Form& form) {
    const Transfer transfer = form.transfer;
    const bool pushes = transfer == Transfer::Call || transfer == Transfer::FarCall ||
                        transfer == Transfer::Interrupt || transfer == Transfer::Breakpoint ||
                        transfer == Transfer::Overflow;
    const bool pops =
        transfer == Transfer::Return || transfer == Transfer::FarReturn || transfer == Transfer::InterruptReturn;
    return transfer == Transfer::None || (pushes == (form.pushes != 0) && pops == (form.pops != 0));
}

constexpr bool names_agree(const Form& form) {
    return !form.mnemonic.empty() && (form.name_16.empty() || !form.name_32.empty());
}

constexpr bool agrees(const Form& form) {
    const bool port = form.cost.value == CostClass::Io;
    return form.flags.valid() && operands_agree(form) && lock_agrees(form) && stack_agrees(form) && names_agree(form) &&
           port == (form.port != Port::None) &&
           (form.attributes & (kMemoryOnly | kRegisterOnly)) != (kMemoryOnly | kRegisterOnly);
}

// The first row that contradicts itself; kFormCount: none does.
constexpr u16 first_wrong_row() {
    u16 form = 0;
    while (form < kFormCount && agrees(kForms[form]))
        ++form;
    return form;
}
static_assert(first_wrong_row() == kFormCount, "a row of opcodes.def contradicts itself");

} // namespace

const OperandKind& kind_of(Operand operand) { return kind_in_rows(operand); }

u32 operand_bytes(Operand operand, const Instruction& in) {
    const OperandKind& kind = kind_in_rows(operand);
    if (kind.bytes_in_memory != 0 && in.has_memory())
        return kind.bytes_in_memory;
    return (kind.bytes != 0 ? kind.bytes : in.operand_size) + u32{kind.more_bytes};
}

const Form& form_at(u16 index) { return kForms[index < kFormCount ? index : 0]; }

u16 form_count() { return kFormCount; }

} // namespace forkscope
