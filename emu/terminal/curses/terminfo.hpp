// Owns: what terminfo says of the terminal that TERM names.
// Callers: CursesScreen. Promises: an unknown terminal can do nothing.
#pragma once

#include <string>

namespace forkscope::terminal {

// The bytes of a capability ("cup", "rmcup"), without the delays that old terminals want; empty: there is none.
std::string capability(const char* name);

} // namespace forkscope::terminal
