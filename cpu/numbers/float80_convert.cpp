// Float80 from and to the other formats of the x87: single, double, integers and packed decimal.
#include "cpu/numbers/float80.hpp"

namespace forkscope {

namespace {

// A binary interchange format shorter than Float80.
struct ShortFormat {
    u32 fraction_bits;
    u32 exponent_bits;

    constexpr i32 bias() const { return (1 << (exponent_bits - 1)) - 1; }
    constexpr u32 most() const { return (1u << exponent_bits) - 1; } // exponent of infinities and NaNs
    constexpr u32 dropped() const { return 63 - fraction_bits; }     // bits of a Float80 that do not fit
    constexpr u64 make(bool sign, u64 exponent, u64 fraction) const {
        return u64{sign} << (fraction_bits + exponent_bits) | exponent << fraction_bits | fraction;
    }
    constexpr u64 fraction_of(u64 bits) const { return bits & ((u64{1} << fraction_bits) - 1); }
};
constexpr ShortFormat kSingle{23, 8};
constexpr ShortFormat kDouble{52, 11};

template <ShortFormat const& kFormat> Float80 widen(FloatContext& context, u64 bits) {
    const bool sign = (bits >> (kFormat.fraction_bits + kFormat.exponent_bits)) != 0;
    const u32 exponent = static_cast<u32>(bits >> kFormat.fraction_bits) & kFormat.most();
    const u64 fraction = kFormat.fraction_of(bits) << kFormat.dropped();
    if (exponent - 1 < kFormat.most() - 1) [[likely]]
        return Float80::make(sign, exponent + static_cast<u32>(Float80::kBias - kFormat.bias()),
                             u64{1} << 63 | fraction);
    if (exponent != 0)
        return Float80::make(sign, Float80::kMaxExponent, u64{1} << 63 | fraction);
    if (fraction == 0)
        return Float80::zero(sign);
    context.denormal_operand = true;
    const int shift = __builtin_clzll(fraction);
    return Float80::make(sign, static_cast<u32>(Float80::kBias - kFormat.bias() + 1 - shift), fraction << shift);
}

// The value shifted right by `count`, with all that was lost in its lowest bit.
u64 shift_right_jam(u64 value, u32 count) {
    if (count == 0)
        return value;
    if (count > 63)
        return value != 0 ? 1 : 0;
    return value >> count | ((value << (64 - count)) != 0 ? 1 : 0);
}

// value / 2^dropped, rounded; dropped < 64. What was lost goes to `context`.
u64 round_off(FloatContext& context, bool sign, u64 value, u32 dropped) {
    context.rounded_up = false;
    const u64 mask = (u64{1} << dropped) - 1;
    const u64 rest = value & mask;
    u64 result = value >> dropped;
    if (rest == 0)
        return result;
    context.raised |= kFloatPrecision;
    bool up = false;
    switch (context.rounding) {
    case Rounding::Nearest: {
        const u64 half = u64{1} << (dropped - 1);
        up = rest > half || (rest == half && (result & 1) != 0);
        break;
    }
    case Rounding::Down:
        up = sign;
        break;
    case Rounding::Up:
        up = !sign;
        break;
    case Rounding::Zero:
        break;
    }
    context.rounded_up = up;
    result += up ? 1 : 0;
    return result;
}

template <ShortFormat const& kFormat> u64 overflowed(FloatContext& context, bool sign) {
    context.raised |= kFloatOverflow;
    if (!context.is_masked(kFloatOverflow))
        return 0;
    context.raised |= kFloatPrecision;
    const bool to_infinity =
        context.rounding == Rounding::Nearest || context.rounding == (sign ? Rounding::Down : Rounding::Up);
    context.rounded_up = to_infinity;
    return to_infinity ? kFormat.make(sign, kFormat.most(), 0)
                       : kFormat.make(sign, kFormat.most() - 1, kFormat.fraction_of(~u64{0}));
}

template <ShortFormat const& kFormat> u64 narrow_tiny(FloatContext& context, const FloatParts& parts, i32 exponent) {
    // Tiny unless rounding with an unbounded exponent makes it the smallest normal number.
    FloatContext trial = context;
    const u64 unbounded = round_off(trial, parts.sign, parts.significand, kFormat.dropped());
    const bool tiny = exponent < 0 || (unbounded >> (kFormat.fraction_bits + 1)) == 0;
    if (tiny && !context.is_masked(kFloatUnderflow)) {
        context.raised |= kFloatUnderflow;
        return 0;
    }
    const u64 significand = shift_right_jam(parts.significand, static_cast<u32>(1 - exponent));
    const u8 before = context.raised;
    context.raised = 0;
    const u64 rounded = round_off(context, parts.sign, significand, kFormat.dropped());
    if (tiny && (context.raised & kFloatPrecision) != 0)
        context.raised |= kFloatUnderflow;
    context.raised |= before;
    return kFormat.make(parts.sign, 0, 0) + rounded; // a carry makes exponent 1
}

template <ShortFormat const& kFormat> u64 narrow(FloatContext& context, Float80 a) {
    const FloatClass a_class = a.classify();
    if (a_class >= FloatClass::QuietNan) {
        const Float80 nan = float_nan(context, a);
        return kFormat.make(nan.sign(), kFormat.most(), kFormat.fraction_of(nan.significand >> kFormat.dropped()));
    }
    if (a_class == FloatClass::Zero)
        return kFormat.make(a.sign(), 0, 0);
    if (a_class == FloatClass::Infinity)
        return kFormat.make(a.sign(), kFormat.most(), 0);
    const FloatParts parts = float_parts(a);
    i32 exponent = parts.exponent - Float80::kBias + kFormat.bias();
    if (exponent < 1)
        return narrow_tiny<kFormat>(context, parts, exponent);
    // Far too large; smaller ones are rounded first, which may make them too large.
    if (exponent > static_cast<i32>(kFormat.most()))
        exponent = static_cast<i32>(kFormat.most());
    FloatContext trial = context;
    u64 rounded = round_off(trial, parts.sign, parts.significand, kFormat.dropped());
    if ((rounded >> (kFormat.fraction_bits + 1)) != 0) {
        rounded >>= 1;
        ++exponent;
    }
    if (exponent >= static_cast<i32>(kFormat.most()))
        return overflowed<kFormat>(context, parts.sign);
    context = trial;
    return kFormat.make(parts.sign, static_cast<u64>(exponent), kFormat.fraction_of(rounded));
}

// |a| rounded to an integer; false if it is 2^64 or more. For finite numbers.
bool magnitude(FloatContext& context, Float80 a, u64& value) {
    context.rounded_up = false;
    value = 0;
    if (a.significand == 0)
        return true;
    const FloatParts parts = float_parts(a);
    const i32 dropped = Float80::kBias + 63 - parts.exponent;
    if (dropped < 0)
        return false;
    if (dropped == 0) {
        value = parts.significand;
        return true;
    }
    // Below one half nothing but the rest is left: two bits stand for it.
    if (dropped > 64)
        value = round_off(context, parts.sign, 1, 2);
    else if (dropped == 64)
        value = round_off(context, parts.sign, shift_right_jam(parts.significand, 1), 63);
    else
        value = round_off(context, parts.sign, parts.significand, static_cast<u32>(dropped));
    return true;
}

} // namespace

Float80 float_from_32(FloatContext& context, u32 bits) { return widen<kSingle>(context, bits); }
Float80 float_from_64(FloatContext& context, u64 bits) { return widen<kDouble>(context, bits); }
u32 float_to_32(FloatContext& context, Float80 a) { return static_cast<u32>(narrow<kSingle>(context, a)); }
u64 float_to_64(FloatContext& context, Float80 a) { return narrow<kDouble>(context, a); }

Float80 float_from_integer(i64 value) {
    if (value == 0)
        return {};
    const u64 absolute = value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value);
    const int shift = __builtin_clzll(absolute);
    return Float80::make(value < 0, static_cast<u32>(Float80::kBias + 63 - shift), absolute << shift);
}

