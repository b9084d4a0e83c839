// Owns: the processor's registers on one page, as text and as data.
// Callers: the stepper's commands, gdb's monitor. Promises: looks only.
#pragma once

#include <string>

#include "emu/machine/machine.hpp"
#include "emu/report/document.hpp"

namespace forkscope {

// Without the last line's end.
std::string registers_text(const Machine& machine);
// By name: eax to edi, eip, eflags, cr0 to cr4, the selectors, cpl.
Object registers_data(const Machine& machine);

} // namespace forkscope
