// Owns: the emulator's window (SDL2 and Dear ImGui): screen, registers, code, page tables, TLB, faults.
// Callers: cli. Promises: looks through const views; the machine moves only through `run_slice`, breakpoints and
// step(); keys become input events; closing the window ends show_window and nothing else.
#pragma once

#include <functional>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

struct WindowOptions {
    // Why the last slice returned false, in a few words; empty or absent: the window says what it can tell itself.
    std::function<std::string()> why_stopped = {};
};

// Runs the machine for at most so many cycles of simulated time. False once it cannot continue or a condition is met.
using RunSlice = std::function<bool(Cycles)>;

// Shows the window until it is closed. Error: no display, with what to do.
Result<void> show_window(Machine& machine, const ForkTracer& tracer, Symbolizer& symbols, const RunSlice& run_slice,
                         const WindowOptions& options);

} // namespace forkscope
