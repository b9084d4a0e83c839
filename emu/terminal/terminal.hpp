// Owns: Terminal, the face in the terminal that the program was started from. Callers: cli.
// Promises: it is left as it was found at every end, also when the program dies of a signal or rests after Ctrl-Z;
// what the program says meanwhile on stderr is shown, and comes there when the terminal is free again.
#pragma once

#include <memory>

#include "emu/session/session.hpp"

namespace forkscope {

class Terminal {
  public:
    // Runs to the session's condition; the keys go to the guest at once; or it stands, at a place in a recording.
    enum class First : u8 { ToStop, ForGuest, Stands };

    // Nothing is written there yet. Error: why there can be none, with what to do.
    static Result<std::unique_ptr<Terminal>> open();
    // Until the person quits. The session has a history. Error: the terminal cannot be set up.
    Result<void> show(Session& session, First first);
};

} // namespace forkscope
