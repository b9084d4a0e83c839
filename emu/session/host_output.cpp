#include "emu/session/host_output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/session/host_terminal.hpp"

namespace forkscope {

namespace {

constexpr int kPatience = 2000; // milliseconds without a byte read, after which nobody reads

} // namespace

HostOutput::HostOutput(int descriptor, std::string name, std::string advice, Unread unread)
    : descriptor_(descriptor), name_(std::move(name)), advice_(std::move(advice)), unread_(unread) {
    make_unblocking();
}

HostOutput::~HostOutput() {
    if (way_ == Way::Own)
        ::close(descriptor_);
}

// O_NONBLOCK belongs to the opening, which the shell and other programs share: it is set on one of our own.
void HostOutput::make_unblocking() {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0 || (::fcntl(descriptor_, F_GETFL) & O_NONBLOCK) != 0)
        return;
    if (S_ISSOCK(info.st_mode)) {
        way_ = Way::Socket;
    } else if (S_ISFIFO(info.st_mode) || ::isatty(descriptor_) != 0) {
        const std::string path = fmt::format("/proc/self/fd/{}", descriptor_);
        const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        way_ = own >= 0 ? Way::Own : Way::Polled;
        descriptor_ = own >= 0 ? own : descriptor_;
    } else if (!S_ISREG(info.st_mode)) {
        way_ = Way::Polled;
    }
}

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

long HostOutput::write_some() {
    std::size_t size = waiting_bytes();
    const char* bytes = buffer_.data() + done_;
    if (way_ == Way::Socket)
        return ::send(descriptor_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (way_ == Way::Polled) {
        pollfd room{descriptor_, POLLOUT, 0};
        if (::poll(&room, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        size = std::min<std::size_t>(size, PIPE_BUF); // as much as a pipe that is not full takes
    }
    return ::write(descriptor_, bytes, size);
}

bool HostOutput::wait_for_reader() {
    if (stalled_ || Interruption::requested())
        return false;
    pollfd room{descriptor_, POLLOUT, 0};
    const int ready = ::poll(&room, 1, kPatience);
    stalled_ = ready == 0;
    return ready == 1 || (ready < 0 && errno == EINTR);
}

void HostOutput::push(bool wait) {
    while (waiting_bytes() != 0 && !over()) {
        const long count = write_some();
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
    if (lost_ != 0 && error_.empty() && unread_ == Unread::Lost && !Interruption::requested())
        error_ = fmt::format("nobody reads {}: {} bytes are lost; read it, or {}", name_, lost_, advice_);
    lost_ = 0;
}

} // namespace forkscope
