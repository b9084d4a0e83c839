// The transcendental operations (SDM 1, 8.3.7 to 8.3.11): arguments are reduced exactly or to 128 bits, a Taylor series
// is summed in 128-bit fractions, and the result is rounded once.
#include <array>
#include <utility>

#include "cpu/numbers/float80_wide.hpp"

namespace forkscope {

namespace {

constexpr Wide kPi{false, 1, wide_bits(0xC90FDAA22168C234, 0xC4C6628B80DC1CD1)};
constexpr Wide kHalfPi{false, 0, kPi.significand};
constexpr Wide kLnTwo{false, -1, wide_bits(0xB17217F7D1CF79AB, 0xC9E3B39803F2F6AF)};
constexpr Wide kTwoLog2E{false, 1, wide_bits(0xB8AA3B295C17F0BB, 0xBE87FED0691D3E89)};
constexpr Wide kLog2Ten{false, 1, wide_bits(0xD49A784BCD1B8AFE, 0x492BF6FF4DAFDB4D)};
constexpr Wide kLog2E{false, 0, kTwoLog2E.significand};
constexpr Wide kLog10Two{false, -2, wide_bits(0x9A209A84FBCFF798, 0x8F8959AC0B7C9178)};
constexpr Wide kOne{false, 0, u128{1} << 127};
constexpr Wide kTwo{false, 1, u128{1} << 127};

// atan(k / 8).
constexpr Wide kArctangents[9] = {
    {},
    {false, -4, wide_bits(0xFEADD4D5617B6E32, 0xC897989F3E888EF8)},
    {false, -3, wide_bits(0xFADBAFC96406EB15, 0x6DC79EF5F7A217E6)},
    {false, -2, wide_bits(0xB7B0CA0F26F78473, 0x8AA32122DCFE4483)},
    {false, -2, wide_bits(0xED63382B0DDA7B45, 0x6FE445ECBC3A8D03)},
    {false, -1, wide_bits(0x8F005D5EF7F59F9B, 0x5C835E1665C43748)},
    {false, -1, wide_bits(0xA4BC7D1934F70924, 0x19A87F2A457DAC9F)},
    {false, -1, wide_bits(0xB8053E2BC2319E73, 0xCB2DA55210A4443D)},
    {false, -1, wide_bits(0xC90FDAA22168C234, 0xC4C6628B80DC1CD1)},
};

// Series with 1 = 2^127. The arguments are below 1, so no sum reaches 2.
constexpr u128 kSeriesOne = u128{1} << 127;
enum class Signs : u8 { Same, Alternating };

template <std::size_t kCount> using Coefficients = std::array<u128, kCount>;

// 1 / (first)!, 1 / (first + step)!, ...
template <std::size_t kCount> constexpr Coefficients<kCount> inverse_factorials(u32 first, u32 step) {
    Coefficients<kCount> out{};
    u128 value = kSeriesOne;
    u32 n = 1;
    for (std::size_t i = 0; i < kCount; ++i) {
        for (; n <= first + i * step; ++n)
            value /= n;
        out[i] = value;
    }
    return out;
}

// 1, 1/3, 1/5, ...
template <std::size_t kCount> constexpr Coefficients<kCount> inverse_odd_numbers() {
    Coefficients<kCount> out{};
    for (std::size_t i = 0; i < kCount; ++i)
        out[i] = kSeriesOne / (2 * i + 1);
    return out;
}

constexpr auto kSineSeries = inverse_factorials<17>(1, 2);
constexpr auto kCosineSeries = inverse_factorials<17>(0, 2);
constexpr auto kExponentialSeries = inverse_factorials<32>(1, 1);
constexpr auto kLogarithmSeries = inverse_odd_numbers<27>();  // of (argument)^2 <= 0.0295
constexpr auto kArctangentSeries = inverse_odd_numbers<18>(); // of (argument)^2 <= 1/256 and a little

// c0 +- c1 z +- c2 z^2 ..., as a Wide; a sum that ought to be below 1 never is 1.
template <Signs kSigns, std::size_t kCount> Wide sum_series(const Coefficients<kCount>& coefficients, u128 z) {
    u128 sum = coefficients[kCount - 1];
    for (std::size_t i = kCount - 1; i-- > 0;) {
        const u128 rest = multiply_high(z, sum);
        sum = kSigns == Signs::Same ? coefficients[i] + rest : coefficients[i] - rest;
    }
    if (kSigns == Signs::Alternating)
        --sum;
    return wide_normal(false, 0, sum);
}

u128 fraction_of_square(const Wide& a) { return wide_fraction(wide_multiply(a, a)); }

// log2(m) for m = numerator / denominator near 1, by 2/ln 2 * artanh((m - 1) / (m + 1)).
Wide log2_by_ratio(const Wide& m_minus_1, const Wide& m_plus_1) {
    if (m_minus_1.is_zero())
        return {};
    const Wide s = wide_divide(m_minus_1, m_plus_1);
    const Wide series = sum_series<Signs::Same>(kLogarithmSeries, fraction_of_square(s));
    return wide_multiply(wide_multiply(s, series), kTwoLog2E);
}

// x = 2^power * m with m in [0.707, 1.414].
Wide log2_of(const Wide& x) {
    i32 power = x.exponent;
    Wide m{false, 0, x.significand};
    constexpr u64 kRootTwo = 0xB504F333F9DE6485;
    if (static_cast<u64>(x.significand >> 64) >= kRootTwo) {
        ++power;
        m.exponent = -1;
    }
    const Wide m_minus_1 = wide_subtract(m, kOne);
    return wide_add(wide_from_integer(power), log2_by_ratio(m_minus_1, wide_add(m, kOne)));
}

// An angle less a multiple of pi/2, in [-pi/4, pi/4]; `quadrant` is the multiple's low two bits.
struct ReducedAngle {
    Wide rest;
    u32 quadrant = 0;
};

// pi/2 as the x87 has it: 66 significant bits, in units of 2^-65.
constexpr i32 kUnit = 65;
constexpr u128 kHalfPi66 = wide_bits(3, 0x243F6A8885A308D3);

ReducedAngle reduce_angle(const FloatParts& parts) {
    const i32 exponent = parts.exponent - Float80::kBias; // at most 62
    // The significand's lowest bit is worth 2^(exponent - 63). Below 1/2 there is nothing to take away.
    if (exponent < -1)
        return {{false, exponent, u128{parts.significand} << 64}, 0};
    const i32 shift = exponent - 63 + kUnit;
    const u128 units = u128{parts.significand} << shift;
    const u128 multiple = units / kHalfPi66;
    u128 rest = units - multiple * kHalfPi66;
    u32 quadrant = static_cast<u32>(multiple) & 3;
    bool negative = false;
    if (rest > kHalfPi66 / 2) {
        rest = kHalfPi66 - rest;
        negative = true;
        quadrant = (quadrant + 1) & 3;
    }
    return {wide_normal(negative, 127 - kUnit, rest), quadrant};
}

Wide sine_series(const Wide& r) {
    return wide_multiply(r, sum_series<Signs::Alternating>(kSineSeries, fraction_of_square(r)));
}

Wide cosine_series(const Wide& r) { return sum_series<Signs::Alternating>(kCosineSeries, fraction_of_square(r)); }

Wide sine_in_quadrant(const ReducedAngle& angle, u32 quadrant) {
    const Wide value = (quadrant & 1) != 0 ? cosine_series(angle.rest) : sine_series(angle.rest);
    return (quadrant & 2) != 0 ? value.negated() : value;
}

enum class AngleKind : u8 { Number, Done, OutOfRange };

// What the four functions of an angle have in common: NaNs, infinities, denormals, range.
AngleKind check_angle(FloatContext& context, Float80 a, FloatAngle& out) {
    const FloatClass a_class = a.classify();
    if (a_class >= FloatClass::QuietNan) {
        out.first = out.second = float_nan(context, a);
        return AngleKind::Done;
    }
    if (a_class == FloatClass::Infinity) {
        out.first = out.second = context.invalid();
        return AngleKind::Done;
    }
    if (a.exponent() >= Float80::kBias + 63) {
        out.out_of_range = true;
        return AngleKind::OutOfRange;
    }
    if (a_class == FloatClass::Zero) {
        out.first = a;
        out.second = Float80::make(false, Float80::kBias, u64{1} << 63);
        return AngleKind::Done;
    }
    float_note_denormal(context, a_class);
    return context.stopped() ? AngleKind::Done : AngleKind::Number;
}

Float80 rounded_sine(FloatContext& context, const ReducedAngle& angle, bool sign) {
    const Wide value = sine_in_quadrant(angle, angle.quadrant);
    return wide_round(context, sign ? value.negated() : value);
}

Float80 rounded_cosine(FloatContext& context, const ReducedAngle& angle) {
    return wide_round(context, sine_in_quadrant(angle, angle.quadrant + 1));
}

// atan(smaller / larger) in [0, pi/4], both positive.
Wide arctangent_of_ratio(const Wide& smaller, const Wide& larger) {
    // k/8 next to the ratio, by its leading bits.
    const Wide ratio = wide_divide(smaller, larger);
    const i32 shift = -1 - ratio.exponent;
    const u64 fraction = shift < 0 ? ~u64{0} : shift > 63 ? 0 : static_cast<u64>(ratio.significand >> 64) >> shift;
    const u32 k = static_cast<u32>((fraction >> 60) + 1) >> 1;
    Wide t = ratio;
    if (k != 0) { // (s - l k/8) / (l + s k/8)
        const Wide eighths = wide_multiply(wide_from_integer(static_cast<i32>(k)), {false, -3, kOne.significand});
        t = wide_divide(wide_subtract(smaller, wide_multiply(larger, eighths)),
                        wide_add(larger, wide_multiply(smaller, eighths)));
    }
    if (t.is_zero())
        return kArctangents[k];
    const Wide series = sum_series<Signs::Alternating>(kArctangentSeries, fraction_of_square(t));
    return wide_add(kArctangents[k], wide_multiply(t, series));
}

// FPATAN where an operand is zero or infinite (SDM 2A, table 3-30): multiples of pi/4.
Float80 arctangent_special(FloatContext& context, Float80 y, FloatClass class_y, Float80 x, FloatClass class_x) {
    Wide angle;
    if (class_y == FloatClass::Infinity) {
        const Wide quarter{false, -1, kPi.significand};
        angle = class_x != FloatClass::Infinity ? kHalfPi : x.sign() ? wide_subtract(kPi, quarter) : quarter;
    } else if (class_y == FloatClass::Zero || class_x == FloatClass::Infinity) {
        if (!x.sign())
            return Float80::zero(y.sign());
        angle = kPi;
    } else {
        angle = kHalfPi; // x is zero
    }
    angle.negative = y.sign();
    return wide_round(context, angle);
}

// y * log2 of a number. Logarithms that are integers make exact products, which processors flag as inexact all the
// same.
Float80 log_product(FloatContext& context, const Wide& y, const Wide& logarithm) {
    if (logarithm.is_zero())
        return Float80::zero(y.negative != logarithm.negative);
    const Wide product = wide_multiply(y, logarithm);
    const bool is_integer =
        logarithm.exponent >= 0 && logarithm.exponent < 16 && (logarithm.significand << (logarithm.exponent + 1)) == 0;
    if (!is_integer)
        return wide_round(context, product);
    const Float80 result = float_round(context, product.negative, product.exponent + Float80::kBias,
                                       static_cast<u64>(product.significand >> 64),
                                       static_cast<u64>(product.significand), Precision::Extended);
    context.raised |= kFloatPrecision | (result.exponent() == 0 ? kFloatUnderflow : 0);
    return result;
}

// FYL2X where an operand is zero or infinite, or x negative or 1 (SDM 2A, table 3-59).
Float80 y_log2_special(FloatContext& context, Float80 y, FloatClass class_y, Float80 x, FloatClass class_x) {
    if (class_x == FloatClass::Zero) {
        if (class_y == FloatClass::Zero)
            return context.invalid();
        if (class_y == FloatClass::Infinity)
            return Float80::infinity(!y.sign());
        context.raised |= kFloatZeroDivide;
        return Float80::infinity(!y.sign());
    }
    if (x.sign())
        return context.invalid();
    const bool above_1 = x.exponent() >= Float80::kBias;
    const bool is_1 = x.exponent() == Float80::kBias && (x.significand << 1) == 0;
    if (class_x == FloatClass::Infinity) {
        if (class_y == FloatClass::Zero)
            return context.invalid();
        float_note_denormal(context, class_y);
        return Float80::infinity(y.sign());
    }
    if (class_y == FloatClass::Infinity) {
        if (is_1)
            return context.invalid();
        float_note_denormal(context, class_x);
        return Float80::infinity(y.sign() == above_1);
    }
    float_note_denormal(context, class_x, class_y); // y is zero
    return Float80::zero(y.sign() == (above_1 || is_1));
}

} // namespace

Float80 float_exp2_minus_1(FloatContext& context, Float80 a) {
    const FloatClass a_class = a.classify();
    if (a_class >= FloatClass::QuietNan)
        return float_nan(context, a);
    const Float80 minus_one = Float80::make(true, Float80::kBias, u64{1} << 63);
    if (a_class == FloatClass::Infinity)
        return a.sign() ? minus_one : a;
    if (a_class == FloatClass::Zero)
        return a;
    float_note_denormal(context, a_class);
    if (context.stopped())
        return a;
    // Beyond -1 to 1 the result is undefined: processors leave the number.
    if (a.exponent() >= Float80::kBias) {
        context.raised |= kFloatPrecision;
        return a == minus_one ? Float80::make(true, Float80::kBias - 1, u64{1} << 63) : a;
    }
    const Wide y = wide_multiply(wide_from(a), kLnTwo);
    const u128 z = wide_fraction(y);
    const Wide series = a.sign() ? sum_series<Signs::Alternating>(kExponentialSeries, z)
                                 : sum_series<Signs::Same>(kExponentialSeries, z);
    return wide_round(context, wide_multiply(y, series));
}

Float80 float_y_log2(FloatContext& context, Float80 y, Float80 x) {
    const FloatClass class_y = y.classify();
    const FloatClass class_x = x.classify();
    if (class_y >= FloatClass::QuietNan || class_x >= FloatClass::QuietNan)
        return float_nan(context, x, y);
    const bool number_x = class_x == FloatClass::Normal || class_x == FloatClass::Denormal;
    const bool number_y = class_y == FloatClass::Normal || class_y == FloatClass::Denormal;
    if (!number_x || !number_y || x.sign())
        return y_log2_special(context, y, class_y, x, class_x);
    float_note_denormal(context, class_x, class_y);
    if (context.stopped())
        return y;
    const Wide logarithm = log2_of(wide_from(x));
    return log_product(context, wide_from(y), logarithm);
}

Float80 float_y_log2_plus_1(FloatContext& context, Float80 y, Float80 x) {
    const FloatClass class_y = y.classify();
    const FloatClass class_x = x.classify();
    if (class_y >= FloatClass::QuietNan || class_x >= FloatClass::QuietNan)
        return float_nan(context, x, y);
    const bool sign = x.sign() != y.sign();
    if ((class_x == FloatClass::Zero && class_y == FloatClass::Infinity) ||
        (class_x == FloatClass::Infinity && (x.sign() || class_y == FloatClass::Zero)))
        return context.invalid();
    float_note_denormal(context, class_x, class_y);
    if (class_x == FloatClass::Infinity || class_y == FloatClass::Infinity)
        return Float80::infinity(sign);
    if (class_x == FloatClass::Zero || class_y == FloatClass::Zero)
        return Float80::zero(sign);
    if (context.stopped())
        return y;
    const Wide wide_x = wide_from(x);
    if (x.sign() && x.exponent() >= Float80::kBias) { // there is no logarithm: processors leave the number
        context.raised |= kFloatPrecision;
        return x;
    }
    if (x.exponent() >= Float80::kBias - 2) // 1 + x takes no more than 128 bits
        return log_product(context, wide_from(y), log2_of(wide_add(wide_x, kOne)));
    return log_product(context, wide_from(y), log2_by_ratio(wide_x, wide_add(wide_x, kTwo)));
}

Float80 float_arctangent(FloatContext& context, Float80 y, Float80 x) {
    const FloatClass class_y = y.classify();
    const FloatClass class_x = x.classify();
    if (class_y >= FloatClass::QuietNan || class_x >= FloatClass::QuietNan)
        return float_nan(context, x, y);
    float_note_denormal(context, class_x, class_y);
    if (context.stopped())
        return y;
    const bool numbers = (class_y == FloatClass::Normal || class_y == FloatClass::Denormal) &&
                         (class_x == FloatClass::Normal || class_x == FloatClass::Denormal);
    if (!numbers)
        return arctangent_special(context, y, class_y, x, class_x);
    const Wide wide_y = wide_from(y).absolute();
    const Wide wide_x = wide_from(x).absolute();
    const bool steep = wide_less(wide_x, wide_y);
    Wide angle =
        steep ? wide_subtract(kHalfPi, arctangent_of_ratio(wide_x, wide_y)) : arctangent_of_ratio(wide_y, wide_x);
    if (x.sign())
        angle = wide_subtract(kPi, angle);
    angle.negative = y.sign();
    return wide_round(context, angle);
}

FloatAngle float_sine(FloatContext& context, Float80 a) {
    FloatAngle out;
    if (check_angle(context, a, out) == AngleKind::Number)
        out.first = rounded_sine(context, reduce_angle(float_parts(a)), a.sign());
    return out;
}

FloatAngle float_cosine(FloatContext& context, Float80 a) {
    FloatAngle out;
    if (check_angle(context, a, out) == AngleKind::Number)
        out.second = rounded_cosine(context, reduce_angle(float_parts(a)));
    std::swap(out.first, out.second);
    return out;
}

FloatAngle float_sine_cosine(FloatContext& context, Float80 a) {
    FloatAngle out;
    if (check_angle(context, a, out) == AngleKind::Number) {
        const ReducedAngle angle = reduce_angle(float_parts(a));
        out.second = rounded_cosine(context, angle); // before the sine, of whose rounding C1 tells
        out.first = rounded_sine(context, angle, a.sign());
    }
    return out;
}

FloatAngle float_tangent(FloatContext& context, Float80 a) {
    FloatAngle out;
    if (check_angle(context, a, out) == AngleKind::Number) {
        const ReducedAngle angle = reduce_angle(float_parts(a));
        // Tangents of small angles lie above them by less than the quotient is true.
        const Wide value =
            a.exponent() < Float80::kBias - 62
                ? angle.rest
                : wide_divide(sine_in_quadrant(angle, angle.quadrant), sine_in_quadrant(angle, angle.quadrant + 1));
        out.first = wide_round(context, a.sign() ? value.negated() : value);
        out.second = Float80::make(false, Float80::kBias, u64{1} << 63);
    }
    return out;
}

Float80 float_constant(FloatConstant constant, Rounding rounding) {
    const Wide* value = nullptr;
    switch (constant) {
    case FloatConstant::One:
        return Float80::make(false, Float80::kBias, u64{1} << 63);
    case FloatConstant::Zero:
        return {};
    case FloatConstant::Log2Ten:
        value = &kLog2Ten;
        break;
    case FloatConstant::Log2E:
        value = &kLog2E;
        break;
    case FloatConstant::Pi:
        value = &kPi;
        break;
    case FloatConstant::Log10Two:
        value = &kLog10Two;
        break;
    case FloatConstant::LnTwo:
        value = &kLnTwo;
        break;
    }
    FloatContext context;
    context.rounding = rounding;
    return wide_round(context, *value);
}

} // namespace forkscope
