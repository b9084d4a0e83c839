// Owns: the names of vectors, the exception that is pending, and Faulted, what a function returns that recorded one.
// Callers: whatever may fault. Promises: plain data; a guest's fault is a value, never a C++ exception.
#pragma once

#include <concepts>

#include "cpu/decode/instruction.hpp"
#include "emu/base/access.hpp"

namespace forkscope {

enum Vector : u8 {
    kDivideError = 0,
    kDebugException = 1,
    kNmi = 2,
    kBreakpoint = 3,
    kOverflow = 4,
    kBoundRange = 5,
    kInvalidOpcode = 6,
    kDeviceNotAvailable = 7,
    kDoubleFault = 8,
    kInvalidTss = 10,
    kSegmentNotPresent = 11,
    kStackFault = 12,
    kGeneralProtection = 13,
    kPageFault = 14,
    kFloatingPoint = 16,
    kAlignmentCheck = 17,
    kSimdFloatingPoint = 19,
};

// What a function returns that has recorded a fault: false, Step::Fault, or an Access that is not ok.
class [[nodiscard]] Faulted {
  public:
    template <std::same_as<bool> T> constexpr operator T() const { return false; }
    constexpr operator Step() const { return Step::Fault; }
    template <class T> constexpr operator Access<T>() const { return Access<T>::fault(); }
};

struct PendingException {
    u8 vector = 0;
    bool has_error = false;
    u32 error = 0;
};

} // namespace forkscope
