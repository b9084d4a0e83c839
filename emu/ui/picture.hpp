// Owns: pictures of the window without a window.
// Callers: cli (--screenshot), tests. Promises: needs no display; the same state gives the same picture.
#pragma once

#include <string>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// Draws the whole window as it would stand, paused, and writes it as PNG. `tracer` may be null.
Result<void> save_screenshot(Machine& machine, const ForkTracer* tracer, Symbolizer& symbols, const std::string& path);

} // namespace forkscope
