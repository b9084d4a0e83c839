#include "emu/files/whole_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace forkscope {

namespace {

// What a path leads to.
struct Place {
    std::string target;               // behind all symbolic links; empty: no file of a folder, written directly
    std::optional<int> descriptor;    // of this process: /dev/stdout and its kind
    std::optional<mode_t> permission; // of a file that is there already
    int trouble = 0;                  // errno: nothing may be written there
};

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// The descriptor that a name like /dev/fd/1 means. Opened by name, a file behind it would be written from its
// beginning.
std::optional<int> descriptor_named(const std::string& path) {
    if (path == "/dev/stdout")
        return STDOUT_FILENO;
    if (path == "/dev/stderr")
        return STDERR_FILENO;
    for (const std::string prefix : {"/dev/fd/", "/proc/self/fd/"}) {
        if (!path.starts_with(prefix))
            continue;
        char* end = nullptr;
        const long number = std::strtol(path.c_str() + prefix.size(), &end, 10);
        if (*end == 0 && end != path.c_str() + prefix.size() && number >= 0 && number < 1 << 20)
            return static_cast<int>(number);
    }
    return std::nullopt;
}

// One step along a symbolic link; the same path where it is none.
std::string followed(const std::string& path) {
    char name[4096];
    const ssize_t size = ::readlink(path.c_str(), name, sizeof name);
    if (size <= 0 || size == sizeof name)
        return path;
    const std::string target(name, static_cast<std::size_t>(size));
    return target[0] == '/' ? target : folder_of(path) + "/" + target;
}

bool may(const std::string& path, int what) { return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0; }

Place place_of(const std::string& path) {
    constexpr int kMostLinks = 40; // as the kernel
    Place place;
    place.target = path;
    for (int i = 0; i < kMostLinks; ++i) {
        place.descriptor = descriptor_named(place.target);
        std::string next = place.descriptor ? place.target : followed(place.target);
        if (next == place.target)
            break;
        place.target = std::move(next);
    }
    struct stat info {};
    if (place.descriptor) {
        place.target.clear();
    } else if (::stat(place.target.c_str(), &info) != 0) {
        // A missing file is to be made; all else, a loop of links for example, is trouble.
        place.trouble = errno == ENOENT ? 0 : errno;
        if (place.trouble == 0 && (path.empty() || path.back() == '/'))
            place.trouble = path.empty() ? ENOENT : EISDIR;
        if (place.trouble == 0 && !may(folder_of(place.target), W_OK | X_OK))
            place.trouble = errno;
    } else if (S_ISDIR(info.st_mode)) {
        place.trouble = EISDIR;
    } else if (!may(place.target, W_OK)) {
        place.trouble = errno; // rename(2) would replace a write-protected file, too
    } else if (S_ISREG(info.st_mode)) {
        place.permission = info.st_mode & 0777;
        if (!may(folder_of(place.target), W_OK | X_OK))
            place.trouble = errno;
    } else {
        place.target.clear();
    }
    return place;
}

} // namespace

WholeFile::WholeFile(WholeFile&& other) noexcept
    : path_(std::move(other.path_)), what_(std::move(other.what_)), target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})), descriptor_(std::exchange(other.descriptor_, -1)),
      written_(other.written_) {}

WholeFile& WholeFile::operator=(WholeFile&& other) noexcept {
    if (this != &other) {
        drop();
        path_ = std::move(other.path_);
        what_ = std::move(other.what_);
        target_ = std::move(other.target_);
        temporary_ = std::exchange(other.temporary_, {});
        descriptor_ = std::exchange(other.descriptor_, -1);
        written_ = other.written_;
    }
    return *this;
}

WholeFile::~WholeFile() { drop(); }

void WholeFile::drop() {
    if (descriptor_ >= 0)
        ::close(std::exchange(descriptor_, -1));
    if (!temporary_.empty())
        ::unlink(std::exchange(temporary_, {}).c_str());
}

