#include "cpu/numbers/float80.hpp"

#include <utility>

namespace forkscope {

namespace {

// How far an unmasked overflow or underflow moves the exponent (SDM 1, 8.5.4).
constexpr i32 kExponentAdjust = 24576;

struct Rounded {
    u64 significand;
    bool carry; // became 2.0: significand is 1.0 again
    bool inexact;
    bool up;
};

// Drops `low` and the lowest `discarded` bits of `high`. Without branches on the numbers: nobody could predict them.
inline Rounded round_significand(Rounding rounding, bool sign, u64 high, u64 low, u32 discarded) {
    const u64 unit = u64{1} << discarded;
    const u64 mask = unit - 1;
    const bool inexact = ((high & mask) | low) != 0;
    bool up = false;
    if (rounding == Rounding::Nearest) [[likely]] {
        // The discarded bits as one number with the half at the top.
        const u64 rest = discarded == 0 ? low : high << (64 - discarded) | u64{low != 0};
        constexpr u64 kHalf = u64{1} << 63;
        up = static_cast<bool>((rest > kHalf) | ((rest == kHalf) & ((high & unit) != 0)));
    } else {
        up = inexact && rounding == (sign ? Rounding::Down : Rounding::Up);
    }
    high = (high & ~mask) + (up ? unit : 0);
    const bool carry = high == 0 && up;
    // A denormal may round up to the smallest normal number, which is no carry.
    return {high | u64{carry} << 63, carry, inexact, up};
}

u32 discarded_bits(Precision precision) {
    return precision == Precision::Single ? 40 : precision == Precision::Double ? 11 : 0;
}

Float80 overflow(FloatContext& context, bool sign, i32 exponent, const Rounded& rounded, u32 discarded) {
    context.raised |= kFloatOverflow;
    if (!context.is_masked(kFloatOverflow)) {
        context.rounded_up = rounded.up;
        if (rounded.inexact)
            context.raised |= kFloatPrecision;
        exponent -= kExponentAdjust;
        if (exponent >= Float80::kMaxExponent) { // FSCALE can be beyond even that
            context.raised |= kFloatPrecision;
            context.rounded_up = true;
            return Float80::infinity(sign);
        }
        return Float80::make(sign, static_cast<u32>(exponent), rounded.significand);
    }
    context.raised |= kFloatPrecision;
    const bool to_infinity =
        context.rounding == Rounding::Nearest || context.rounding == (sign ? Rounding::Down : Rounding::Up);
    context.rounded_up = to_infinity;
    return to_infinity ? Float80::infinity(sign)
                       : Float80::make(sign, Float80::kMaxExponent - 1, ~((u64{1} << discarded) - 1));
}

u128 shift_right_jam(u128 value, u32 count) {
    if (count == 0)
        return value;
    if (count >= 128)
        return value != 0 ? 1 : 0;
    return value >> count | ((value << (128 - count)) != 0 ? 1 : 0);
}

// Tininess is detected after rounding with an unbounded exponent.
Float80 round_tiny(FloatContext& context, bool sign, i32 exponent, u64 high, u64 low, u32 discarded) {
    Rounded rounded = round_significand(context.rounding, sign, high, low, discarded);
    const bool tiny = exponent < 0 || !rounded.carry;
    if (tiny && !context.is_masked(kFloatUnderflow)) {
        context.raised |= kFloatUnderflow;
        if (rounded.inexact)
            context.raised |= kFloatPrecision;
        context.rounded_up = rounded.up;
        exponent += kExponentAdjust + (rounded.carry ? 1 : 0);
        if (exponent <= 0) { // as above
            context.raised |= kFloatPrecision;
            context.rounded_up = false;
            return Float80::zero(sign);
        }
        return Float80::make(sign, static_cast<u32>(exponent), rounded.significand);
    }
    const u128 shifted = shift_right_jam(u128{high} << 64 | low, static_cast<u32>(1 - exponent));
    rounded = round_significand(context.rounding, sign, static_cast<u64>(shifted >> 64), static_cast<u64>(shifted),
                                discarded);
    context.rounded_up = rounded.up;
    if (rounded.inexact)
        context.raised |= kFloatPrecision | (tiny ? kFloatUnderflow : 0);
    return Float80::make(sign, static_cast<u32>(rounded.significand >> 63), rounded.significand);
}

// The larger significand wins; of equal ones the positive number.
bool first_nan_wins(Float80 a, Float80 b) {
    if (a.significand != b.significand)
        return a.significand > b.significand;
    return a.sign_exponent < b.sign_exponent;
}

Float80 quiet(Float80 a) { return {a.significand | u64{1} << 62, a.sign_exponent}; }

bool is_nan(FloatClass c) { return c == FloatClass::QuietNan || c == FloatClass::SignallingNan; }

// Adds magnitudes of finite numbers not zero; a's exponent is the larger.
inline Float80 add_magnitudes(FloatContext& context, bool sign, const FloatParts& a, const FloatParts& b) {
    const u32 distance = static_cast<u32>(a.exponent - b.exponent);
    const u128 aligned = u128{b.significand} << 63; // its low 63 bits are empty, so short shifts lose nothing
    u128 sum = (u128{a.significand} << 63) + (distance < 64 ? aligned >> distance : shift_right_jam(aligned, distance));
    const u32 shift = static_cast<u32>(sum >> 127) ^ 1;
    sum <<= shift;
    return float_round(context, sign, a.exponent + 1 - static_cast<i32>(shift), static_cast<u64>(sum >> 64),
                       static_cast<u64>(sum), context.precision);
}

// The same for |a| - |b|.
inline Float80 subtract_magnitudes(FloatContext& context, bool sign, const FloatParts& a, const FloatParts& b) {
    const u32 distance = static_cast<u32>(a.exponent - b.exponent);
    const u128 aligned = u128{b.significand} << 64;
    u128 difference =
        (u128{a.significand} << 64) - (distance < 64 ? aligned >> distance : shift_right_jam(aligned, distance));
    if (distance == 0) { // then b may be the larger, and nothing was lost
        if (a.significand < b.significand) {
            difference = 0 - difference;
            sign = !sign;
        }
        if (difference == 0)
            return Float80::zero(context.rounding == Rounding::Down);
    }
    const u64 high = static_cast<u64>(difference >> 64);
    const int shift = high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll(static_cast<u64>(difference));
    difference <<= shift;
    return float_round(context, sign, a.exponent - shift, static_cast<u64>(difference >> 64),
                       static_cast<u64>(difference), context.precision);
}

Float80 add_special(FloatContext& context, Float80 a, FloatClass class_a, Float80 b, FloatClass class_b) {
    const bool opposite = a.sign() != b.sign();
    if (class_a == FloatClass::Infinity && class_b == FloatClass::Infinity && opposite)
        return context.invalid();
    float_note_denormal(context, class_a, class_b);
    if (class_a == FloatClass::Infinity || context.stopped())
        return a;
    if (class_b == FloatClass::Infinity)
        return b;
    if (class_a == FloatClass::Zero && class_b == FloatClass::Zero)
        return opposite ? Float80::zero(context.rounding == Rounding::Down) : a;
    // A number and zero: rounded, as any sum.
    const Float80 number = class_a == FloatClass::Zero ? b : a;
    const FloatParts parts = float_parts(number);
    return float_round(context, parts.sign, parts.exponent, parts.significand, 0, context.precision);
}

inline Float80 add_signed(FloatContext& context, Float80 a, Float80 b) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    if (class_a != FloatClass::Normal || class_b != FloatClass::Normal || context.denormal_operand) [[unlikely]] {
        const bool finite = class_a < FloatClass::Infinity && class_b < FloatClass::Infinity;
        if (!finite || class_a == FloatClass::Zero || class_b == FloatClass::Zero)
            return add_special(context, a, class_a, b, class_b);
        float_note_denormal(context, class_a, class_b);
        if (context.stopped())
            return a;
    }
    FloatParts large = float_parts(a);
    FloatParts small = float_parts(b);
    if (large.exponent < small.exponent)
        std::swap(large, small);
    return large.sign == small.sign ? add_magnitudes(context, large.sign, large, small)
                                    : subtract_magnitudes(context, large.sign, large, small);
}

bool any_nan(Float80 a, Float80 b) {
    return a.classify() >= FloatClass::QuietNan || b.classify() >= FloatClass::QuietNan;
}

// The 32-bit root of a 64-bit number, and what is left.
u32 root_of_64(u64 value, u64& rest) {
    u64 root = 0;
    for (u64 bit = u64{1} << 62; bit != 0; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    rest = value;
    return static_cast<u32>(root);
}

} // namespace

FloatParts float_parts(Float80 a) {
    FloatParts parts{a.sign(), a.exponent(), a.significand};
    if (parts.exponent == 0) [[unlikely]] {
        const int shift = __builtin_clzll(parts.significand);
        parts.significand <<= shift;
        parts.exponent = 1 - shift;
    }
    return parts;
}

Float80 float_round(FloatContext& context, bool sign, i32 exponent, u64 high, u64 low, Precision precision) {
    const u32 discarded = discarded_bits(precision);
    if (exponent < 1) [[unlikely]]
        return round_tiny(context, sign, exponent, high, low, discarded);
    const Rounded rounded = round_significand(context.rounding, sign, high, low, discarded);
    exponent += rounded.carry ? 1 : 0;
    if (exponent >= Float80::kMaxExponent) [[unlikely]]
        return overflow(context, sign, exponent, rounded, discarded);
    context.raised = static_cast<u8>(context.raised | (rounded.inexact ? kFloatPrecision : 0));
    context.rounded_up = rounded.up;
    return Float80::make(sign, static_cast<u32>(exponent), rounded.significand);
}

// SDM 1, table 4-7, the column of the x87.
Float80 float_nan(FloatContext& context, Float80 a, Float80 b) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    if (class_a == FloatClass::Unsupported || class_b == FloatClass::Unsupported)
        return context.invalid();
    if (class_a == FloatClass::SignallingNan || class_b == FloatClass::SignallingNan)
        context.raised |= kFloatInvalid;
    if (!is_nan(class_a))
        return quiet(b);
    if (!is_nan(class_b))
        return quiet(a);
    if (class_a != class_b)
        return class_a == FloatClass::QuietNan ? a : b;
    return quiet(first_nan_wins(a, b) ? a : b);
}

