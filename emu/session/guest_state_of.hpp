// Owns: guest_state_of, what a stopped machine shows to those who read its stack and its variables
// (emu/symbols/inspect). Callers: stepper, faces, reports. Promises: looks only, and so may be kept as long as the
// machine is not run.
#pragma once

#include "emu/machine/machine.hpp"
#include "emu/symbols/inspect/guest_state.hpp"

namespace forkscope {

GuestState guest_state_of(const Machine& machine);

} // namespace forkscope
