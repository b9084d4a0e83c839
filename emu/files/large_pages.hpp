// Owns: asking the host for large pages. Callers: whoever makes a machine, for its memory, before it is used.
// Promises: nothing but time depends on it; where the host knows no such thing, nothing is done.
#pragma once

#include <span>

#include "emu/base/types.hpp"

namespace forkscope {

void prefer_large_pages(std::span<u8> memory);

} // namespace forkscope