Float80 float_nan(FloatContext& context, Float80 a) {
    const FloatClass class_a = a.classify();
    if (class_a == FloatClass::Unsupported)
        return context.invalid();
    if (class_a == FloatClass::SignallingNan)
        context.raised |= kFloatInvalid;
    return quiet(a);
}

void float_note_denormal(FloatContext& context, FloatClass a, FloatClass b) {
    if (a == FloatClass::Denormal || b == FloatClass::Denormal || context.denormal_operand)
        context.raised |= kFloatDenormal;
}

Float80 float_add(FloatContext& context, Float80 a, Float80 b) {
    if (any_nan(a, b)) [[unlikely]]
        return float_nan(context, a, b);
    return add_signed(context, a, b);
}

Float80 float_subtract(FloatContext& context, Float80 a, Float80 b) {
    if (any_nan(a, b)) [[unlikely]]
        return float_nan(context, a, b);
    return add_signed(context, a, b.with_sign(!b.sign()));
}

Float80 float_subtract_reversed(FloatContext& context, Float80 a, Float80 b) { return float_subtract(context, b, a); }

Float80 float_multiply(FloatContext& context, Float80 a, Float80 b) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    const bool sign = a.sign() != b.sign();
    if (class_a != FloatClass::Normal || class_b != FloatClass::Normal || context.denormal_operand) [[unlikely]] {
        if (class_a >= FloatClass::QuietNan || class_b >= FloatClass::QuietNan)
            return float_nan(context, a, b);
        const bool zero = class_a == FloatClass::Zero || class_b == FloatClass::Zero;
        const bool infinite = class_a == FloatClass::Infinity || class_b == FloatClass::Infinity;
        if (zero && infinite)
            return context.invalid();
        float_note_denormal(context, class_a, class_b);
        if (infinite)
            return Float80::infinity(sign);
        if (zero)
            return Float80::zero(sign);
        if (context.stopped())
            return a;
    }
    const FloatParts parts_a = float_parts(a);
    const FloatParts parts_b = float_parts(b);
    u128 product = u128{parts_a.significand} * parts_b.significand;
    i32 exponent = parts_a.exponent + parts_b.exponent - Float80::kBias + 1;
    if (product >> 127 == 0) {
        product <<= 1;
        --exponent;
    }
    return float_round(context, sign, exponent, static_cast<u64>(product >> 64), static_cast<u64>(product),
                       context.precision);
}

