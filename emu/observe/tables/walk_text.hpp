// Owns: page walks and entries as people read them. Callers: the stepper's commands, gdb's monitor, panels.
// Promises: pure functions.
#pragma once

#include <string>

#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope {

// "PWUAD--": present, writable, user, accessed, dirty, large (S), global.
std::string entry_flags_text(u64 entry);
// A line a level, and what all of them grant; without the last line's end.
std::string walk_text(const WalkView& walk);

} // namespace forkscope
