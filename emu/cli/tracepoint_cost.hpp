// Owns: what a tracepoint costs the built-in guest, on each clock.
// Callers: `fork` and `compare`. Promises: figures as measured in the guest's own function that states a block of
// frames; tests/guest/compare.py measures them again. Nothing on a processor that the guest does not run on.
#pragma once

#include "emu/machine/config.hpp"
#include "emu/report/fork_report.hpp"

namespace forkscope {

TracepointCost tracepoint_cost(const MachineConfig& machine);

} // namespace forkscope
