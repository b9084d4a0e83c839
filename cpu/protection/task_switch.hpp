// Owns: hardware task switching (SDM 3A chapter 7). Callers: far transfers, interrupts and IRET that name a task.
// Promises: everything of the old task is stored and everything of the new one read before registers change; faults
// while the new task's segments are loaded belong to the new task.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

// False: a fault was recorded.
[[nodiscard]] bool switch_task(Context& cpu, const TaskSwitchRequest& request);

} // namespace forkscope::protection
