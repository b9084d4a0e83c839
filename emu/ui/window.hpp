// Owns: the emulator's window (SDL2 and Dear ImGui): screen, registers, code, page tables, TLB, faults.
// Callers: cli. Promises: looks through const views; the machine moves only through the session; keys become input
// events; closing the window ends show_window and nothing else.
#pragma once

#include "emu/session/session.hpp"

namespace forkscope {

// Whether a window could be opened here. Error: why not, with what to do.
Result<void> probe_display();
// Shows the session's machine and its fork tracer until the window is closed. Error: no display.
Result<void> show_window(Session& session);

} // namespace forkscope
