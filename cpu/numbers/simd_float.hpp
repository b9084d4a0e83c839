// Owns: the arithmetic of SSE and SSE2 on one number of 32 or 64 bits (SDM 1, chapters 4.8 and 11.5), in integers
// alone. Callers: simd_operations.hpp, tests. Promises: pure functions of bits; rounding, DAZ, FTZ and masks come from
// the context and what happened goes back into it; where an unmasked exception is raised, the result means nothing.
#pragma once

#include "cpu/numbers/float80.hpp"

namespace forkscope {

enum MxcsrBit : u32 {
    kMxcsrFlags = 0x3F, // FloatException
    kMxcsrDenormalsAreZero = 1u << 6,
    kMxcsrMaskShift = 7,
    kMxcsrMasks = 0x3Fu << kMxcsrMaskShift,
    kMxcsrRoundingShift = 13,
    kMxcsrRounding = 3u << kMxcsrRoundingShift,
    kMxcsrFlushToZero = 1u << 15,
    kMxcsrAll = 0xFFFF, // no bit is reserved in a processor with SSE2
    kMxcsrReset = kMxcsrMasks,
};

struct SimdContext {
    explicit SimdContext(u32 mxcsr)
        : rounding(static_cast<Rounding>(mxcsr >> kMxcsrRoundingShift & 3)), masked(mxcsr >> kMxcsrMaskShift & 0x3F),
          denormals_are_zero((mxcsr & kMxcsrDenormalsAreZero) != 0), flush_to_zero((mxcsr & kMxcsrFlushToZero) != 0) {}

    Rounding rounding;
    u8 masked;
    bool denormals_are_zero;
    bool flush_to_zero;
    u8 raised = 0;

    bool is_masked(u8 exception) const { return (masked & exception) != 0; }
};

// Bits is u32 for single, u64 for double precision.
template <class Bits> Bits simd_add(SimdContext& context, Bits a, Bits b);
template <class Bits> Bits simd_subtract(SimdContext& context, Bits a, Bits b);
template <class Bits> Bits simd_multiply(SimdContext& context, Bits a, Bits b);
template <class Bits> Bits simd_divide(SimdContext& context, Bits a, Bits b);
template <class Bits> Bits simd_square_root(SimdContext& context, Bits a);
// The second operand if they are equal or one is a NaN, as MINPS and MAXPS have it.
template <class Bits> Bits simd_minimum(SimdContext& context, Bits a, Bits b);
template <class Bits> Bits simd_maximum(SimdContext& context, Bits a, Bits b);
// Ordered: any NaN is invalid; Unordered: only a signalling one.
template <class Bits> FloatRelation simd_relation(SimdContext& context, Bits a, Bits b, FloatCompare kind);

template <class Bits> Bits simd_from_integer(SimdContext& context, i32 value);
// 80000000H if it does not fit.
template <class Bits> u32 simd_to_integer(SimdContext& context, Bits a);
u64 simd_single_to_double(SimdContext& context, u32 a);
u32 simd_double_to_single(SimdContext& context, u64 a);

// RCPPS and RSQRTPS, which never raise anything and know neither denormals nor MXCSR: the true value rounded to 13
// significant bits, so that the relative error is below 2^-13 (SDM 2B allows 1.5 * 2^-12).
u32 simd_reciprocal(u32 a);
u32 simd_reciprocal_root(u32 a);

} // namespace forkscope
