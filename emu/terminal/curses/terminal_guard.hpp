// Owns: TerminalGuard, what must be put right on the terminal however the program ends; Ctrl-C as a wish; stderr kept
// apart while the screen is drawn. Callers: CursesScreen; one at a time. Promises: its signal handlers call only what
// POSIX lets them call.
#pragma once

#include <string>

namespace forkscope::terminal {

class TerminalGuard {
  public:
    // Before the terminal's mode is changed. `leave`: the bytes that lead back from the full screen.
    static void begin(const std::string& leave);
    // After the mode was restored: hands over what was said on stderr.
    static void end();

    static bool interrupted();
    static void forget_interrupt();
    // On stderr since it was last asked.
    static std::string messages();
};

} // namespace forkscope::terminal
