// Owns: how numbers and long names are written for people. Callers: the reports of this room, the window's panels.
// Promises: pure functions.
#pragma once

#include <string>

#include "emu/base/types.hpp"

namespace forkscope {

std::string grouped(u64 value); // 1234567 -> "1,234,567"
std::string shortened(std::string text, std::size_t width);

} // namespace forkscope
