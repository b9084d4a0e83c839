// Owns: Interruption, Ctrl-C as a wish to end in order.
// Callers: commands and sessions (a run), Outlet (a wait). Promises: the first Ctrl-C only asks; a second one ends the
// program, after what the last act puts right.
#pragma once

namespace forkscope {

// While one lives, SIGINT, SIGTERM and SIGHUP only ask. Those within another change nothing: the outermost counts.
class Interruption {
  public:
    Interruption();
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    static bool requested();
    // Called from the signal's handler before a second Ctrl-C ends the program; nullptr: nothing is to be put right.
    static void set_last_act(void (*act)());
};

} // namespace forkscope
