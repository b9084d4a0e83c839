// Owns: Screen, where a face shows its picture and gets its keys from. Callers: the face.
// Promises: a face needs no terminal: tests bring a screen of their own.
#pragma once

#include <optional>
#include <utility>

#include "emu/terminal/canvas.hpp"
#include "emu/terminal/keys.hpp"

namespace forkscope::terminal {

class Screen {
  public:
    struct Size {
        int rows = 0, columns = 0;
    };
    using Cursor = std::optional<std::pair<int, int>>; // row, column

    virtual ~Screen() = default;
    virtual Size size() const = 0;
    virtual void show(const Canvas& canvas, Cursor cursor) = 0;
    virtual void redraw() = 0; // all of it, should somebody else have written there
    // The next key; None after `milliseconds`. Negative: waits for ever.
    virtual Key key(int milliseconds) = 0;
    // Ctrl-C since forget_interrupt(); asked while the machine runs.
    virtual bool interrupted() const = 0;
    virtual void forget_interrupt() = 0;
    // What the program has said on stderr since it was last asked.
    virtual std::string messages() = 0;
    // Into the clipboard of whoever sits at the terminal.
    virtual void copy(const std::string& text) = 0;
};

} // namespace forkscope::terminal
