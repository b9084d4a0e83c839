#include "emu/trace/fault_class.hpp"

#include <array>

#include "guest/abi/tracepoints.h"

namespace forkscope {

const char* fault_class_name(FaultClass fault_class) {
    constexpr std::array<const char*, 10> kNames = {"unknown", "demand-zero", "file",       "cow-copy",    "cow-reuse",
                                                    "stack",   "spurious",    "protection", "kernel-copy", "resident"};
    return kNames[static_cast<u8>(fault_class)];
}

FaultClass stated_fault_class(u64 value) {
    static_assert(FAULT_DEMAND_ZERO == static_cast<int>(FaultClass::DemandZero) &&
                  FAULT_COW_COPY == static_cast<int>(FaultClass::CowCopy) &&
                  FAULT_KERNEL_COPY == static_cast<int>(FaultClass::KernelCopy) &&
                  FAULT_RESIDENT == static_cast<int>(FaultClass::Resident));
    return value <= FAULT_RESIDENT ? static_cast<FaultClass>(value) : FaultClass::Unknown;
}

} // namespace forkscope
