#include "emu/files/outlet.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/base/result.hpp"
#include "emu/files/interruption.hpp"

namespace forkscope {

// O_NONBLOCK belongs to the opening, which the shell and other programs share: it is set on one of our own.
Outlet::Outlet(int descriptor) : descriptor_(descriptor) {
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

Outlet::~Outlet() {
    if (way_ == Way::Own)
        ::close(descriptor_);
}

ssize_t Outlet::write_some(std::span<const u8> bytes) const {
    std::size_t size = bytes.size();
    if (way_ == Way::Socket)
        return ::send(descriptor_, bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (way_ == Way::Polled) {
        pollfd room{descriptor_, POLLOUT, 0};
        if (::poll(&room, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        size = std::min<std::size_t>(size, PIPE_BUF); // as much as a pipe that is not full takes
    }
    return ::write(descriptor_, bytes.data(), size);
}

// In slices: a signal between the question and poll(2) would otherwise be noticed when the wait is over.
Outlet::Wait Outlet::wait(int milliseconds) const {
    constexpr int kSlice = 50;
    constexpr int kLast = 1000;
    const bool asked_before = Interruption::requested();
    int left = !asked_before ? milliseconds : milliseconds == kForEver ? kLast : std::min(milliseconds, kLast);
    while (left != 0) {
        const int slice = left == kForEver ? kSlice : std::min(left, kSlice);
        pollfd room{descriptor_, POLLOUT, 0};
        if (::poll(&room, 1, slice) == 1)
            return Wait::Ready;
        if (!asked_before && Interruption::requested())
            return Wait::Interrupted;
        left -= left == kForEver ? 0 : slice;
    }
    return asked_before ? Wait::Interrupted : Wait::Stalled;
}

Outlet::Delivery Outlet::write_all(std::span<const u8> bytes, int milliseconds) const {
    Delivery delivery;
    while (delivery.bytes < bytes.size()) {
        const ssize_t count = write_some(bytes.subspan(delivery.bytes));
        if (count > 0) {
            delivery.bytes += static_cast<std::size_t>(count);
        } else if (count == 0) {
            delivery.trouble = ENOSPC;
            break;
        } else if (errno == EAGAIN) {
            if (const Wait waited = wait(milliseconds); waited != Wait::Ready) {
                delivery.trouble = waited == Wait::Stalled ? ETIMEDOUT : EINTR;
                break;
            }
        } else if (errno != EINTR) {
            delivery.trouble = errno;
            break;
        }
    }
    return delivery;
}

// Without a reader open(2) would block, so it is asked again for a while without blocking: whoever starts reader and
// writer together has no order between them.
int open_for_writing(const std::string& path, int flags) {
    constexpr int kTries = 200;
    constexpr useconds_t kPause = 10'000;
    const bool asked_before = Interruption::requested();
    for (int i = 0; i < kTries; ++i) {
        const int descriptor = ::open(path.c_str(), flags | O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
        if (descriptor >= 0 || errno != ENXIO)
            return descriptor;
        if (!asked_before && Interruption::requested()) {
            errno = EINTR;
            return -1;
        }
        ::usleep(kPause);
    }
    errno = ENXIO;
    return -1;
}

} // namespace forkscope
