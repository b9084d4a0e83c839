// Owns: which processes belong to the command that the guest's shell was told to run: init makes the shell, the shell
// makes the command's processes, and they make the forks that are meant.
// Callers: --until, `fork`, `compare`. Promises: looks at who made whom only.
#pragma once

#include "emu/observe/forks/fork_store.hpp"

namespace forkscope {

// Whether a process is one of the command's, or descends from one.
bool in_command(const ForkStore& forks, u32 pid);
// Whether such a process forked.
bool in_command(const ForkStore& forks, const ForkRecord& fork);

} // namespace forkscope
