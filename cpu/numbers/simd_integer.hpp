// Owns: the integer arithmetic of MMX and SSE2 as pure functions of register contents.
// Callers: the SIMD handlers through opcodes_simd.def. Promises: packed_* work on 64 bits, an MM register or half of an
// XMM register; the classes work on either kind of register as a whole.
#pragma once

#include <limits>
#include <type_traits>

#include "cpu/numbers/simd_vector.hpp"

namespace forkscope {

template <class Lane, class Function> u64 each_lane(u64 a, u64 b, Function function) {
    const auto x = lanes_of<Lane>(a);
    const auto y = lanes_of<Lane>(b);
    Lanes<Lane, u64> result;
    for (u32 i = 0; i < result.size(); ++i)
        result[i] = static_cast<Lane>(function(x[i], y[i]));
    return from_lanes<u64>(result);
}

template <class To> constexpr To saturate(i32 value) {
    constexpr i32 kLeast = std::numeric_limits<To>::min();
    constexpr i32 kMost = std::numeric_limits<To>::max();
    return static_cast<To>(value < kLeast ? kLeast : value > kMost ? kMost : value);
}

template <class Lane> u64 packed_add(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x + y; });
}
template <class Lane> u64 packed_subtract(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x - y; });
}
template <class Lane> u64 packed_add_saturated(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return saturate<Lane>(x + y); });
}
template <class Lane> u64 packed_subtract_saturated(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return saturate<Lane>(x - y); });
}
template <class Lane> u64 packed_equal(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x == y ? ~Lane{0} : Lane{0}; });
}
template <class Lane> u64 packed_greater(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x > y ? ~Lane{0} : Lane{0}; });
}
template <class Lane> u64 packed_minimum(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x < y ? x : y; });
}
template <class Lane> u64 packed_maximum(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return x > y ? x : y; });
}
template <class Lane> u64 packed_average(u64 a, u64 b) {
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return (x + y + 1) >> 1; });
}
inline u64 packed_and(u64 a, u64 b) { return a & b; }
inline u64 packed_and_not(u64 a, u64 b) { return ~a & b; }
inline u64 packed_or(u64 a, u64 b) { return a | b; }
inline u64 packed_xor(u64 a, u64 b) { return a ^ b; }

inline u64 packed_multiply_low(u64 a, u64 b) {
    return each_lane<i16>(a, b, [](i16 x, i16 y) { return i32{x} * y; });
}
template <class Lane> u64 packed_multiply_high(u64 a, u64 b) {
    using Product = std::conditional_t<std::is_signed_v<Lane>, i32, u32>;
    return each_lane<Lane>(a, b, [](Lane x, Lane y) { return Product{x} * Product{y} >> 16; });
}
inline u64 packed_multiply_wide(u64 a, u64 b) { return u64{static_cast<u32>(a)} * static_cast<u32>(b); }
// Pairs of products, added; both products of a pair can be 2^30, and their sum wraps to -2^31 only for 4 * -32768.
inline u64 packed_multiply_add(u64 a, u64 b) {
    const auto x = lanes_of<i16>(a);
    const auto y = lanes_of<i16>(b);
    Lanes<u32, u64> result;
    for (u32 i = 0; i < result.size(); ++i)
        result[i] = static_cast<u32>(i32{x[2 * i]} * y[2 * i]) + static_cast<u32>(i32{x[2 * i + 1]} * y[2 * i + 1]);
    return from_lanes<u64>(result);
}
inline u64 packed_difference_sum(u64 a, u64 b) {
    const auto x = lanes_of<u8>(a);
    const auto y = lanes_of<u8>(b);
    u64 sum = 0;
    for (u32 i = 0; i < x.size(); ++i)
        sum += x[i] > y[i] ? x[i] - y[i] : y[i] - x[i];
    return sum;
}

