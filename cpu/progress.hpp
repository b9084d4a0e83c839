// Owns: Progress, how far the processor has come: the time, the count, and the instruction under way.
// Callers: the run loop and the engines move it on; the cost meter, attention and handlers read it.
// Promises: plain data; between instructions `current` is null; now() and retired() are exact at any slow path.
#pragma once

#include <array>

#include "cpu/decode/instruction.hpp"
#include "emu/base/archive.hpp"

namespace forkscope {

struct Block;

struct Progress {
    Cycles cycle = 0;     // settled; now() adds what the block's instructions before this one cost
    u64 instructions = 0; // the same of their number
    Cycles deadline = 0;  // the first instruction boundary at or behind it ends the run

    const Instruction* current = nullptr; // being executed
    const Block* running = nullptr;       // its block; null for one that lies in two pages or in device memory
    u32 block_eip = 0;                    // of the block's first instruction
    bool leave = false;                   // a slow path wants the block left behind the present instruction
    bool task_switched = false;           // by the present instruction: a fault from now on is the new task's
    // Of an instruction that is in no block: where its first byte in each of its pages was fetched.
    std::array<PhysicalAddress, 2> fetched{};

    // Interrupts and faults that were delivered behind the same instruction: they retire nothing.
    u64 delivered_at = 0; // the count of instructions at the last one
    u32 deliveries = 0;   // how many there
    void delivered() {
        deliveries = delivered_at == retired() ? deliveries + 1 : 1;
        delivered_at = retired();
    }
    u32 deliveries_since() const { return delivered_at == retired() ? deliveries : 0; }

    Cycles now() const { return cycle + (current != nullptr ? current->cost_before : 0); }
    u64 retired() const { return instructions + (current != nullptr ? current->number : 0); }
    u32 present_eip(const Instruction& in) const { return block_eip + in.offset; }
    u32 next_eip(const Instruction& in) const { return block_eip + in.offset + in.length; }

    void serialize(Archive& ar) {
        ar.field("cycle", cycle);
        ar.field("instructions", instructions);
        if (ar.hashing())
            return;
        ar.field("delivered_at", delivered_at);
        ar.field("deliveries", deliveries);
    }
};

} // namespace forkscope