Float80 float_divide(FloatContext& context, Float80 a, Float80 b) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    const bool sign = a.sign() != b.sign();
    if (class_a != FloatClass::Normal || class_b != FloatClass::Normal || context.denormal_operand) [[unlikely]] {
        if (class_a >= FloatClass::QuietNan || class_b >= FloatClass::QuietNan)
            return float_nan(context, a, b);
        if (class_a == class_b && (class_a == FloatClass::Zero || class_a == FloatClass::Infinity))
            return context.invalid();
        if (class_b == FloatClass::Zero && class_a != FloatClass::Infinity) {
            context.raised |= kFloatZeroDivide;
            return Float80::infinity(sign);
        }
        float_note_denormal(context, class_a, class_b);
        if (class_a == FloatClass::Infinity)
            return Float80::infinity(sign);
        if (class_a == FloatClass::Zero || class_b == FloatClass::Infinity)
            return Float80::zero(sign);
        if (context.stopped())
            return a;
    }
    const FloatParts parts_a = float_parts(a);
    const FloatParts parts_b = float_parts(b);
    const u64 divisor = parts_b.significand;
    const bool smaller = parts_a.significand < divisor;
    const u128 dividend = u128{parts_a.significand} << (smaller ? 64 : 63);
    const i32 exponent = parts_a.exponent - parts_b.exponent + Float80::kBias - (smaller ? 1 : 0);
    const u64 quotient = static_cast<u64>(dividend / divisor);
    const u64 rest = static_cast<u64>(dividend - u128{quotient} * divisor);
    // Only its relation to one half matters. It is never one half: dividend = (2 * quotient + 1) * divisor / 2 would
    // have an odd factor of more than 64 bits.
    const u64 low = rest == 0 ? 0 : rest < divisor - rest ? 1 : u64{3} << 62;
    return float_round(context, sign, exponent, quotient, low, context.precision);
}

