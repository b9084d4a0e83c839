// Owns: the rows of opcodes.def as a constant array, with what their columns imply.
// Callers: decoder.cpp and form_table.cpp; everybody else asks form_at(). Promises: known at compile time.
#pragma once

#include "cpu/decode/form.hpp"

namespace forkscope {

inline constexpr OperandKind kOperandKinds[] = {
#define OPERAND(name, where, ...) OperandKind{.place = Place::where, __VA_ARGS__},
#include "cpu/decode/operands.def"
#undef OPERAND
};
constexpr const OperandKind& kind_in_rows(Operand operand) { return kOperandKinds[static_cast<u8>(operand)]; }

namespace form_rows {

using enum Operand;
using enum Since;
using enum CostClass;

constexpr FormOperand R(Operand operand) { return {operand, OperandUse::Read}; }
constexpr FormOperand W(Operand operand) { return {operand, OperandUse::Write}; }
constexpr FormOperand RW(Operand operand) { return {operand, OperandUse::ReadWrite}; }
constexpr FormOperand U(Operand operand) { return {operand, OperandUse::Unused}; }

constexpr Form complete(Form form) {
    if (form.transfer != Transfer::None || form.port != Port::None)
        form.attributes |= kEndsBlock;
    for (const FormOperand& operand : form.operands)
        form.attributes |= kind_in_rows(operand).string() ? kString : 0;
    return form;
}

#define OPCODE(map_, opcode_, mnemonic_, handler, ...)                                                                 \
    complete(Form{.map = map_, .opcode = opcode_, .mnemonic = mnemonic_, __VA_ARGS__}),
inline constexpr Form kForms[] = {
    // Index 0: the undefined opcode. Its bytes belong to no row, so map 0 keeps it out of every lookup.
    Form{.map = 0,
         .opcode = 0,
         .mnemonic = "(undefined)",
         .since = I386,
         .cost = Simple,
         .flags = kNoFlags,
         .operands = kNoOperands,
         .attributes = kEndsBlock | kNoFuzz | kUndefined},
#include "cpu/decode/opcodes.def"
};
#undef OPCODE

} // namespace form_rows

using form_rows::kForms;
inline constexpr u16 kFormCount = static_cast<u16>(std::size(kForms));

} // namespace forkscope
