// Owns: the classes of page faults and their names, as reports and JSON show them.
// Callers: everyone in observe and above. Promises: names are part of the documented JSON and never change.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

enum class FaultClass : u8 {
    Unknown = 0,
    DemandZero = 1,
    File = 2,
    CowCopy = 3,
    CowReuse = 4,
    Stack = 5,
    Spurious = 6,
    Protection = 7,
    KernelCopy = 8,
    Resident = 9,
};

// "demand-zero", "file", "cow-copy", "cow-reuse", "stack", "spurious", "protection", "kernel-copy",
// "resident"; "unknown".
const char* fault_class_name(FaultClass fault_class);
// What the guest says with TP_FAULT_LEAVE (FAULT_* in guest/abi/tracepoints.h).
FaultClass stated_fault_class(u64 value);

} // namespace forkscope
