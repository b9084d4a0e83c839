// Owns: how reports write numbers and long names. Callers: the report files of this room.
// Promises: pure functions.
#pragma once

#include <string>

#include "emu/base/types.hpp"

namespace forkscope {

std::string grouped(u64 value); // 1234567 -> "1,234,567"
std::string shortened(std::string text, std::size_t width);

} // namespace forkscope
