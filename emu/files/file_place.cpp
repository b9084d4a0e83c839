#include "emu/files/file_place.hpp"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "emu/base/text/words.hpp"

namespace forkscope {

namespace {

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

constexpr int kMostLinks = 40; // as the kernel

// The path behind all symbolic links. It ends where a descriptor is named: the link is not the file.
std::string target_of(const std::string& path) {
    std::string target = path;
    for (int i = 0; i < kMostLinks && !descriptor_named(target); ++i) {
        std::string next = followed(target);
        if (next == target)
            break;
        target = std::move(next);
    }
    return target;
}

// Equal for paths to one file. Of a file that is still to be made it is its folder and its name there.
struct Identity {
    dev_t device = 0;
    ino_t number = 0;
    std::string name;
    bool operator==(const Identity&) const = default;
};

// Nothing where many may write at once, or where nothing can be: a device, a folder.
std::optional<Identity> identity_of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0)
        return S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode) ? std::optional<Identity>({info.st_dev, info.st_ino, {}})
                                                               : std::nullopt;
    const std::string target = target_of(path);
    if (errno != ENOENT || ::stat(folder_of(target).c_str(), &info) != 0)
        return std::nullopt;
    return Identity{info.st_dev, info.st_ino, std::string(base_name(target))};
}

} // namespace

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

FilePlace place_of(const std::string& path) {
    FilePlace place;
    place.target = target_of(path);
    place.descriptor = descriptor_named(place.target);
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

Result<void> check_distinct(std::span<const NamedFile> files) {
    const std::pair<std::string_view, std::optional<Identity>> standard[] = {
        {"standard output goes", identity_of("/dev/stdout")}, {"messages go", identity_of("/dev/stderr")}};
    for (std::size_t i = 0; i < files.size(); ++i) {
        const auto mine = files[i].path.empty() ? std::nullopt : identity_of(files[i].path);
        if (!mine)
            continue;
        // By the name of its descriptor it is meant, and written where it stands.
        for (const auto& [goes, file] : standard)
            if (files[i].written && mine == file && !descriptor_named(target_of(files[i].path)))
                return Error{fmt::format("{} '{}' is the file that {} to; give it a file of its own", files[i].what,
                                         files[i].path, goes),
                             ExitCode::Usage};
        for (std::size_t j = 0; j < i; ++j)
            if ((files[i].written || files[j].written) && !files[j].path.empty() && mine == identity_of(files[j].path))
                return Error{fmt::format("{} '{}' and {} '{}' are one file; give each a file of its own", files[j].what,
                                         files[j].path, files[i].what, files[i].path),
                             ExitCode::Usage};
    }
    return {};
}

} // namespace forkscope
