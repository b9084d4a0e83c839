#include "emu/trace/fault_class.hpp"

namespace forkscope {

const char* fault_class_name(FaultClass fault_class) {
    switch (fault_class) {
#define FAULT_CLASS(value, name, cpp_name, text)                                                                       \
    case FaultClass::cpp_name:                                                                                         \
        return text;
#include "guest/abi/tracepoints.def"
    default:
        return "unknown";
    }
}

FaultClass stated_fault_class(u64 value) {
    return value < static_cast<u64>(FaultClass::Count) ? static_cast<FaultClass>(value) : FaultClass::Unknown;
}

} // namespace forkscope