Float80 float_divide_reversed(FloatContext& context, Float80 a, Float80 b) { return float_divide(context, b, a); }

Float80 float_square_root(FloatContext& context, Float80 a) {
    const FloatClass class_a = a.classify();
    if (class_a >= FloatClass::QuietNan)
        return float_nan(context, a);
    if (class_a == FloatClass::Zero)
        return a;
    if (a.sign())
        return context.invalid();
    if (class_a == FloatClass::Infinity)
        return a;
    float_note_denormal(context, class_a);
    if (context.stopped())
        return a;
    const FloatParts parts = float_parts(a);
    // An even power of two is taken out; the number left has 127 or 128 bits.
    const i32 power = parts.exponent - Float80::kBias;
    const u128 number = u128{parts.significand} << ((power & 1) != 0 ? 64 : 63);
    // By halves: the root of the upper half, one division, one correction.
    u64 rest_high = 0;
    const u64 high = root_of_64(static_cast<u64>(number >> 64), rest_high);
    const u64 next = static_cast<u64>(number) >> 32;
    const u128 dividend = u128{rest_high} << 32 | next;
    const u64 quotient = static_cast<u64>(dividend / (2 * high));
    const u64 left = static_cast<u64>(dividend - u128{quotient} * (2 * high));
    u128 root = (u128{high} << 32) + quotient;
    u128 rest = (u128{left} << 32) | static_cast<u32>(number);
    const u128 square = u128{quotient} * quotient;
    if (rest < square) {
        rest += 2 * root - 1;
        root -= 1;
    }
    rest -= square;
    const u64 low = rest == 0 ? 0 : rest > root ? u64{3} << 62 : 1;
    return float_round(context, false, (power >> 1) + Float80::kBias, static_cast<u64>(root), low, context.precision);
}

FloatRelation float_compare(FloatContext& context, Float80 a, Float80 b, FloatCompare kind) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    if (class_a >= FloatClass::QuietNan || class_b >= FloatClass::QuietNan) [[unlikely]] {
        const bool loud = class_a > FloatClass::QuietNan || class_b > FloatClass::QuietNan;
        if (loud || kind == FloatCompare::Ordered)
            context.raised |= kFloatInvalid;
        return FloatRelation::Unordered;
    }
    float_note_denormal(context, class_a, class_b);
    if (class_a == FloatClass::Zero && class_b == FloatClass::Zero)
        return FloatRelation::Equal;
    if (a.sign() != b.sign())
        return a.sign() ? FloatRelation::Less : FloatRelation::Greater;
    // A pseudo-denormal is what the smallest exponent makes of it.
    const i32 exponent_a = a.exponent() == 0 ? 1 : a.exponent();
    const i32 exponent_b = b.exponent() == 0 ? 1 : b.exponent();
    const bool equal = exponent_a == exponent_b && a.significand == b.significand;
    if (equal)
        return FloatRelation::Equal;
    const bool smaller = exponent_a != exponent_b ? exponent_a < exponent_b : a.significand < b.significand;
    return smaller != a.sign() ? FloatRelation::Less : FloatRelation::Greater;
}

} // namespace forkscope
