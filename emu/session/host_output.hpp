// Owns: HostOutput, where a run's output leaves the program: a descriptor that somebody may not read from.
// Callers: SerialPort, HostEnds. Promises: writing waits for a reader that goes on reading, never for one that does
// not; other holders of the descriptor do not find it changed; what is lost is counted and reported.
#pragma once

#include <string>
#include <string_view>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"
#include "emu/files/outlet.hpp"

namespace forkscope {

class HostOutput {
  public:
    // What comes of output that nobody reads: an error, or nothing, as on a line with no terminal at its end.
    enum class Unread : u8 { Lost, Dropped };

    // The descriptor stays the caller's. `name` and `advice` are for messages.
    HostOutput(int descriptor, std::string name, std::string advice, Unread unread = Unread::Lost);
    HostOutput(const HostOutput&) = delete;
    HostOutput& operator=(const HostOutput&) = delete;

    void write(std::string_view text);
    // Hands over what the reader takes. Waits only where much has piled up and the reader went on reading so far.
    void flush() { push(waiting_bytes() > kMuch); }
    // At the end: waits for all, as long as the reader goes on reading and nobody presses Ctrl-C.
    void drain();
    // Whoever read a pipe has closed it.
    bool reader_gone() const { return reader_gone_; }
    // The first trouble; a reader that is gone is none.
    const std::string& error() const { return error_; }

  private:
    static constexpr std::size_t kMuch = std::size_t{64} << 10;
    static constexpr std::size_t kMost = std::size_t{1} << 20;

    std::size_t waiting_bytes() const { return buffer_.size() - done_; }
    bool over() const { return reader_gone_ || !error_.empty(); }
    void push(bool wait);
    bool wait_for_reader();

    Outlet outlet_;
    std::string name_, advice_;
    Unread unread_;
    std::string buffer_;
    std::size_t done_ = 0; // of it
    bool stalled_ = false; // the reader has let its time pass
    u64 lost_ = 0;
    bool reader_gone_ = false;
    std::string error_;
};

} // namespace forkscope
