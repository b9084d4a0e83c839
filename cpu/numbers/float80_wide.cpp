#include "cpu/numbers/float80_wide.hpp"

#include <utility>

namespace forkscope {

namespace {

int leading_zeros(u128 value) {
    const u64 high = static_cast<u64>(value >> 64);
    return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll(static_cast<u64>(value));
}

// a * 2^128 / b, rounded down; a < b and bit 127 of b is set. Schoolbook division by digits of 64 bits.
u128 divide_fraction(u128 a, u128 b) {
    const u64 divisor_high = static_cast<u64>(b >> 64);
    const u64 divisor_low = static_cast<u64>(b);
    u128 quotient = 0;
    for (int digit = 0; digit < 2; ++digit) {
        u128 guess = a >> 64 >= divisor_high ? ~u64{0} : a / divisor_high;
        u128 rest = a - guess * divisor_high;
        u128 product = guess * divisor_low;
        while (rest >> 64 == 0 && rest << 64 < product) {
            --guess;
            rest += divisor_high;
            product -= divisor_low;
        }
        a = (rest << 64) - product;
        quotient = quotient << 64 | guess;
    }
    return quotient;
}

} // namespace

Wide wide_normal(bool negative, i32 exponent, u128 significand) {
    if (significand == 0)
        return {};
    const int shift = leading_zeros(significand);
    return {negative, exponent - shift, significand << shift};
}

Wide wide_from(Float80 finite) {
    if (finite.significand == 0)
        return {finite.sign(), 0, 0};
    const FloatParts parts = float_parts(finite);
    return {parts.sign, parts.exponent - Float80::kBias, u128{parts.significand} << 64};
}

Wide wide_from_integer(i32 value) {
    const u32 absolute = value < 0 ? 0 - static_cast<u32>(value) : static_cast<u32>(value);
    return wide_normal(value < 0, 127, absolute);
}

Wide wide_add(const Wide& a, const Wide& b) {
    if (a.is_zero())
        return b;
    if (b.is_zero())
        return a;
    if (wide_less(a, b))
        return wide_add(b, a);
    const u32 distance = static_cast<u32>(a.exponent - b.exponent);
    const u128 small = distance >= 128 ? 0 : b.significand >> distance;
    if (a.negative != b.negative) {
        // What falls off the end must still make the difference smaller.
        const bool lost = distance >= 128 || (distance != 0 && (b.significand << (128 - distance)) != 0);
        return wide_normal(a.negative, a.exponent, a.significand - small - (lost ? 1 : 0));
    }
    const u128 sum = a.significand + small;
    if (sum >= a.significand)
        return {a.negative, a.exponent, sum};
    return {a.negative, a.exponent + 1, sum >> 1 | u128{1} << 127};
}

Wide wide_subtract(const Wide& a, const Wide& b) { return wide_add(a, b.negated()); }

Wide wide_multiply(const Wide& a, const Wide& b) {
    return wide_normal(a.negative != b.negative, a.exponent + b.exponent + 1,
                       multiply_high(a.significand, b.significand));
}

Wide wide_divide(const Wide& a, const Wide& b) {
    const bool smaller = a.significand < b.significand;
    const u128 quotient = divide_fraction(smaller ? a.significand : a.significand >> 1, b.significand);
    return wide_normal(a.negative != b.negative, a.exponent - b.exponent - (smaller ? 1 : 0), quotient);
}

bool wide_less(const Wide& a, const Wide& b) {
    if (a.is_zero() || b.is_zero())
        return a.is_zero() && !b.is_zero();
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.significand < b.significand;
}

u128 wide_fraction(const Wide& a) {
    const i32 shift = -1 - a.exponent;
    return shift >= 128 ? 0 : a.significand >> shift;
}

Float80 wide_round(FloatContext& context, const Wide& a) {
    const u64 low = static_cast<u64>(a.significand) | 1;
    return float_round(context, a.negative, a.exponent + Float80::kBias, static_cast<u64>(a.significand >> 64), low,
                       Precision::Extended);
}

} // namespace forkscope
