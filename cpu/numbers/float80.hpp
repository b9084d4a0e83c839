// Owns: Float80, the 80-bit number of the x87, and its arithmetic (SDM 1, chapters 4 and 8), in integers alone.
// Callers: the x87 handlers. Promises: pure functions; rounding, precision and exception masks come from the
// FloatContext and what happened goes back into it; where an unmasked invalid operand, denormal operand or division by
// zero stops an operation (stopped()), its result means nothing.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

__extension__ using u128 = unsigned __int128;

enum FloatException : u8 {
    kFloatInvalid = 1,
    kFloatDenormal = 2,
    kFloatZeroDivide = 4,
    kFloatOverflow = 8,
    kFloatUnderflow = 16,
    kFloatPrecision = 32,
    kFloatAll = 63,
    kFloatStackFault = 64, // of the register stack, with kFloatInvalid
};

enum class Rounding : u8 { Nearest, Down, Up, Zero };             // as the control word has it
enum class Precision : u8 { Single, Reserved, Double, Extended }; // Reserved is as good as Extended

// In this order, so that what needs no arithmetic comes last.
// Whether the host's floating-point instructions may compute, where they give the same bits and flags.
enum class HostFloat : u8 { Never, WhereExact };
enum class FloatClass : u8 { Zero, Normal, Denormal, Infinity, QuietNan, SignallingNan, Unsupported };

struct Float80 {
    u64 significand = 0;   // bit 63 is the integer bit
    u64 sign_exponent = 0; // 16 bits; as wide as it is read, or each load would wait for the store before it

    static constexpr i32 kBias = 16383;
    static constexpr i32 kMaxExponent = 0x7FFF;

    static constexpr Float80 make(bool sign, u32 exponent, u64 significand) {
        return {significand, static_cast<u16>((sign ? 0x8000u : 0u) | exponent)};
    }
    static constexpr Float80 zero(bool sign) { return make(sign, 0, 0); }
    static constexpr Float80 infinity(bool sign) { return make(sign, kMaxExponent, u64{1} << 63); }
    // "Real indefinite": the masked answer to an invalid operation.
    static constexpr Float80 indefinite() { return make(true, kMaxExponent, u64{3} << 62); }

    constexpr bool sign() const { return (sign_exponent >> 15) != 0; }
    constexpr i32 exponent() const { return sign_exponent & 0x7FFF; } // biased
    constexpr Float80 with_sign(bool negative) const { return make(negative, sign_exponent & 0x7FFFu, significand); }
    constexpr bool operator==(const Float80&) const = default;

    constexpr FloatClass classify() const {
        const i32 e = exponent();
        if (e == 0)
            return significand == 0 ? FloatClass::Zero : FloatClass::Denormal; // pseudo-denormals too
        if ((significand >> 63) == 0)
            return FloatClass::Unsupported;
        if (e != kMaxExponent)
            return FloatClass::Normal;
        if ((significand << 1) == 0)
            return FloatClass::Infinity;
        return (significand & u64{1} << 62) != 0 ? FloatClass::QuietNan : FloatClass::SignallingNan;
    }
    template <class Ar> void serialize(Ar& ar) {
        ar.field("significand", significand);
        u16 bits = static_cast<u16>(sign_exponent);
        ar.field("sign_exponent", bits);
        sign_exponent = bits;
    }
};

struct FloatContext {
    Rounding rounding = Rounding::Nearest;
    Precision precision = Precision::Extended;
    u8 masked = kFloatAll;
    u8 raised = 0;
    bool rounded_up = false;           // away from zero: C1
    u8 flagged = 0;                    // raised by earlier operations
    HostFloat host = HostFloat::Never; // float80_fast.hpp asks it
    bool denormal_operand = false;     // an operand was denormal in the shorter format that it came from

    bool is_masked(u8 exception) const { return (masked & exception) != 0; }
    // The operation may not deliver: an exception that comes before the result is unmasked.
    bool stopped() const { return (raised & ~masked & (kFloatInvalid | kFloatDenormal | kFloatZeroDivide)) != 0; }
    // The same for stores to memory in a shorter format, which have no place for a result with its exponent adjusted.
    bool store_stopped() const { return (raised & ~masked & (kFloatAll & ~kFloatPrecision)) != 0; }
    Float80 invalid() {
        raised |= kFloatInvalid;
        return Float80::indefinite();
    }
};