// A count of the lane's bits or more shifts everything out.
template <class Lane> u64 packed_shift_right(u64 a, u64 count) {
    constexpr u64 kMost = 8 * sizeof(Lane);
    auto lanes = lanes_of<Lane>(a);
    if (count >= kMost) {
        if (!std::is_signed_v<Lane>)
            return 0;
        count = kMost - 1;
    }
    for (Lane& lane : lanes)
        lane = static_cast<Lane>(lane >> count);
    return from_lanes<u64>(lanes);
}
template <class Lane> u64 packed_shift_left(u64 a, u64 count) {
    if (count >= 8 * sizeof(Lane))
        return 0;
    auto lanes = lanes_of<Lane>(a);
    for (Lane& lane : lanes)
        lane = static_cast<Lane>(u64{lane} << count);
    return from_lanes<u64>(lanes);
}

// PACK: the lanes of `a`, then those of `b`, made half as wide.
template <class From, class To> struct Pack {
    template <class Register> static Register apply(const Register& a, const Register& b) {
        const auto x = lanes_of<From>(a);
        const auto y = lanes_of<From>(b);
        Lanes<To, Register> result;
        for (u32 i = 0; i < x.size(); ++i) {
            result[i] = saturate<To>(x[i]);
            result[x.size() + i] = saturate<To>(y[i]);
        }
        return from_lanes<Register>(result);
    }
};

// PUNPCK, UNPCK: lanes of a half of `a` and `b` in turn.
template <class Lane, u32 kHalf> struct Unpack {
    template <class Register> static Register apply(const Register& a, const Register& b) {
        const auto x = lanes_of<Lane>(a);
        const auto y = lanes_of<Lane>(b);
        Lanes<Lane, Register> result;
        constexpr u32 kFirst = kHalf * static_cast<u32>(result.size()) / 2;
        for (u32 i = 0; i < result.size() / 2; ++i) {
            result[2 * i] = x[kFirst + i];
            result[2 * i + 1] = y[kFirst + i];
        }
        return from_lanes<Register>(result);
    }
};
template <class Lane> using UnpackLow = Unpack<Lane, 0>;
template <class Lane> using UnpackHigh = Unpack<Lane, 1>;

// Four 16-bit lanes, each chosen by two bits of `order`.
inline u64 shuffle_words(u64 source, u32 order) {
    u64 result = 0;
    for (u32 i = 0; i < 4; ++i)
        result |= (source >> 16 * (order >> 2 * i & 3) & 0xFFFF) << 16 * i;
    return result;
}

// The shuffles of XMM registers: old destination, source, immediate.
inline Vector128 shuffle_single(const Vector128& a, const Vector128& b, u32 order) {
    const auto x = lanes_of<u32>(a);
    const auto y = lanes_of<u32>(b);
    const std::array<u32, 4> result = {x[order & 3], x[order >> 2 & 3], y[order >> 4 & 3], y[order >> 6 & 3]};
    return from_lanes<Vector128>(result);
}
inline Vector128 shuffle_double(const Vector128& a, const Vector128& b, u32 order) {
    return {(order & 1) != 0 ? a.high : a.low, (order & 2) != 0 ? b.high : b.low};
}
inline Vector128 shuffle_all(const Vector128&, const Vector128& b, u32 order) { return shuffle_single(b, b, order); }
inline Vector128 shuffle_low(const Vector128&, const Vector128& b, u32 order) {
    return {shuffle_words(b.low, order), b.high};
}
inline Vector128 shuffle_high(const Vector128&, const Vector128& b, u32 order) {
    return {b.low, shuffle_words(b.high, order)};
}

// The top bit of each lane.
template <class Lane, class Register> u32 sign_mask(const Register& value) {
    const auto lanes = lanes_of<Lane>(value);
    u32 mask = 0;
    for (u32 i = 0; i < lanes.size(); ++i)
        mask |= static_cast<u32>(lanes[i] >> (8 * sizeof(Lane) - 1)) << i;
    return mask;
}

} // namespace forkscope
