// Owns: decider_of, whose line it is that something was done: not the helper's that stores an entry, but that of the
// code that decided to. Callers: fork reports, conditions, stepper. Promises: one rule for all; nothing is guessed.
#pragma once

#include <optional>
#include <span>

#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// Outwards from the instruction, through inlined calls and callers, the first that is no helper. Helpers are functions
// of headers, the functions of the file that stores, and, where none is known outside of that file, those that are
// told what to store: one parameter points to what another one is, as in set_pte(pte_t*, pte_t). A store that a
// header's function makes inlined is its caller's. `callers` are return addresses, innermost first; 0: unknown.
// None: it is nobody else's than the instruction's own.
std::optional<Location> decider_of(const Symbolizer& symbols, u32 address_space, u32 eip, std::span<const u32> callers);

// "region_maybe_cow (fork.c:31)"; what is inlined there counts.
std::string function_and_line(const Location& location);

} // namespace forkscope
