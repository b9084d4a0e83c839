#include "emu/files/whole_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/files/file_place.hpp"

namespace forkscope {

namespace {

constexpr int kPatience = 5000; // milliseconds without a byte read, after which nobody reads

} // namespace

WholeFile::WholeFile(WholeFile&& other) noexcept
    : path_(std::move(other.path_)), what_(std::move(other.what_)), target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})), descriptor_(std::exchange(other.descriptor_, -1)),
      outlet_(std::move(other.outlet_)), written_(other.written_) {}

WholeFile& WholeFile::operator=(WholeFile&& other) noexcept {
    if (this != &other) {
        drop();
        path_ = std::move(other.path_);
        what_ = std::move(other.what_);
        target_ = std::move(other.target_);
        temporary_ = std::exchange(other.temporary_, {});
        descriptor_ = std::exchange(other.descriptor_, -1);
        outlet_ = std::move(other.outlet_);
        written_ = other.written_;
    }
    return *this;
}

WholeFile::~WholeFile() { drop(); }

void WholeFile::drop() {
    outlet_.reset();
    if (descriptor_ >= 0)
        ::close(std::exchange(descriptor_, -1));
    if (!temporary_.empty())
        ::unlink(std::exchange(temporary_, {}).c_str());
}

Error WholeFile::failure(int reason) const {
    std::string why = std::strerror(reason);
    const char* way_out = "free some space or choose another place";
    switch (reason) {
    case EISDIR:
        way_out = "give the name of a file";
        break;
    case ENOENT:
    case ENOTDIR:
        way_out = "make its folder or choose another place";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        way_out = "choose a place in a folder that you may write to";
        break;
    case ENXIO:
        why = "nobody reads from this FIFO";
        way_out = "start its reader first";
        break;
    case EPIPE:
        way_out = "its reader is gone: run again with one that reads to the end";
        break;
    case ETIMEDOUT:
        why = fmt::format("its reader has taken nothing for {} seconds", kPatience / 1000);
        way_out = "run again with one that reads to the end, or choose a file";
        break;
    case EINTR:
        why = "Ctrl-C ended the wait for its reader";
        way_out = "run again with one that reads to the end, or choose a file";
        break;
    default:
        break;
    }
    return Error{fmt::format("cannot write {} '{}': {}; {}", what_, path_, why, way_out)};
}

Result<WholeFile> WholeFile::create(std::string path, std::string what) {
    WholeFile file(std::move(path), std::move(what));
    const FilePlace place = place_of(file.path_);
    if (place.trouble != 0)
        return file.failure(place.trouble);
    file.target_ = place.target;
    if (place.descriptor) {
        file.descriptor_ = ::fcntl(*place.descriptor, F_DUPFD_CLOEXEC, 3);
        if (file.descriptor_ < 0)
            return file.failure(errno);
    } else if (auto opened = file.target_.empty() ? file.open_directly() : file.open_temporary(); !opened.ok()) {
        return opened.error();
    }
    file.outlet_ = std::make_unique<Outlet>(file.descriptor_);
    if (place.permission && !file.target_.empty())
        static_cast<void>(::fchmod(file.descriptor_, *place.permission));
    return file;
}

Result<void> WholeFile::check(const std::string& path, const std::string& what) {
    const FilePlace place = place_of(path);
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

Result<void> WholeFile::open_directly() {
    descriptor_ = open_for_writing(path_, 0);
    return descriptor_ >= 0 ? Result<void>{} : failure(errno);
}

Result<void> WholeFile::write(std::span<const u8> bytes) {
    if (const Outlet::Delivery delivery = outlet_->write_all(bytes, kPatience); delivery.trouble != 0)
        return failure(delivery.trouble);
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
    outlet_.reset();
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
