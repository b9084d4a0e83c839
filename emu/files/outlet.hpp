// Owns: Outlet, the way out to somebody who may read slowly, later or never: a pipe, a terminal, a socket.
// Callers: whatever writes to a descriptor that the person named. Promises: no write blocks; a wait ends with the
// reader, with its time, or with Ctrl-C; other holders of the descriptor do not find it changed.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "emu/base/types.hpp"

namespace forkscope {

class Outlet {
  public:
    static constexpr int kForEver = -1;

    // The descriptor stays the caller's.
    explicit Outlet(int descriptor);
    ~Outlet();
    Outlet(const Outlet&) = delete;
    Outlet& operator=(const Outlet&) = delete;

    // write(2) of as much as is taken at once. EAGAIN: nothing is.
    ssize_t write_some(std::span<const u8> bytes) const;

    enum class Wait : u8 { Ready, Stalled, Interrupted };
    // Until it takes something. Once Ctrl-C has been pressed before, at most a second.
    Wait wait(int milliseconds) const;

    struct Delivery {
        std::size_t bytes = 0; // taken
        int trouble = 0;       // errno: ETIMEDOUT nobody reads, EINTR Ctrl-C, EPIPE the reader is gone
    };
    // All of it, as long as something is taken every so many milliseconds.
    Delivery write_all(std::span<const u8> bytes, int milliseconds) const;

  private:
    enum class Way : u8 {
        Plain,  // files, and what does not block already: a write never waits
        Own,    // a second opening of pipe or terminal, which does not block
        Polled, // it could not be opened again: asked first, and written in small pieces
        Socket,
    };
    int descriptor_;
    Way way_ = Way::Plain;
};

inline std::span<const u8> bytes_of_text(std::string_view text) {
    return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

// open(2) for writing. A FIFO must find its reader within two seconds, in which Ctrl-C is noticed: ENXIO, or EINTR.
int open_for_writing(const std::string& path, int flags);

} // namespace forkscope
