#include "cpu/numbers/simd_float.hpp"

#include <bit>

namespace forkscope {

namespace {

template <class Bits> struct Format;
template <> struct Format<u32> {
    static constexpr u32 kFractionBits = 23;
    static constexpr i32 kMaxExponent = 0xFF;
};
template <> struct Format<u64> {
    static constexpr u32 kFractionBits = 52;
    static constexpr i32 kMaxExponent = 0x7FF;
};

template <class Bits> constexpr u32 kSignShift = 8 * sizeof(Bits) - 1;
template <class Bits> constexpr i32 kBias = Format<Bits>::kMaxExponent >> 1;
template <class Bits> constexpr Bits kQuietBit = Bits{1} << (Format<Bits>::kFractionBits - 1);
template <class Bits> constexpr u32 kDiscarded = 63 - Format<Bits>::kFractionBits; // of a significand with bit 63 set

template <class Bits> constexpr Bits make(bool sign, i32 exponent, u64 fraction) {
    return static_cast<Bits>(u64{sign} << kSignShift<Bits> | static_cast<u64>(exponent) << Format<Bits>::kFractionBits |
                             fraction);
}
template <class Bits> constexpr Bits infinity(bool sign) { return make<Bits>(sign, Format<Bits>::kMaxExponent, 0); }
template <class Bits> constexpr Bits zero(bool sign) { return make<Bits>(sign, 0, 0); }

// A number taken apart. Finite and not zero: significand (bit 63 set) * 2^(exponent - bias - 63).
template <class Bits> struct Number {
    Bits bits;
    FloatClass kind;
    bool sign;
    i32 exponent;
    u64 significand;

    Number(const SimdContext& context, Bits value)
        : bits(value), sign(value >> kSignShift<Bits> != 0),
          exponent(static_cast<i32>(value >> Format<Bits>::kFractionBits) & Format<Bits>::kMaxExponent) {
        const Bits fraction = value & ((Bits{1} << Format<Bits>::kFractionBits) - 1);
        significand = u64{fraction} << kDiscarded<Bits>;
        if (exponent == Format<Bits>::kMaxExponent) {
            kind = fraction == 0                       ? FloatClass::Infinity
                   : (fraction & kQuietBit<Bits>) != 0 ? FloatClass::QuietNan
                                                       : FloatClass::SignallingNan;
        } else if (exponent != 0) {
            kind = FloatClass::Normal;
            significand |= u64{1} << 63;
        } else if (fraction == 0 || context.denormals_are_zero) {
            kind = FloatClass::Zero;
            bits = zero<Bits>(sign);
        } else {
            kind = FloatClass::Denormal;
            const int shift = std::countl_zero(significand);
            significand <<= shift;
            exponent = 1 - shift;
        }
    }
    bool is_nan() const { return kind >= FloatClass::QuietNan; }
    bool is_finite() const { return kind <= FloatClass::Denormal; }
};

template <class Bits> Bits invalid(SimdContext& context) {
    context.raised |= kFloatInvalid;
    return infinity<Bits>(true) | kQuietBit<Bits>;
}

// The first operand that is a NaN, made quiet.
template <class Bits> Bits nan_of(SimdContext& context, const Number<Bits>& a, const Number<Bits>& b) {
    if (a.kind == FloatClass::SignallingNan || b.kind == FloatClass::SignallingNan)
        context.raised |= kFloatInvalid;
    return (a.is_nan() ? a.bits : b.bits) | kQuietBit<Bits>;
}

template <class Bits> void note_denormal(SimdContext& context, const Number<Bits>& a, const Number<Bits>& b) {
    if (a.kind == FloatClass::Denormal || b.kind == FloatClass::Denormal)
        context.raised |= kFloatDenormal;
}

u64 shift_right_jam(u64 value, u32 count) {
    if (count == 0)
        return value;
    if (count >= 64)
        return value != 0 ? 1 : 0;
    return value >> count | ((value << (64 - count)) != 0 ? 1 : 0);
}

u64 jam(u128 value) { return static_cast<u64>(value >> 64) | (static_cast<u64>(value) != 0 ? 1 : 0); }

// Drops the lowest `discarded` bits (1 to 63), rounding what stays; the sum may carry out of bit 63 and is then 0.
u64 round_off(Rounding rounding, bool sign, u64 significand, u32 discarded) {
    const u64 unit = u64{1} << discarded;
    const u64 rest = significand & (unit - 1);
    bool up = false;
    if (rounding == Rounding::Nearest)
        up = rest > unit / 2 || (rest == unit / 2 && (significand & unit) != 0);
    else if (rounding != Rounding::Zero)
        up = rest != 0 && sign == (rounding == Rounding::Down);
    return (significand & ~(unit - 1)) + (up ? unit : 0);
}

template <class Bits> Bits overflow(SimdContext& context, bool sign, bool inexact) {
    context.raised |= kFloatOverflow;
    if (inexact || context.is_masked(kFloatOverflow))
        context.raised |= kFloatPrecision;
    const bool to_infinity =
        context.rounding == Rounding::Nearest || context.rounding == (sign ? Rounding::Down : Rounding::Up);
    return to_infinity ? infinity<Bits>(sign) : infinity<Bits>(sign) - 1;
}

// Tininess is detected after rounding with an unbounded exponent; unmasked, or flushed to zero, it need not be inexact.
template <class Bits> Bits round_tiny(SimdContext& context, bool sign, i32 exponent, u64 significand) {
    const u64 unbounded = round_off(context.rounding, sign, significand, kDiscarded<Bits>);
    const bool tiny = exponent < 0 || unbounded != 0;
    if (tiny && !context.is_masked(kFloatUnderflow)) {
        context.raised |= kFloatUnderflow | (unbounded != significand ? kFloatPrecision : 0);
        return zero<Bits>(sign);
    }
    if (tiny && context.flush_to_zero) {
        context.raised |= kFloatUnderflow | kFloatPrecision;
        return zero<Bits>(sign);
    }
    const u64 shifted = shift_right_jam(significand, static_cast<u32>(1 - exponent));
    const u64 rounded = round_off(context.rounding, sign, shifted, kDiscarded<Bits>);
    if (rounded != shifted)
        context.raised |= kFloatPrecision | (tiny ? kFloatUnderflow : 0);
    return make<Bits>(sign, 0, rounded >> kDiscarded<Bits>); // bit 63, if set, makes the exponent 1
}

// significand (bit 63 set, bit 0 may stand for any bits below) * 2^(exponent - bias - 63), rounded to the format.
template <class Bits> Bits round_pack(SimdContext& context, bool sign, i32 exponent, u64 significand) {
    if (exponent < 1)
        return round_tiny<Bits>(context, sign, exponent, significand);
    u64 rounded = round_off(context.rounding, sign, significand, kDiscarded<Bits>);
    const bool inexact = rounded != significand;
    if (rounded == 0) {
        rounded = u64{1} << 63;
        ++exponent;
    }
    if (exponent >= Format<Bits>::kMaxExponent)
        return overflow<Bits>(context, sign, inexact);
    if (inexact)
        context.raised |= kFloatPrecision;
    return make<Bits>(sign, exponent, (rounded << 1) >> (kDiscarded<Bits> + 1));
}

template <class Bits> Bits add_finite(SimdContext& context, const Number<Bits>& a, const Number<Bits>& b) {
    const bool a_is_larger = a.exponent > b.exponent || (a.exponent == b.exponent && a.significand >= b.significand);
    const Number<Bits>& large = a_is_larger ? a : b;
    const Number<Bits>& small = a_is_larger ? b : a;
    const u64 high = large.significand >> 1; // room for the carry; significands have at least ten low bits to spare
    const u64 low = shift_right_jam(small.significand >> 1, static_cast<u32>(large.exponent - small.exponent));
    const u64 sum = a.sign == b.sign ? high + low : high - low;
    if (sum == 0)
        return zero<Bits>(context.rounding == Rounding::Down);
    const int shift = std::countl_zero(sum);
    return round_pack<Bits>(context, large.sign, large.exponent + 1 - shift, sum << shift);
}

template <class Bits> Bits add(SimdContext& context, const Number<Bits>& a, const Number<Bits>& b) {
    if (a.is_nan() || b.is_nan())
        return nan_of(context, a, b);
    if (a.kind == FloatClass::Infinity && b.kind == FloatClass::Infinity && a.sign != b.sign)
        return invalid<Bits>(context);
    note_denormal(context, a, b);
    if (a.kind == FloatClass::Infinity)
        return a.bits;
    if (b.kind == FloatClass::Infinity)
        return b.bits;
    if (a.kind == FloatClass::Zero && b.kind == FloatClass::Zero)
        return a.sign == b.sign ? a.bits : zero<Bits>(context.rounding == Rounding::Down);
    if (a.kind == FloatClass::Zero)
        return round_pack<Bits>(context, b.sign, b.exponent, b.significand);
    if (b.kind == FloatClass::Zero)
        return round_pack<Bits>(context, a.sign, a.exponent, a.significand);
    return add_finite(context, a, b);
}

// -1, 0 or 1 for two numbers that are no NaNs.
template <class Bits> int order(const Number<Bits>& a, const Number<Bits>& b) {
    if (a.kind == FloatClass::Zero && b.kind == FloatClass::Zero)
        return 0;
    if (a.bits == b.bits)
        return 0;
    if (a.sign != b.sign)
        return a.sign ? -1 : 1;
    return (a.bits < b.bits) != a.sign ? -1 : 1;
}

template <class Bits> Bits extreme(SimdContext& context, Bits first, Bits second, int wanted) {
    const Number<Bits> a(context, first);
    const Number<Bits> b(context, second);
    if (a.is_nan() || b.is_nan()) {
        context.raised |= kFloatInvalid;
        return b.bits;
    }
    note_denormal(context, a, b);
    return order(a, b) == wanted ? a.bits : b.bits;
}

// The whole part of the square root of `value`, at least 2^126, and whether something was left over, in bit 0. By
// halves: the root of the upper half digit by digit, the rest by one division and at most one correction.
u64 integer_root(u128 value) {
    const u64 upper = static_cast<u64>(value >> 64);
    u64 half = 0;
    u64 rest = 0;
    for (int i = 62; i >= 0; i -= 2) {
        rest = rest << 2 | (upper >> i & 3);
        const u64 trial = half << 2 | 1;
        const bool fits = rest >= trial;
        rest -= fits ? trial : 0;
        half = half << 1 | (fits ? 1 : 0);
    }
    const u128 dividend = u128{rest} << 32 | static_cast<u64>(value) >> 32;
    const u64 quotient = static_cast<u64>(dividend / (2 * half));
    const u128 square = u128{quotient} * quotient;
    u128 root = (u128{half} << 32) + quotient;
    u128 left = (dividend - u128{quotient} * (2 * half)) << 32 | static_cast<u32>(value);
    if (left < square) {
        left += 2 * root - 1;
        root -= 1;
    }
    return static_cast<u64>(root) | (left != square ? 1 : 0);
}

template <class Bits> u64 root_of(const Number<Bits>& a, i32& exponent) {
    const i32 scale = a.exponent - kBias<Bits>;
    exponent = (scale >> 1) + kBias<Bits>; // rounds down: the odd power of two goes into the significand
    return integer_root(u128{a.significand} << ((scale & 1) != 0 ? 64 : 63));
}

} // namespace

template <class Bits> Bits simd_add(SimdContext& context, Bits a, Bits b) {
    return add(context, Number<Bits>(context, a), Number<Bits>(context, b));
}

template <class Bits> Bits simd_subtract(SimdContext& context, Bits first, Bits second) {
    const Number<Bits> a(context, first);
    Number<Bits> b(context, second);
    if (!b.is_nan()) { // a NaN keeps its sign
        b.sign = !b.sign;
        b.bits ^= Bits{1} << kSignShift<Bits>;
    }
    return add(context, a, b);
}

template <class Bits> Bits simd_multiply(SimdContext& context, Bits first, Bits second) {
    const Number<Bits> a(context, first);
    const Number<Bits> b(context, second);
    const bool sign = a.sign != b.sign;
    if (a.is_nan() || b.is_nan())
        return nan_of(context, a, b);
    const bool is_infinite = !a.is_finite() || !b.is_finite();
    const bool is_zero = a.kind == FloatClass::Zero || b.kind == FloatClass::Zero;
    if (is_infinite && is_zero)
        return invalid<Bits>(context);
    note_denormal(context, a, b);
    if (is_infinite)
        return infinity<Bits>(sign);
    if (is_zero)
        return zero<Bits>(sign);
    const u128 product = u128{a.significand} * b.significand;
    const u32 shift = static_cast<u64>(product >> 127) != 0 ? 0 : 1;
    const i32 exponent = a.exponent + b.exponent - kBias<Bits> + 1 - static_cast<i32>(shift);
    return round_pack<Bits>(context, sign, exponent, jam(product << shift));
}

template <class Bits> Bits simd_divide(SimdContext& context, Bits first, Bits second) {
    const Number<Bits> a(context, first);
    const Number<Bits> b(context, second);
    const bool sign = a.sign != b.sign;
    if (a.is_nan() || b.is_nan())
        return nan_of(context, a, b);
    if (a.kind == b.kind && (a.kind == FloatClass::Zero || a.kind == FloatClass::Infinity))
        return invalid<Bits>(context);
    if (b.kind == FloatClass::Zero && a.is_finite()) {
        context.raised |= kFloatZeroDivide;
        return infinity<Bits>(sign);
    }
    note_denormal(context, a, b);
    if (!a.is_finite())
        return infinity<Bits>(sign);
    if (!b.is_finite() || a.kind == FloatClass::Zero)
        return zero<Bits>(sign);
    const bool borrow = a.significand < b.significand;
    const u128 dividend = u128{a.significand} << (borrow ? 64 : 63);
    const u64 quotient = static_cast<u64>(dividend / b.significand);
    const bool exact = u128{quotient} * b.significand == dividend;
    return round_pack<Bits>(context, sign, a.exponent - b.exponent + kBias<Bits> - (borrow ? 1 : 0),
                            quotient | (exact ? 0 : 1));
}

template <class Bits> Bits simd_square_root(SimdContext& context, Bits value) {
    const Number<Bits> a(context, value);
    if (a.is_nan())
        return nan_of(context, a, a);
    if (a.kind == FloatClass::Zero)
        return a.bits;
    if (a.sign)
        return invalid<Bits>(context);
    if (a.kind == FloatClass::Infinity)
        return a.bits;
    note_denormal(context, a, a);
    i32 exponent = 0;
    const u64 root = root_of(a, exponent);
    return round_pack<Bits>(context, false, exponent, root);
}

template <class Bits> Bits simd_minimum(SimdContext& context, Bits a, Bits b) { return extreme(context, a, b, -1); }
template <class Bits> Bits simd_maximum(SimdContext& context, Bits a, Bits b) { return extreme(context, a, b, 1); }

template <class Bits> FloatRelation simd_relation(SimdContext& context, Bits first, Bits second, FloatCompare kind) {
    const Number<Bits> a(context, first);
    const Number<Bits> b(context, second);
    if (a.is_nan() || b.is_nan()) {
        if (kind == FloatCompare::Ordered || a.kind == FloatClass::SignallingNan || b.kind == FloatClass::SignallingNan)
            context.raised |= kFloatInvalid;
        return FloatRelation::Unordered;
    }
    note_denormal(context, a, b);
    const int relation = order(a, b);
    return relation < 0 ? FloatRelation::Less : relation > 0 ? FloatRelation::Greater : FloatRelation::Equal;
}

template <class Bits> Bits simd_from_integer(SimdContext& context, i32 value) {
    if (value == 0)
        return 0;
    const u64 magnitude = value < 0 ? 0 - static_cast<u64>(i64{value}) : static_cast<u64>(value);
    const int shift = std::countl_zero(magnitude);
    return round_pack<Bits>(context, value < 0, kBias<Bits> + 63 - shift, magnitude << shift);
}

template <class Bits> u32 simd_to_integer(SimdContext& context, Bits value) {
    constexpr u32 kIndefinite = 0x80000000u;
    const Number<Bits> a(context, value);
    if (a.kind == FloatClass::Zero)
        return 0;
    const i32 integer_bits = a.exponent - kBias<Bits> + 1; // of the magnitude before rounding
    if (!a.is_finite() || integer_bits > 32) {
        context.raised |= kFloatInvalid;
        return kIndefinite;
    }
    // With the binary point before bit 30; what lies below it is rounded away.
    const u64 fixed = shift_right_jam(a.significand, static_cast<u32>(33 - integer_bits));
    const u64 rounded = round_off(context.rounding, a.sign, fixed, 31) >> 31;
    if (rounded > (a.sign ? u64{1} << 31 : (u64{1} << 31) - 1)) {
        context.raised |= kFloatInvalid;
        return kIndefinite;
    }
    if (rounded << 31 != fixed)
        context.raised |= kFloatPrecision;
    return static_cast<u32>(a.sign ? 0 - rounded : rounded);
}

u64 simd_single_to_double(SimdContext& context, u32 value) {
    const Number<u32> a(context, value);
    switch (a.kind) {
    case FloatClass::Zero:
        return zero<u64>(a.sign);
    case FloatClass::Infinity:
        return infinity<u64>(a.sign);
    case FloatClass::QuietNan:
    case FloatClass::SignallingNan:
        return infinity<u64>(a.sign) | (u64{nan_of(context, a, a)} & 0x7FFFFF) << 29;
    default:
        note_denormal(context, a, a);
        return make<u64>(a.sign, a.exponent - kBias<u32> + kBias<u64>, (a.significand << 1) >> 12);
    }
}

u32 simd_double_to_single(SimdContext& context, u64 value) {
    const Number<u64> a(context, value);
    switch (a.kind) {
    case FloatClass::Zero:
        return zero<u32>(a.sign);
    case FloatClass::Infinity:
        return infinity<u32>(a.sign);
    case FloatClass::QuietNan:
    case FloatClass::SignallingNan:
        return infinity<u32>(a.sign) | static_cast<u32>(nan_of(context, a, a) << 12 >> 41);
    default:
        note_denormal(context, a, a);
        return round_pack<u32>(context, a.sign, a.exponent - kBias<u64> + kBias<u32>, a.significand);
    }
}

namespace {

constexpr u32 kApproximationBits = 12; // of the fraction

// A positive significand with bit 63 set, rounded to the approximation; results that would be denormal are zero.
u32 approximate(bool sign, i32 exponent, u64 significand) {
    u64 rounded = round_off(Rounding::Nearest, false, significand, 63 - kApproximationBits);
    if (rounded == 0) {
        rounded = u64{1} << 63;
        ++exponent;
    }
    return exponent < 1 ? zero<u32>(sign) : make<u32>(sign, exponent, (rounded << 1) >> 41);
}

const SimdContext kWithoutDenormals(kMxcsrReset | kMxcsrDenormalsAreZero);

} // namespace

u32 simd_reciprocal(u32 value) {
    const Number<u32> a(kWithoutDenormals, value);
    if (a.is_nan())
        return a.bits | kQuietBit<u32>;
    if (a.kind == FloatClass::Zero)
        return infinity<u32>(a.sign);
    if (a.kind == FloatClass::Infinity)
        return zero<u32>(a.sign);
    const bool is_power = a.significand << 1 == 0;
    const u64 quotient = is_power ? u64{1} << 63 : static_cast<u64>((u128{1} << 127) / a.significand);
    return approximate(a.sign, 2 * kBias<u32> - a.exponent - (is_power ? 0 : 1), quotient);
}

u32 simd_reciprocal_root(u32 value) {
    const Number<u32> a(kWithoutDenormals, value);
    if (a.is_nan())
        return a.bits | kQuietBit<u32>;
    if (a.kind == FloatClass::Zero)
        return infinity<u32>(a.sign);
    if (a.sign)
        return infinity<u32>(true) | kQuietBit<u32>;
    if (a.kind == FloatClass::Infinity)
        return 0;
    i32 exponent = 0;
    const u64 root = root_of(a, exponent);
    const bool is_power = root << 1 == 0;
    const u64 quotient = is_power ? u64{1} << 63 : static_cast<u64>((u128{1} << 127) / root);
    return approximate(false, 2 * kBias<u32> - exponent - (is_power ? 0 : 1), quotient);
}

#define INSTANTIATE(Bits)                                                                                              \
    template Bits simd_add(SimdContext&, Bits, Bits);                                                                  \
    template Bits simd_subtract(SimdContext&, Bits, Bits);                                                             \
    template Bits simd_multiply(SimdContext&, Bits, Bits);                                                             \
    template Bits simd_divide(SimdContext&, Bits, Bits);                                                               \
    template Bits simd_square_root(SimdContext&, Bits);                                                                \
    template Bits simd_minimum(SimdContext&, Bits, Bits);                                                              \
    template Bits simd_maximum(SimdContext&, Bits, Bits);                                                              \
    template FloatRelation simd_relation(SimdContext&, Bits, Bits, FloatCompare);                                      \
    template Bits simd_from_integer(SimdContext&, i32);                                                                \
    template u32 simd_to_integer(SimdContext&, Bits);
INSTANTIATE(u32)
INSTANTIATE(u64)
#undef INSTANTIATE

} // namespace forkscope
