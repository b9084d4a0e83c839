// Owns: how the records of forks go into a section of a snapshot.
// Callers: ForkStore, OpenForks. Promises: what comes out may be shown as it is, whatever the section held: indices are
// in range, enumerations have names, faults are there.
#pragma once

#include "emu/observe/faults/fault_archive.hpp"
#include "emu/observe/forks/open_forks.hpp"

namespace forkscope {

void archive_fork(Archive& ar, ForkRecord& fork, const FaultPool& faults);
void archive_open_fork(Archive& ar, OpenFork& fork, const FaultPool& faults);
void collect_faults(const ForkRecord& fork, FaultPool& faults);

} // namespace forkscope
