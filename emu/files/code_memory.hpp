// Owns: the host's part of CodeMemory: mapping it twice. Callers: whoever configures a machine with a translator, and
// tests. Promises: where the host refuses, its size is 0.
#pragma once

#include "emu/base/code_memory.hpp"

namespace forkscope {

CodeMemory map_code_memory(u64 size);

} // namespace forkscope
