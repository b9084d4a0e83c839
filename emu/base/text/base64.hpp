// Owns: base 64 (RFC 4648, section 4). Callers: the Debug Adapter Protocol's memory, the terminal's clipboard.
// Promises: pure.
#pragma once

#include <span>
#include <string>

#include "emu/base/types.hpp"

namespace forkscope {

// With padding, without line breaks.
std::string base64(std::span<const u8> bytes);

} // namespace forkscope
