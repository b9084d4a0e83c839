// Owns: a fast path for the commonest operations: operands of moderate size, whose result can neither overflow
// nor be tiny, rounded to nearest; and the seam to the host's x87.
// Callers: the x87 handlers, in place of float_add and its kin. Promises: what float80.cpp gives, in result and
// context, with the host's help or without (tests compare all three).
#pragma once

#include <initializer_list>

#include "cpu/numbers/float80.hpp"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(FORKSCOPE_NO_HOST_X87)
#define FORKSCOPE_HOST_X87 1
#endif

namespace forkscope {

inline constexpr bool kHasHostX87 =
#ifdef FORKSCOPE_HOST_X87
    true;
#else
    false;
#endif

// Sums, differences, products and quotients of two of these lie well within the range of exponents.
inline bool float_is_moderate(Float80 a) {
    return (a.significand >> 63) != 0 && static_cast<u32>(a.exponent() - 0x2000) < 0x3FFEu;
}

inline bool float_are_moderate(const FloatContext& context, Float80 a, Float80 b) {
    return float_is_moderate(a) && float_is_moderate(b) && !context.denormal_operand;
}

// float_round where the exponent is in range.
[[gnu::always_inline]] inline Float80 float_round_moderate(FloatContext& context, bool sign, i32 exponent, u64 high,
                                                           u64 low) {
    if (context.precision != Precision::Extended || context.rounding != Rounding::Nearest) [[unlikely]]
        return float_round(context, sign, exponent, high, low, context.precision);
    constexpr u64 kHalf = u64{1} << 63;
    const bool up = static_cast<bool>((low > kHalf) | ((low == kHalf) & ((high & 1) != 0)));
    high += up;
    const bool carry = static_cast<bool>(up & (high == 0));
    context.raised = static_cast<u8>(context.raised | u32{low != 0} << 5);
    context.rounded_up = up;
    return Float80::make(sign, static_cast<u32>(exponent + carry), high | u64{carry} << 63);
}
static_assert(kFloatPrecision == 1 << 5);

// Which operand is larger and whether signs differ is as good as random: masks take the place of branches.
[[gnu::always_inline]] inline Float80 fast_add(FloatContext& context, Float80 a, Float80 b) {
    if (!float_are_moderate(context, a, b)) [[unlikely]]
        return float_add(context, a, b);
    i32 distance = a.exponent() - b.exponent();
    const i32 less = distance >> 31; // all ones if b's exponent is the larger
    distance = (distance ^ less) - less;
    if (distance > 63) [[unlikely]]
        return float_add(context, a, b);
    const u64 swapped = static_cast<u64>(i64{less});
    const u64 both = (a.significand ^ b.significand) & swapped;
    const u64 large = a.significand ^ both;
    const u64 small = b.significand ^ both;
    const i32 exponent = a.exponent() + (distance & less);
    const u64 difference = (a.sign_exponent ^ b.sign_exponent) >> 15; // 1: of signs
    const u64 sign = (a.sign_exponent >> 15) ^ (difference & swapped);

    // The lower halves have 63 empty bits, so that nothing is lost.
    const u128 negate = 0 - u128{difference};
    u128 sum = (u128{large} << 63) + ((((u128{small} << 63) >> distance) ^ negate) - negate);
    const u128 borrowed = 0 - (u128{difference} & (sum >> 127)); // equal exponents, and b was the larger after all
    sum = (sum ^ borrowed) - borrowed;
    const u64 high = static_cast<u64>(sum >> 64);
    const u64 low = static_cast<u64>(sum);
    if (high == 0) [[unlikely]]
        return float_add(context, a, b);
    const int shift = __builtin_clzll(high);
    return float_round_moderate(context, (sign ^ (static_cast<u64>(borrowed) & 1)) != 0, exponent + 1 - shift,
                                high << shift | low >> 1 >> (63 - shift), low << shift);
}

[[gnu::always_inline]] inline Float80 fast_subtract(FloatContext& context, Float80 a, Float80 b) {
    if (!float_is_moderate(b)) [[unlikely]] // a NaN keeps its sign
        return float_subtract(context, a, b);
    return fast_add(context, a, b.with_sign(!b.sign()));
}
inline Float80 fast_subtract_reversed(FloatContext& context, Float80 a, Float80 b) {
    return fast_subtract(context, b, a);
}

[[gnu::always_inline]] inline Float80 fast_multiply(FloatContext& context, Float80 a, Float80 b) {
    if (!float_are_moderate(context, a, b)) [[unlikely]]
        return float_multiply(context, a, b);
    u128 product = u128{a.significand} * b.significand;
    const u32 shift = static_cast<u32>(product >> 127) ^ 1;
    product <<= shift;
    return float_round_moderate(context, a.sign() != b.sign(),
                                a.exponent() + b.exponent() - Float80::kBias + 1 - static_cast<i32>(shift),
                                static_cast<u64>(product >> 64), static_cast<u64>(product));
}

// --- Formats of memory: kFraction bits below the integer bit, kExponent bits of exponent.

template <u32 kFraction, u32 kExponent> struct ShortWay {
    static constexpr u32 kSpecial = (1u << kExponent) - 1; // exponent of infinities and NaNs
    static constexpr u32 kRebias = Float80::kBias - (kSpecial >> 1);
    static constexpr u32 kDropped = 63 - kFraction;

    // False if it is no normal number.
    static bool load(u64 bits, Float80& value) {
        const u32 exponent = static_cast<u32>(bits >> kFraction) & kSpecial;
        value = Float80::make(bits >> (kFraction + kExponent) != 0, exponent + kRebias,
                              u64{1} << 63 | bits << (63 - kFraction));
        return exponent - 1 < kSpecial - 1;
    }
    // False unless a normal number comes out, rounded to nearest.
    static bool store(FloatContext& context, Float80 a, u64& bits) {
        const u32 exponent = static_cast<u32>(a.exponent()) - kRebias;
        if (exponent - 1 >= kSpecial - 2 || (a.significand >> 63) == 0 || context.rounding != Rounding::Nearest)
            return false;
        const u64 rest = a.significand << (64 - kDropped);
        const u64 kept = a.significand >> kDropped;
        constexpr u64 kHalf = u64{1} << 63;
        const bool up = static_cast<bool>((rest > kHalf) | ((rest == kHalf) & ((kept & 1) != 0)));
        context.raised = static_cast<u8>(context.raised | u32{rest != 0} << 5);
        context.rounded_up = up;
        // The integer bit counts as one more in the exponent, and so does a carry.
        bits = (u64{exponent - 1} << kFraction) + kept + up + (u64{a.sign()} << (kFraction + kExponent));
        return true;
    }
};
using ShortWaySingle = ShortWay<23, 8>;
using ShortWayDouble = ShortWay<52, 11>;

inline Float80 fast_from_32(FloatContext& context, u32 bits) {
    Float80 value;
    return ShortWaySingle::load(bits, value) ? value : float_from_32(context, bits);
}
inline Float80 fast_from_64(FloatContext& context, u64 bits) {
    Float80 value;
    return ShortWayDouble::load(bits, value) ? value : float_from_64(context, bits);
}
inline u32 fast_to_32(FloatContext& context, Float80 a) {
    u64 bits = 0;
    return ShortWaySingle::store(context, a, bits) ? static_cast<u32>(bits) : float_to_32(context, a);
}
inline u64 fast_to_64(FloatContext& context, Float80 a) {
    u64 bits = 0;
    return ShortWayDouble::store(context, a, bits) ? bits : float_to_64(context, a);
}

// --- The host's x87

// May the host's x87 compute this? Its control word is the ABI's: 64 bits, to nearest, all masked. The only exception
// that an operation on moderate numbers can meet is inexactness, and that is flagged already, so C1 is all there is to
// ask for: reading the host's status costs less than clearing it.
inline bool host_may_compute(const FloatContext& context) {
    return context.host == HostFloat::WhereExact && (context.flagged & kFloatPrecision) != 0 &&
           context.precision == Precision::Extended && context.rounding == Rounding::Nearest;
}

#ifdef FORKSCOPE_HOST_X87
inline Float80 host_square_root(FloatContext& context, Float80 a) {
    struct {
        u64 significand;
        u16 sign_exponent;
    } result;
    u16 status;
    asm volatile("fldt %2\n\tfsqrt\n\tfnstsw %1\n\tfstpt %0" : "=m"(result), "=a"(status) : "m"(a) : "st");
    context.rounded_up = (status & 1u << 9) != 0;
    return {result.significand, result.sign_exponent};
}
#else
inline Float80 host_square_root(FloatContext& context, Float80 a) { return float_square_root(context, a); }
#endif

// Some hosts only play the x87 with doubles (Valgrind, translators to other processors): those are not asked.
inline bool host_x87_is_whole() {
    for (const u64 significand : {u64{1} << 63, u64{3} << 62, u64{0xAAAAAAAAAAAAAAAB}}) {
        FloatContext theirs;
        FloatContext ours;
        const Float80 number = Float80::make(false, 0x4000, significand);
        if (host_square_root(theirs, number) != float_square_root(ours, number) || theirs.rounded_up != ours.rounded_up)
            return false;
    }
    return kHasHostX87;
}

// The one operation that gains by it: FNSTSW alone takes as long as a sum, product or quotient in integers.
inline Float80 fast_square_root(FloatContext& context, Float80 a) {
    if (host_may_compute(context) && float_is_moderate(a) && !a.sign()) [[likely]]
        return host_square_root(context, a);
    return float_square_root(context, a);
}

} // namespace forkscope