// A finite number not zero: significand (bit 63 set) * 2^(exponent - bias - 63), the exponent in any range.
struct FloatParts {
    bool sign = false;
    i32 exponent = 0;
    u64 significand = 0;
};
FloatParts float_parts(Float80 normal_or_denormal);

// Rounds (high:low, bit 63 of high set) * 2^(exponent - bias - 63) to `precision`, with overflow and underflow.
Float80 float_round(FloatContext& context, bool sign, i32 exponent, u64 high, u64 low, Precision precision);
// The quiet NaN that comes of operands of which one at least is a NaN or unsupported.
Float80 float_nan(FloatContext& context, Float80 a, Float80 b);
Float80 float_nan(FloatContext& context, Float80 a);
// Notes a denormal operand.
void float_note_denormal(FloatContext& context, FloatClass a, FloatClass b = FloatClass::Zero);

Float80 float_add(FloatContext& context, Float80 a, Float80 b);
Float80 float_subtract(FloatContext& context, Float80 a, Float80 b);
Float80 float_subtract_reversed(FloatContext& context, Float80 a, Float80 b); // b - a
Float80 float_multiply(FloatContext& context, Float80 a, Float80 b);
Float80 float_divide(FloatContext& context, Float80 a, Float80 b);
Float80 float_divide_reversed(FloatContext& context, Float80 a, Float80 b); // b / a
Float80 float_square_root(FloatContext& context, Float80 a);

enum class FloatRelation : u8 { Greater, Less, Equal, Unordered };
enum class FloatCompare : u8 { Ordered, Unordered }; // FCOM complains of any NaN, FUCOM of signalling ones
FloatRelation float_compare(FloatContext& context, Float80 a, Float80 b, FloatCompare kind);

Float80 float_round_to_integer(FloatContext& context, Float80 a);
// a * 2^(integer part of b).
Float80 float_scale(FloatContext& context, Float80 a, Float80 b);
// Exponent and significand as numbers.
struct FloatExtract {
    Float80 exponent;
    Float80 significand;
};
FloatExtract float_extract(FloatContext& context, Float80 a);
// FPREM and FPREM1: `quotient` are the low bits of the quotient, valid if complete.
enum class RemainderKind : u8 { Truncate, Nearest };
struct FloatRemainder {
    Float80 value;
    bool complete = true;
    u8 quotient = 0;
};
FloatRemainder float_remainder(FloatContext& context, Float80 a, Float80 b, RemainderKind kind);

// --- Other formats (float80_convert.cpp). Reading keeps signalling NaNs as they are and notes denormal_operand.
Float80 float_from_32(FloatContext& context, u32 bits);
Float80 float_from_64(FloatContext& context, u64 bits);
Float80 float_from_integer(i64 value);
u32 float_to_32(FloatContext& context, Float80 a);
u64 float_to_64(FloatContext& context, Float80 a);
// To a signed integer of 16, 32 or 64 bits; 1 << (bits - 1) if it does not fit.
u64 float_to_integer(FloatContext& context, Float80 a, u32 bits);
// Packed decimal: 18 digits in `low` (16) and `high` (2), sign in bit 15 of `high`.
struct PackedDecimal {
    u64 low = 0;
    u16 high = 0;
};
Float80 float_from_decimal(PackedDecimal decimal);
PackedDecimal float_to_decimal(FloatContext& context, Float80 a);

// --- Transcendentals (float80_transcendental.cpp): below 0.51 units in the last place from the true value; angles are
// reduced by the 66-bit pi of the x87 (SDM 1, 8.3.8).
Float80 float_exp2_minus_1(FloatContext& context, Float80 a);
Float80 float_y_log2(FloatContext& context, Float80 y, Float80 x);
Float80 float_y_log2_plus_1(FloatContext& context, Float80 y, Float80 x);
Float80 float_arctangent(FloatContext& context, Float80 y, Float80 x); // of y / x, in the quadrant of (x, y)
struct FloatAngle {
    Float80 first;             // sine, or tangent
    Float80 second;            // cosine, or 1
    bool out_of_range = false; // |a| >= 2^63: nothing was done
};
FloatAngle float_sine(FloatContext& context, Float80 a);
FloatAngle float_cosine(FloatContext& context, Float80 a);
FloatAngle float_sine_cosine(FloatContext& context, Float80 a);
FloatAngle float_tangent(FloatContext& context, Float80 a);

enum class FloatConstant : u8 { One, Log2Ten, Log2E, Pi, Log10Two, LnTwo, Zero };
Float80 float_constant(FloatConstant constant, Rounding rounding);

} // namespace forkscope
