#include "emu/files/read_file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace forkscope {

namespace {

constexpr int kPatience = 2000; // milliseconds
constexpr int kPause = 5000;

struct Closed {
    int descriptor;
    ~Closed() { ::close(descriptor); }
};

Error too_large(const std::string& name, u64 most) {
    return Error{fmt::format("{} is larger than {} MB; check that it is the right file", name, most >> 20)};
}

enum class MayWait : bool { No, Yes };

Result<std::vector<u8>> read_to_end(int descriptor, MayWait waits, u64 size, const std::string& name, u64 most) {
    std::vector<u8> bytes;
    bytes.reserve(size);
    std::array<u8, 65536> piece;
    for (;;) {
        pollfd more{descriptor, POLLIN, 0};
        if (waits == MayWait::Yes && ::poll(&more, 1, kPause) == 0)
            return Error{fmt::format("{} has not ended, and nothing has come from it for {} seconds; give a file", name,
                                     kPause / 1000)};
        const ssize_t count = ::read(descriptor, piece.data(), piece.size());
        if (count == 0)
            return bytes;
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return Error{fmt::format("cannot read {}: {}; check the file", name, std::strerror(errno))};
        if (count > 0)
            bytes.insert(bytes.end(), piece.begin(), piece.begin() + count);
        if (bytes.size() > most)
            return too_large(name, most);
    }
}

} // namespace

Result<std::vector<u8>> read_file(const std::string& path, const std::string& what, u64 most) {
    const std::string name = fmt::format("{} '{}'", what, path);
    const auto trouble = [&](const char* advice) {
        return Error{fmt::format("cannot open {}: {}; check {}", name, std::strerror(errno), advice)};
    };
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
        return trouble("the path");
    if (S_ISDIR(info.st_mode))
        return Error{fmt::format("{} is a directory; give a file", name)};
    // Without blocking: the opening of a FIFO that nobody writes to would never return.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0)
        return trouble("its permissions");
    const Closed closed{descriptor};
    pollfd writer{descriptor, POLLIN, 0};
    if (S_ISFIFO(info.st_mode) && ::poll(&writer, 1, kPatience) == 0)
        return Error{fmt::format("{} is a FIFO that nobody writes to; start its writer, or give a file", name)};
    const bool regular = S_ISREG(info.st_mode);
    const u64 size = regular ? static_cast<u64>(info.st_size) : 0;
    if (size > most)
        return too_large(name, most);
    try {
        return read_to_end(descriptor, regular ? MayWait::No : MayWait::Yes, size, name, most);
    } catch (const std::bad_alloc&) {
        return Error{
            fmt::format("{} wants {} MB of memory, more than the host gives this program; close other programs, or "
                        "raise its limit (ulimit -v)",
                        name, (regular ? size : most) >> 20)};
    }
}

} // namespace forkscope
