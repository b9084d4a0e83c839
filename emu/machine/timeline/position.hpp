// Owns: Position, a moment of a machine's run.
// Callers: the Machine says where it is; the timeline goes there; faces show it. Promises: plain data; later moments
// of one run compare greater; equal positions of one branch are equal states.
#pragma once

#include <compare>

#include "emu/base/types.hpp"

namespace forkscope {

struct Position {
    u64 instructions = 0; // retired
    u32 deliveries = 0;   // of interrupts and faults since: they retire nothing
    Cycles cycle = 0;     // tells moments apart while the CPU is halted or repeats a string instruction

    auto operator<=>(const Position&) const = default;
};

} // namespace forkscope
