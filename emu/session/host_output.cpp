#include "emu/session/host_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "emu/base/log.hpp"
#include "emu/files/interruption.hpp"

namespace forkscope {

namespace {

constexpr int kPatience = 2000; // milliseconds without a byte read, after which nobody reads

} // namespace

HostOutput::HostOutput(int descriptor, std::string name, std::string advice, Unread unread)
    : outlet_(descriptor), name_(std::move(name)), advice_(std::move(advice)), unread_(unread) {}

void HostOutput::write(std::string_view text) {
    constexpr std::size_t kPiece = 4096;
    if (over())
        return;
    const std::size_t room = kMost - std::min(kMost, waiting_bytes());
    lost_ += text.size() - std::min(room, text.size());
    buffer_ += text.substr(0, room);
    if (waiting_bytes() >= kPiece || text.ends_with('\n'))
        flush();
}

bool HostOutput::wait_for_reader() {
    if (stalled_)
        return false;
    const Outlet::Wait waited = outlet_.wait(kPatience);
    stalled_ = waited != Outlet::Wait::Ready;
    return !stalled_;
}

void HostOutput::push(bool wait) {
    while (waiting_bytes() != 0 && !over()) {
        const ssize_t count = outlet_.write_some(bytes_of_text(std::string_view(buffer_).substr(done_)));
        if (count > 0) {
            done_ += static_cast<std::size_t>(count);
            stalled_ = false;
        } else if (count < 0 && errno == EPIPE) {
            reader_gone_ = true;
        } else if (count < 0 && errno != EAGAIN && errno != EINTR) {
            error_ = fmt::format("cannot write to {}: {}; free some space or {}", name_, std::strerror(errno), advice_);
        } else if (count == 0 || errno == EAGAIN) {
            if (!wait || !wait_for_reader())
                break;
        }
    }
    if (done_ == buffer_.size() || over() || done_ >= kMuch) {
        buffer_.erase(0, over() ? buffer_.size() : done_);
        done_ = 0;
    }
}

void HostOutput::drain() {
    push(unread_ == Unread::Lost);
    lost_ += waiting_bytes();
    buffer_.clear();
    done_ = 0;
    if (lost_ != 0 && error_.empty() && unread_ == Unread::Lost) {
        const std::string lost =
            fmt::format("nobody reads {}: {} bytes are lost; read it, or {}", name_, lost_, advice_);
        // Whoever presses Ctrl-C is told; that the run ended so stays the exit code.
        if (Interruption::requested())
            tell(lost);
        else
            error_ = lost;
    }
    lost_ = 0;
}

} // namespace forkscope
