// Owns: decider_of, whose line it is that something was done: not the helper's that stores an entry, but that of the
// code that decided to. Callers: fork reports, conditions, stepper. Promises: one rule for all; nothing is guessed.
#pragma once

#include <optional>
#include <span>

#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// The first caller outside of the file that holds the instruction, at its call. `callers` are return addresses,
// innermost first; 0: unknown. None: no such caller is known.
std::optional<Location> decider_of(const Symbolizer& symbols, u32 address_space, u32 eip, std::span<const u32> callers);

// "region_maybe_cow (fork.c:31)"; what is inlined there counts.
std::string function_and_line(const Location& location);

} // namespace forkscope
