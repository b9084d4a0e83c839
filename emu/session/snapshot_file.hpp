// Owns: snapshots as files (docs/chunk-files.md).
// Callers: sessions, tests. Promises: a file is whole or an error; a snapshot that does not fit changes nothing of the
// machine; reading takes no more than the file, the machine and 64 MB, whatever the file says.
#pragma once

#include <string>

#include "emu/machine/machine.hpp"

namespace forkscope {

Result<void> save_snapshot(Machine& machine, const std::string& path);
Result<void> load_snapshot(Machine& machine, const std::string& path);
// The same for bytes of a file.
Result<void> load_snapshot(Machine& machine, std::vector<u8> bytes, const std::string& name);

} // namespace forkscope
