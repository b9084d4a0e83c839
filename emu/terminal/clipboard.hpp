// Owns: how a terminal is told to put a text into the clipboard (xterm's control sequence OSC 52).
// Callers: CursesScreen. Promises: pure; what is too long for a terminal is cut between two lines.
#pragma once

#include <string>
#include <string_view>

namespace forkscope::terminal {

std::string clipboard_sequence(std::string_view text);

} // namespace forkscope::terminal
