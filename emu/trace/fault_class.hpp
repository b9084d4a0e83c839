// Owns: the classes of page faults and their names, as reports and JSON show them.
// Callers: everyone in observe and above. Promises: names are part of the documented JSON and never change.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

enum class FaultClass : u8 {
    Unknown = 0,
#define FAULT_CLASS(value, name, cpp_name, text) cpp_name = (value),
#include "guest/abi/tracepoints.def"
    Count
};

// "demand-zero", "file", … as guest/abi/tracepoints.def has them; "unknown".
const char* fault_class_name(FaultClass fault_class);
// What the guest says with TP_FAULT_LEAVE (FAULT_*).
FaultClass stated_fault_class(u64 value);

} // namespace forkscope
