// Owns: the faults that each memory operand of an instruction raises, taken alone, at CPL 3 in the world of
// native_protocol.hpp.
// Callers: explained_differences.cpp. Promises: computed from registers and data as the instruction finds them; asks
// neither Cpu nor Mmu, so that it can judge them.
#pragma once

#include <vector>

#include "cpu/decode/instruction.hpp"
#include "native_protocol.hpp"

namespace forkscope::test {

struct Fault {
    u32 vector = 0;
    u32 error = 0;
    u32 cr2 = 0; // 0 if the vector is not #PF, as in an Outcome
    bool operator==(const Fault&) const = default;
};

// One memory operand, or the descriptor that a far pointer in memory names.
struct OperandFaults {
    std::vector<Fault> faults; // none: it does not fault. Several: the manual lets the processor choose
    u32 stored_at = 0;         // linear address of what the operand stores
    u32 stored_bytes = 0;
};

// Of instructions with more than one memory operand, in the order in which this project asks for them, and a descriptor
// that faults as the last; else empty.
// `before`: an outcome of the instruction that is a fault, and so leaves registers and data as they were.
std::vector<OperandFaults> operand_faults(const Instruction& in, const Outcome& before);

} // namespace forkscope::test
