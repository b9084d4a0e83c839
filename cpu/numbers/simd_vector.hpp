// Owns: Vector128, the content of an XMM register, and the taking apart of registers into lanes.
// Callers: CpuState holds eight of them; the SIMD handlers compute with them. Promises: plain data; lane 0 is the
// lowest; serialises by name.
#pragma once

#include <array>

#include "emu/base/types.hpp"

namespace forkscope {

struct Vector128 {
    u64 low = 0;
    u64 high = 0;

    constexpr bool operator==(const Vector128&) const = default;
    template <class Ar> void serialize(Ar& ar) {
        ar.field("low", low);
        ar.field("high", high);
    }
};

// A register, MM or XMM, as an array of its lanes, and back.
template <class Lane, class Register> using Lanes = std::array<Lane, sizeof(Register) / sizeof(Lane)>;
template <class Lane, class Register> constexpr Lanes<Lane, Register> lanes_of(const Register& value) {
    return __builtin_bit_cast(Lanes<Lane, Register>, value);
}
template <class Register, class Lane, std::size_t N> constexpr Register from_lanes(const std::array<Lane, N>& lanes) {
    return __builtin_bit_cast(Register, lanes);
}

} // namespace forkscope