u64 float_to_integer(FloatContext& context, Float80 a, u32 bits) {
    const u64 least = u64{1} << (bits - 1);
    FloatContext trial = context;
    u64 absolute = 0;
    const bool fits = a.classify() < FloatClass::Infinity && magnitude(trial, a, absolute) &&
                      absolute <= (a.sign() ? least : least - 1);
    if (!fits) {
        context.invalid();
        return least;
    }
    context = trial;
    const u64 value = a.sign() ? 0 - absolute : absolute;
    return bits == 64 ? value : value & ((u64{1} << bits) - 1);
}

Float80 float_round_to_integer(FloatContext& context, Float80 a) {
    const FloatClass a_class = a.classify();
    if (a_class >= FloatClass::QuietNan)
        return float_nan(context, a);
    if (a_class == FloatClass::Zero || a_class == FloatClass::Infinity)
        return a;
    float_note_denormal(context, a_class);
    if (context.stopped() || a.exponent() >= Float80::kBias + 63)
        return a;
    u64 value = 0;
    magnitude(context, a, value);
    if (value == 0)
        return Float80::zero(a.sign());
    const int shift = __builtin_clzll(value);
    return Float80::make(a.sign(), static_cast<u32>(Float80::kBias + 63 - shift), value << shift);
}

Float80 float_from_decimal(PackedDecimal decimal) {
    u64 value = 0;
    for (int digit = 17; digit >= 0; --digit) {
        const u32 bits = digit >= 16 ? static_cast<u32>(decimal.high >> (4 * (digit - 16))) & 15
                                     : static_cast<u32>(decimal.low >> (4 * digit)) & 15;
        value = value * 10 + bits;
    }
    return float_from_integer(static_cast<i64>(value)).with_sign((decimal.high >> 15) != 0);
}

PackedDecimal float_to_decimal(FloatContext& context, Float80 a) {
    constexpr u64 kLimit = 1'000'000'000'000'000'000; // 10^18
    FloatContext trial = context;
    u64 value = 0;
    if (a.classify() >= FloatClass::Infinity || !magnitude(trial, a, value) || value >= kLimit) {
        context.invalid();
        return {u64{3} << 62, 0xFFFF};
    }
    context = trial;
    PackedDecimal decimal;
    for (u32 digit = 0; digit < 16; ++digit, value /= 10)
        decimal.low |= (value % 10) << (4 * digit);
    decimal.high = static_cast<u16>((value / 10 % 10) << 4 | value % 10 | (a.sign() ? 0x8000u : 0u));
    return decimal;
}

} // namespace forkscope
