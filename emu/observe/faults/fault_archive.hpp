// Owns: how faults go into a section of a snapshot, each once, and are referred to by number.
// Callers: serialize() of the trackers. Promises: what comes out may be shown as it is, whatever the section held.
#pragma once

#include <map>
#include <vector>

#include "emu/base/archive.hpp"
#include "emu/observe/faults/fault_record.hpp"

namespace forkscope {

using FaultPool = std::map<u64, FaultRef>; // by number

void archive_faults(Archive& ar, std::string_view name, std::vector<FaultRecord>& faults);
void archive_faults(Archive& ar, std::string_view name, FaultPool& faults);
// In place of the fault its number, which the pool must have.
void archive_fault_number(Archive& ar, std::string_view name, FaultRef& fault, const FaultPool& pool);

} // namespace forkscope
