// The operations that split a Float80 into powers and rests: FPREM, FPREM1, FSCALE, FXTRACT.
#include "cpu/numbers/float80.hpp"

namespace forkscope {

namespace {

// Where the exponents lie further apart than this, one FPREM leaves a partial remainder.
constexpr i32 kMostAtOnce = 64;

struct Division {
    u64 quotient; // its low 64 bits
    u64 rest;
};

// (a << shift) divided by b; shift < 64.
Division divide_shifted(u64 a, i32 shift, u64 b) {
    const u128 dividend = u128{a} << shift;
    const u128 quotient = dividend / b;
    return {static_cast<u64>(quotient), static_cast<u64>(dividend - quotient * b)};
}

Float80 exact(FloatContext& context, bool sign, i32 exponent, u64 value) {
    if (value == 0)
        return Float80::zero(sign);
    const int shift = __builtin_clzll(value);
    return float_round(context, sign, exponent - shift, value << shift, 0, Precision::Extended);
}

FloatRemainder remainder_of_numbers(FloatContext& context, Float80 a, Float80 b, RemainderKind kind) {
    const FloatParts parts_a = float_parts(a);
    const FloatParts parts_b = float_parts(b);
    const i32 distance = parts_a.exponent - parts_b.exponent;
    FloatRemainder result;
    if (distance >= kMostAtOnce) {
        const i32 step = 32 + distance % 32; // how many bits of the quotient are done at once
        const Division division = divide_shifted(parts_a.significand, step, parts_b.significand);
        result.complete = false;
        result.value = exact(context, parts_a.sign, parts_b.exponent + distance - step, division.rest);
        return result;
    }
    if (distance < -1 || (distance < 0 && kind == RemainderKind::Truncate)) {
        result.value = exact(context, parts_a.sign, parts_a.exponent, parts_a.significand);
        return result;
    }
    Division division;
    i32 exponent = parts_b.exponent;
    const u64 divisor = parts_b.significand;
    u128 rest_doubled = 0;
    if (distance < 0) { // by halves: a lies between b/4 and b
        division = {0, parts_a.significand};
        exponent = parts_a.exponent;
        rest_doubled = parts_a.significand;
    } else {
        division = divide_shifted(parts_a.significand, distance, divisor);
        rest_doubled = u128{division.rest} << 1;
    }
    bool sign = parts_a.sign;
    if (kind == RemainderKind::Nearest &&
        (rest_doubled > divisor || (rest_doubled == divisor && (division.quotient & 1) != 0))) {
        // One multiple more, so the rest changes its sign. Where a < b, b is twice as many of a's units.
        ++division.quotient;
        const u128 whole = distance < 0 ? u128{divisor} << 1 : u128{divisor};
        division.rest = static_cast<u64>(whole - division.rest);
        sign = !sign;
    }
    result.value = exact(context, division.rest == 0 ? parts_a.sign : sign, exponent, division.rest);
    result.quotient = static_cast<u8>(division.quotient & 7);
    return result;
}

} // namespace

FloatRemainder float_remainder(FloatContext& context, Float80 a, Float80 b, RemainderKind kind) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    if (class_a >= FloatClass::QuietNan || class_b >= FloatClass::QuietNan)
        return {float_nan(context, a, b)};
    if (class_a == FloatClass::Infinity || class_b == FloatClass::Zero)
        return {context.invalid()};
    float_note_denormal(context, class_a, class_b);
    if (class_a == FloatClass::Zero || context.stopped())
        return {a};
    if (class_b == FloatClass::Infinity) {
        const FloatParts parts = float_parts(a);
        return {exact(context, parts.sign, parts.exponent, parts.significand)};
    }
    return remainder_of_numbers(context, a, b, kind);
}

Float80 float_scale(FloatContext& context, Float80 a, Float80 b) {
    const FloatClass class_a = a.classify();
    const FloatClass class_b = b.classify();
    if (class_a >= FloatClass::QuietNan || class_b >= FloatClass::QuietNan)
        return float_nan(context, a, b);
    if (class_b == FloatClass::Infinity) {
        if (class_a == (b.sign() ? FloatClass::Infinity : FloatClass::Zero))
            return context.invalid();
        float_note_denormal(context, class_a);
        return b.sign() ? Float80::zero(a.sign()) : Float80::infinity(a.sign());
    }
    float_note_denormal(context, class_a, class_b);
    if (class_a == FloatClass::Zero || class_a == FloatClass::Infinity || context.stopped())
        return a;
    const FloatParts parts = float_parts(a);
    i32 power = 0;
    if (class_b != FloatClass::Zero && b.exponent() >= Float80::kBias) {
        // More than any exponent can take, and still within an int.
        constexpr i32 kFar = 1 << 17;
        const i32 distance = Float80::kBias + 63 - b.exponent();
        power = distance < 64 - 17 ? kFar : static_cast<i32>(b.significand >> distance);
        power = b.sign() ? -power : power;
    }
    return float_round(context, parts.sign, parts.exponent + power, parts.significand, 0, Precision::Extended);
}

FloatExtract float_extract(FloatContext& context, Float80 a) {
    const FloatClass a_class = a.classify();
    if (a_class >= FloatClass::QuietNan) {
        const Float80 nan = float_nan(context, a);
        return {nan, nan};
    }
    if (a_class == FloatClass::Infinity)
        return {Float80::infinity(false), a};
    if (a_class == FloatClass::Zero) {
        context.raised |= kFloatZeroDivide;
        return {Float80::infinity(true), a};
    }
    float_note_denormal(context, a_class);
    const FloatParts parts = float_parts(a);
    return {float_from_integer(parts.exponent - Float80::kBias),
            Float80::make(parts.sign, Float80::kBias, parts.significand)};
}

} // namespace forkscope