Error WholeFile::failure(int reason) const {
    const char* way_out = reason == EISDIR                        ? "give the name of a file"
                          : reason == ENOENT || reason == ENOTDIR ? "make its folder or choose another place"
                          : reason == EACCES || reason == EPERM || reason == EROFS
                              ? "choose a place in a folder that you may write to"
                          : reason == ENXIO ? "start its reader first"
                          : reason == EPIPE ? "its reader is gone: run again with one that reads to the end"
                                            : "free some space or choose another place";
    const std::string why = reason == ENXIO ? "nobody reads from this FIFO" : std::strerror(reason);
    return Error{fmt::format("cannot write {} '{}': {}; {}", what_, path_, why, way_out)};
}

Result<WholeFile> WholeFile::create(std::string path, std::string what) {
    WholeFile file(std::move(path), std::move(what));
    const Place place = place_of(file.path_);
    if (place.trouble != 0)
        return file.failure(place.trouble);
    file.target_ = place.target;
    if (place.descriptor) {
        file.descriptor_ = ::fcntl(*place.descriptor, F_DUPFD_CLOEXEC, 3);
        if (file.descriptor_ < 0)
            return file.failure(errno);
        return file;
    }
    if (auto opened = file.target_.empty() ? file.open_directly() : file.open_temporary(); !opened.ok())
        return opened.error();
    if (place.permission && !file.target_.empty())
        static_cast<void>(::fchmod(file.descriptor_, *place.permission));
    return file;
}

Result<void> WholeFile::check(const std::string& path, const std::string& what) {
    const Place place = place_of(path);
    return place.trouble == 0 ? Result<void>{} : WholeFile(path, what).failure(place.trouble);
}

Result<void> WholeFile::open_temporary() {
    static unsigned number = 0;
    constexpr int kMostTries = 100; // another process with our number may have died here
    for (int i = 0; i < kMostTries; ++i) {
        const std::string name = fmt::format("{}/.forkscope-{}-{}.part", folder_of(target_), ::getpid(), number++);
        descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ >= 0) {
            temporary_ = name;
            return {};
        }
        if (errno != EEXIST)
            break;
    }
    return failure(errno);
}

// A FIFO without a reader would block for ever, so it is opened without blocking and asked again for a while: whoever
// starts reader and writer together has no order between them.
Result<void> WholeFile::open_directly() {
    constexpr int kTries = 200;
    constexpr useconds_t kWait = 10'000;
    for (int i = 0; i < kTries; ++i) {
        descriptor_ = ::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (descriptor_ >= 0) {
            const int flags = ::fcntl(descriptor_, F_GETFL);
            static_cast<void>(::fcntl(descriptor_, F_SETFL, flags & ~O_NONBLOCK));
            return {};
        }
        if (errno != ENXIO)
            break;
        ::usleep(kWait);
    }
    return failure(errno);
}

Result<void> WholeFile::write(std::span<const u8> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
        if (count > 0)
            done += static_cast<std::size_t>(count);
        else if (count == 0 || errno != EINTR)
            return failure(count == 0 ? ENOSPC : errno);
    }
    written_ += bytes.size();
    return {};
}

bool WholeFile::truncate(u64 size) {
    const auto offset = static_cast<off_t>(size);
    if (::ftruncate(descriptor_, offset) != 0 || ::lseek(descriptor_, offset, SEEK_SET) != offset)
        return false;
    written_ = size;
    return true;
}

Result<void> WholeFile::take_name() {
    if (temporary_.empty())
        return {};
    if (std::rename(temporary_.c_str(), target_.c_str()) != 0)
        return failure(errno);
    temporary_.clear();
    return {};
}

Result<void> WholeFile::commit() {
    // Some file systems know no fsync; they say so by EINVAL.
    if (!temporary_.empty() && ::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP)
        return failure(errno);
    // Errors of writing may come as late as here (NFS, quotas): before the older file is replaced.
    if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
        return failure(errno);
    return take_name();
}

Result<void> write_whole_file(const std::string& path, const std::string& what, std::span<const u8> bytes) {
    auto file = WholeFile::create(path, what);
    if (!file.ok())
        return file.error();
    if (auto written = file->write(bytes); !written.ok())
        return written;
    return file->commit();
}

} // namespace forkscope
