#include "cpu/decode/instruction.hpp"

namespace forkscope {

namespace {

#define NOGROUP -1
#define OPCODE(map, opcode, group, mnemonic, first, second, third, handler, read, written, undefined, attributes,      \
               since, cost)                                                                                            \
    Form{map,                                                                                                          \
         opcode,                                                                                                       \
         group,                                                                                                        \
         mnemonic,                                                                                                     \
         {Operand::first, Operand::second, Operand::third},                                                            \
         read,                                                                                                         \
         written,                                                                                                      \
         undefined,                                                                                                    \
         attributes,                                                                                                   \
         Since::since,                                                                                                 \
         CostClass::cost},

constexpr Form kForms[] = {
    // Index 0: the undefined opcode. Its bytes belong to no row, so map 0 keeps it out of every lookup.
    Form{0, 0, NOGROUP, "(undefined)", {}, "", "", "", kEndsBlock | kNoFuzz, Since::I386, CostClass::Simple},
#include "cpu/decode/opcodes.def"
};

#undef OPCODE
#undef NOGROUP

constexpr u16 kFormCount = static_cast<u16>(sizeof(kForms) / sizeof(kForms[0]));

} // namespace

const Form& form_at(u16 index) { return kForms[index < kFormCount ? index : 0]; }

u16 form_count() { return kFormCount; }

} // namespace forkscope
