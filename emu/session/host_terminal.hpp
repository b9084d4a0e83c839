// Owns: the mode of the terminal that the program was started from, while a machine runs without a window.
// Callers: HostEnds. Promises: the terminal is left as it was found, also by a second Ctrl-C.
#pragma once

#include <termios.h>

namespace forkscope {

// While it lives, the terminal hands over each key at once and echoes nothing: the guest does. Without a terminal, or
// in the background, it does nothing.
class KeysUnechoed {
  public:
    explicit KeysUnechoed(int descriptor);
    ~KeysUnechoed();
    KeysUnechoed(const KeysUnechoed&) = delete;
    KeysUnechoed& operator=(const KeysUnechoed&) = delete;

    // Somebody sits there.
    bool interactive() const { return descriptor_ >= 0; }
    void wait_for_key(int milliseconds) const;

  private:
    int descriptor_ = -1; // -1: nothing to restore
    termios before_{};
};

} // namespace forkscope
