// Owns: Debugger, how somebody outside of the program moves a session's machine beside the face that shows it.
// Callers: Session asks it around each slice, faces follow it; emu/debug is one. Promises: while it holds the machine,
// no slice moves it; a stop that it takes does not end the run.
#pragma once

#include <optional>

#include "emu/machine/machine.hpp"
#include "emu/session/conditions/stop_conditions.hpp"

namespace forkscope {

class Debugger {
  public:
    enum class Wants : u8 {
        Run,  // nothing: slices as ever
        Step, // one instruction a slice; a halted processor runs until it wakes
        Back, // one piece of a way back: it moves the machine along the timeline itself
        Hold, // nobody moves the machine
        End,  // the run's end
    };

    virtual ~Debugger() = default;
    // Hears what has come, and answers it. Between two slices.
    virtual Wants poll() = 0;
    // What poll() said last.
    virtual Wants wants() const = 0;
    // For Wants::Back.
    virtual void go_back() = 0;
    // The machine moved and came to this; `ended`: what the session makes of it, nothing where the run would go on.
    // True: the debugger takes the stop, and holds the machine from here on.
    virtual bool stopped(const StopReason& reason, const std::optional<Outcome>& ended) = 0;
    // Sleeps until something comes, for those who have nothing else to do.
    virtual void wait(int milliseconds) = 0;
    // Somebody debugs now; else it waits for somebody, and may hold the machine for that.
    virtual bool attached() const = 0;
    // The face wants a pause. Nobody attached: it wants the machine to run.
    virtual void pause() = 0;
    virtual void release() = 0;
};

} // namespace forkscope
