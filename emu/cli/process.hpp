// Owns: what the process needs of its host before it does anything, and how it ends where the host has no memory.
// Callers: main. Promises: no file that is opened later becomes a standard stream; no memory is a message and exit code
// 1, wherever it was missing.
#pragma once

namespace forkscope {

// First thing in main.
void set_up_process();

// Says that the host's memory is exhausted, without taking any. Returns the exit code.
int report_no_memory();

} // namespace forkscope
