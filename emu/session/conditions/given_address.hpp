// Owns: what a person may give for an address of a machine: a number, a symbol, or a value in the language of
// conditions, such as `esp+4`, `cr2` or `u32(ebp)`.
// Callers: the stepper's commands, the panels' choices. Promises: looks only; any text gets an answer.
#pragma once

#include <string_view>

#include "emu/base/result.hpp"
#include "emu/machine/machine.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

Result<u32> given_address(std::string_view text, const Machine& machine, const Symbolizer& symbols, u32 space);

} // namespace forkscope
