// Owns: what an instruction costs by the rule comments of cpu/cost/latencies.hpp, written from those comments: an
// oracle for the Clock. Callers: tests of the clock models. Promises: the clock's own code is not asked; the 386's m is
// that of CLD, which the benches put behind everything.
#pragma once

#include "cpu/cost/latencies.hpp"
#include "cpu/models/model.hpp"

namespace forkscope::test {

// What an instruction was run with, as far as a rule asks for it.
struct Circumstance {
    bool holds = false; // the condition; CMPXCHG: equal; a branch: taken
    u32 multiplier = 0; // its magnitude; or the source of a bit scan
    bool negative = false;
    u32 count = 0; // of a rotate, or of iterations
};

const Latency& cell_of(const LatencyRow& row, CpuModel model);
u32 rule_clocks(const Latency& cell, CpuModel model, const Instruction& in, const Circumstance& with);

} // namespace forkscope::test
