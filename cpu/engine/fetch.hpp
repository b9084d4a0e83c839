// Owns: fetching the bytes of an instruction that was decoded already once more, with all that this does to the TLB.
// Callers: the run loop where each instruction is fetched (Mmu::fetches_each_instruction); repeated strings between two
// iterations. Promises: what runs next are the bytes that memory holds.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope {

enum class Fetched : u8 { Same, Moved, Fault };
Fetched fetch_again(Context& cpu, const Instruction& in);

// Between two iterations of a repeated instruction: Step::Next, or why not to go on.
Step fetch_iteration(Context& cpu, const Instruction& in);

// Whether many iterations at once may count as one fetch.
inline bool bulk_fetch(Context& cpu, const Instruction& in) {
    if (!cpu.mmu().fetches_each_instruction())
        return true;
    const Block* const block = cpu.progress().running;
    const LinearAddress linear(cpu.state().segments[kCs].base + cpu.present_eip(in));
    return block != nullptr && cpu.mmu().bulk_fetch(linear, cpu.privilege(), block->start + in.offset);
}

} // namespace forkscope
