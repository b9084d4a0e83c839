// Owns: read_file, a whole file of the host as bytes.
// Callers: sessions, for kernels, modules and snapshots. Promises: no memory is taken for more than the caller's
// most; a FIFO is read to its end and keeps nobody waiting for ever; an error names file and reason.
#pragma once

#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// `what` is the file in messages: "the kernel". A FIFO's writer must come within two seconds and may pause for five.
Result<std::vector<u8>> read_file(const std::string& path, const std::string& what, u64 most = u64{1} << 30);

} // namespace forkscope
