// Owns: running decoded instructions: handler by handler, up to the first that jumps, faults, or is told to leave.
// Callers: engines. Promises: time and count are settled, faults delivered and single step noted when it comes back;
// at most as many instructions start as fit before the deadline and the limit, but always one.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope {

// Whether the instruction at EIP lies within CS's limit.
inline bool first_fits(const Context& cpu, const Instruction& first) {
    const u32 eip = cpu.state().eip;
    const u32 end = eip + first.length - 1;
    return end <= cpu.state().segments[kCs].limit && end >= eip;
}

// Runs the block that stands at EIP.
void run_block(Context& cpu, Block& block, u64 instruction_limit);

// `count` instructions from `first` on, which stands at EIP; `block` is null if they are in none.
void run_instructions(Context& cpu, const Block* block, const Instruction* first, u32 count);

// One instruction of a block whose earlier ones have run, while Progress stands before the block. True: time and count
// stand there still, and the next one may run; behind the last one only if the caller `may_pass_end`. False: as behind
// run_instructions, settled. Progress::leave counts as it is found: whoever begins the block clears it.
bool run_within(Context& cpu, const Block& block, const Instruction& in, bool may_pass_end = false);
// Settles behind one that has been carried out otherwise.
void leave_behind(Context& cpu, const Block& block, const Instruction& in);

} // namespace forkscope
