// Owns: snapshots as files (docs/chunk-files.md).
// Callers: sessions, tests. Promises: a file is whole or an error; a snapshot that does not fit changes nothing of the
// machine; reading takes no more than the file, the machine and 64 MB, whatever the file says.
#pragma once

#include <string>

#include "emu/files/chunk_file.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope {

// What every file says of the machine that it is of.
FileHeader machine_header(const MachineConfig& config);
Result<void> save_snapshot(Machine& machine, const std::string& path);

// A file that is open: what it says of itself can be asked before there is a machine.
class SnapshotFile {
  public:
    // Of `ram_bytes` of memory at most.
    static Result<SnapshotFile> open(const std::string& path, u64 ram_bytes);
    static Result<SnapshotFile> from_bytes(std::vector<u8> bytes, const std::string& name);

    // Of the machine that was saved.
    std::string command_line() const;
    Result<void> load(Machine& machine) const;

  private:
    SnapshotFile(ChunkFileReader file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}
    ChunkFileReader file_;
    std::string name_;
};

} // namespace forkscope
