// Owns: BusUse, how often an instruction's operands use the bus and how wide, as the 386's prefetch queue must know.
// Callers: CostModel. Promises: a pure function of the form and the decoded instruction; far transfers, INT, IRET and
// descriptors count as none: the totals of their paths hold them.
#pragma once

#include "cpu/decode/instruction.hpp"

namespace forkscope {

// Of a form; what an instruction makes of it is bus_use().
struct FormBusUse {
    u8 memory_reads = 0, memory_writes = 0; // of the operand that ModRM names, if it is memory, and of moffs
    u8 other_reads = 0, other_writes = 0;   // stack, strings, ports, tables of XLAT
    u8 bytes = 0;                           // of each; 0: the operand size
    u8 more_bytes = 0;                      // on top of that: the selector of a far pointer
    bool nests = false;                     // ENTER
    bool locks = false;                     // with memory, without a prefix, too
};
FormBusUse bus_use_of_form(u16 form);

struct BusUse {
    u8 reads = 0, writes = 0;
    u8 bytes = 0; // of each
};
BusUse bus_use(const FormBusUse& form, const Instruction& in);

} // namespace forkscope
