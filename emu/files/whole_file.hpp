// Owns: WholeFile, a file that appears under its name whole or not at all.
// Callers: code that writes snapshots, traces, pictures. Promises: until take_name() a file that had the name before
// stays as it was; a writer that fails or is dropped leaves nothing behind; an error names path, reason and way out.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"
#include "emu/files/outlet.hpp"

namespace forkscope {

// Bytes go to a temporary file in the same folder, ".forkscope-PID-N.part", which then takes the name by rename(2).
// Kept of the older file: its permissions, and a symbolic link that names it. Not kept: its owner and its other hard
// links. Written directly, since nothing can be renamed over them: devices, FIFOs, and standard streams by their names
// (/dev/stdout, /dev/fd/N, /proc/self/fd/N). A reader there must come within two seconds and may pause for five; Ctrl-C
// ends the wait for it.
// The process must ignore SIGPIPE and SIGXFSZ, so that they are errors here and not its end.
class WholeFile {
  public:
    // `what` is the file in messages: "the snapshot". Error: it cannot be written there, or may not be replaced.
    static Result<WholeFile> create(std::string path, std::string what);
    // The same checks without a file: before a long run whose end writes one.
    static Result<void> check(const std::string& path, const std::string& what);

    WholeFile(WholeFile&& other) noexcept;
    WholeFile& operator=(WholeFile&& other) noexcept;
    ~WholeFile();

    // After an error only dropping the file makes sense, or truncate() where it already has its name.
    Result<void> write(std::span<const u8> bytes);
    u64 bytes_written() const { return written_; }
    // Cuts off what follows the first `size` bytes. False where the file cannot be cut: a pipe, a device.
    bool truncate(u64 size);
    // Replaces what has the name by what is written so far; later writes are seen at once. For files that are of use
    // unfinished.
    Result<void> take_name();
    // take_name() and close(2), after fsync(2) where the name is new: when the power fails, either the older file or
    // the whole new one is there.
    Result<void> commit();

  private:
    WholeFile(std::string path, std::string what) : path_(std::move(path)), what_(std::move(what)) {}
    Result<void> open_temporary();
    Result<void> open_directly();
    Error failure(int reason) const;
    void drop();

    std::string path_; // as asked for
    std::string what_;
    std::string target_;    // what path_ names in the end; empty: written directly
    std::string temporary_; // empty once it has taken its name
    int descriptor_ = -1;
    std::unique_ptr<Outlet> outlet_;
    u64 written_ = 0;
};

Result<void> write_whole_file(const std::string& path, const std::string& what, std::span<const u8> bytes);

} // namespace forkscope
