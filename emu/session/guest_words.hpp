// Owns: what the guest has to say to people: its text screen, and its last lines there or on the serial port.
// Callers: StopConditions, the session. Promises: changes nothing; no character steers the host's terminal.
#pragma once

#include <string>
#include <vector>

#include "emu/machine/machine.hpp"

namespace forkscope {

// The rows of the text screen, with all their blanks; none in a graphics mode.
std::vector<std::string> screen_lines(const Machine& machine);
// The last lines that hold anything, indented: of `serial`, or if that is empty of the screen. "": nothing was said.
std::string last_words(const std::string& serial, const Machine& machine);

} // namespace forkscope
