// Owns: Wide, a floating-point number of 128 significant bits without limits of exponent, for the transcendentals.
// Callers: float80_transcendental.cpp. Promises: pure; each operation errs by less than 4 units in the last place.
#pragma once

#include "cpu/numbers/float80.hpp"

namespace forkscope {

struct Wide {
    bool negative = false;
    i32 exponent = 0;     // value = significand * 2^(exponent - 127)
    u128 significand = 0; // bit 127 is set unless the value is zero

    constexpr bool is_zero() const { return significand == 0; }
    constexpr Wide negated() const { return {!negative, exponent, significand}; }
    constexpr Wide absolute() const { return {false, exponent, significand}; }
};

constexpr u128 wide_bits(u64 high, u64 low) { return u128{high} << 64 | low; }

// The upper half of the 256-bit product.
inline u128 multiply_high(u128 a, u128 b) {
    const u64 a1 = static_cast<u64>(a >> 64);
    const u64 a0 = static_cast<u64>(a);
    const u64 b1 = static_cast<u64>(b >> 64);
    const u64 b0 = static_cast<u64>(b);
    const u128 middle = u128{a1} * b0 + (u128{a0} * b0 >> 64);
    const u128 other = u128{a0} * b1 + static_cast<u64>(middle);
    return u128{a1} * b1 + (middle >> 64) + (other >> 64);
}

// significand * 2^(exponent - 127), shifted until bit 127 is set.
Wide wide_normal(bool negative, i32 exponent, u128 significand);
Wide wide_from(Float80 finite);
Wide wide_from_integer(i32 value);
Wide wide_add(const Wide& a, const Wide& b);
Wide wide_subtract(const Wide& a, const Wide& b);
Wide wide_multiply(const Wide& a, const Wide& b);
Wide wide_divide(const Wide& a, const Wide& b);
bool wide_less(const Wide& a, const Wide& b); // of magnitudes

// A number in [0, 1) as a fraction of 128 bits.
u128 wide_fraction(const Wide& a);

// Rounds to Float80; the true value lies a little beside.
Float80 wide_round(FloatContext& context, const Wide& a);

} // namespace forkscope
