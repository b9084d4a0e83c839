// Owns: the floating-point operations of SSE and SSE2 on whole XMM registers, each in two ways: portable(), our integer
// arithmetic lane by lane, and where the host is an x86-64, host(), the instruction itself.
// Callers: simd_floating_point.hpp, tests. Promises: both ways give the same bits and flags;
// simd_compute() asks the host where that is allowed and exact.
#pragma once

#include "cpu/numbers/simd_float.hpp"
#include "cpu/numbers/simd_vector.hpp"

#if defined(__x86_64__)
#define FORKSCOPE_HOST_HAS_SSE2 1
#include <emmintrin.h>
#endif

namespace forkscope {

// --- Shapes: which lanes of a register an operation works on.
struct PackedSingle {
    using Lane = u32;
    static constexpr u32 kLanes = 4;
};
struct PackedDouble {
    using Lane = u64;
    static constexpr u32 kLanes = 2;
};
struct ScalarSingle {
    using Lane = u32;
    static constexpr u32 kLanes = 1;
};
struct ScalarDouble {
    using Lane = u64;
    static constexpr u32 kLanes = 1;
};
template <class Shape> constexpr u32 kShapeBytes = sizeof(typename Shape::Lane) * Shape::kLanes;

// --- The host's instructions. The guest's rounding, DAZ and FTZ are in force for one instruction; nothing can trap.
#ifdef FORKSCOPE_HOST_HAS_SSE2
#define SIMD_HOST(name)                                                                                                \
    static void host_##name(__m128i& target, __m128i source, u32& mxcsr) {                                             \
        constexpr u32 kOurs = kMxcsrReset;                                                                             \
        asm volatile("ldmxcsr %[state]\n\t" #name " %[source], %[target]\n\tstmxcsr %[state]\n\tldmxcsr %[ours]"       \
                     : [target] "+x"(target), [state] "+m"(mxcsr)                                                      \
                     : [source] "x"(source), [ours] "m"(kOurs));                                                       \
    }
template <class Function>
Vector128 simd_on_host(Function function, const Vector128& a, const Vector128& b, u32& mxcsr) {
    __m128i target = __builtin_bit_cast(__m128i, a);
    function(target, __builtin_bit_cast(__m128i, b), mxcsr);
    return __builtin_bit_cast(Vector128, target);
}
// clang-format off
#define SIMD_HOST_SHAPES(name)                                                                                         \
    SIMD_HOST(name##ps)                                                                                                \
    SIMD_HOST(name##ss)                                                                                                \
    SIMD_HOST(name##pd)                                                                                                \
    SIMD_HOST(name##sd)                                                                                                \
    static Vector128 host(const Vector128& a, const Vector128& b, u32& mxcsr) {                                        \
        if constexpr (std::is_same_v<Shape, PackedSingle>)                                                             \
            return simd_on_host(host_##name##ps, a, b, mxcsr);                                                         \
        else if constexpr (std::is_same_v<Shape, ScalarSingle>)                                                        \
            return simd_on_host(host_##name##ss, a, b, mxcsr);                                                         \
        else if constexpr (std::is_same_v<Shape, PackedDouble>)                                                        \
            return simd_on_host(host_##name##pd, a, b, mxcsr);                                                         \
        else                                                                                                           \
            return simd_on_host(host_##name##sd, a, b, mxcsr);                                                         \
    }
// clang-format on
#else
#define SIMD_HOST_SHAPES(name)
#endif

// --- Arithmetic: a, the destination, with b. Lanes outside the shape keep a's.
#define SIMD_OPERATION(Name, expression, name)                                                                         \
    template <class Shape> struct Name {                                                                               \
        static Vector128 portable(SimdContext& context, const Vector128& a, const Vector128& b) {                      \
            auto result = lanes_of<typename Shape::Lane>(a);                                                           \
            const auto source = lanes_of<typename Shape::Lane>(b);                                                     \
            for (u32 i = 0; i < Shape::kLanes; ++i)                                                                    \
                result[i] = expression;                                                                                \
            return from_lanes<Vector128>(result);                                                                      \
        }                                                                                                              \
        SIMD_HOST_SHAPES(name)                                                                                         \
    };
SIMD_OPERATION(SimdAdd, simd_add(context, result[i], source[i]), add)
SIMD_OPERATION(SimdSubtract, simd_subtract(context, result[i], source[i]), sub)
SIMD_OPERATION(SimdMultiply, simd_multiply(context, result[i], source[i]), mul)
SIMD_OPERATION(SimdDivide, simd_divide(context, result[i], source[i]), div)
SIMD_OPERATION(SimdSquareRoot, simd_square_root(context, source[i]), sqrt)
SIMD_OPERATION(SimdMinimum, simd_minimum(context, result[i], source[i]), min)
SIMD_OPERATION(SimdMaximum, simd_maximum(context, result[i], source[i]), max)
#undef SIMD_OPERATION
#undef SIMD_HOST_SHAPES

// Approximations are ours on every host: tables differ from processor to processor.
template <class Shape, u32 (*kFunction)(u32)> struct SimdApproximation {
    static Vector128 portable(SimdContext&, const Vector128& a, const Vector128& b) {
        auto result = lanes_of<u32>(a);
        const auto source = lanes_of<u32>(b);
        for (u32 i = 0; i < Shape::kLanes; ++i)
            result[i] = kFunction(source[i]);
        return from_lanes<Vector128>(result);
    }
};
template <class Shape> using SimdReciprocal = SimdApproximation<Shape, simd_reciprocal>;
template <class Shape> using SimdReciprocalRoot = SimdApproximation<Shape, simd_reciprocal_root>;

// CMPPS and its like: lanes of all ones where the predicate holds (SDM 2A, table 3-1).
template <class Shape>
Vector128 simd_compare_lanes(SimdContext& context, const Vector128& a, const Vector128& b, u32 predicate) {
    using Lane = typename Shape::Lane;
    // Equal, less, less or equal, unordered, and their opposites.
    constexpr u8 kHolds[4] = {
        1u << static_cast<u8>(FloatRelation::Equal),
        1u << static_cast<u8>(FloatRelation::Less),
        1u << static_cast<u8>(FloatRelation::Less) | 1u << static_cast<u8>(FloatRelation::Equal),
        1u << static_cast<u8>(FloatRelation::Unordered),
    };
    const bool complains = (predicate & 3) == 1 || (predicate & 3) == 2;
    auto result = lanes_of<Lane>(a);
    const auto source = lanes_of<Lane>(b);
    for (u32 i = 0; i < Shape::kLanes; ++i) {
        const FloatRelation relation =
            simd_relation(context, result[i], source[i], complains ? FloatCompare::Ordered : FloatCompare::Unordered);
        const bool holds = (kHolds[predicate & 3] >> static_cast<u8>(relation) & 1) != 0;
        result[i] = holds != ((predicate & 4) != 0) ? ~Lane{0} : Lane{0};
    }
    return from_lanes<Vector128>(result);
}

// --- Conversion: a is the old destination, b the source. One lane: the rest of a stays; else it is cleared.
enum class RoundBy : u8 { Control, Truncation };

template <class To, u32 kLanes> struct IntegerToFloat {
    static Vector128 portable(SimdContext& context, const Vector128& a, const Vector128& b) {
        auto result = lanes_of<To>(a); // CVTPI2PS keeps half of it too
        const auto source = lanes_of<i32>(b);
        for (u32 i = 0; i < kLanes; ++i)
            result[i] = simd_from_integer<To>(context, source[i]);
        return from_lanes<Vector128>(result);
    }
#ifdef FORKSCOPE_HOST_HAS_SSE2
    SIMD_HOST(cvtdq2ps)
    static Vector128 host(const Vector128& a, const Vector128& b, u32& mxcsr) requires(sizeof(To) == 4 && kLanes == 4) {
        return simd_on_host(host_cvtdq2ps, a, b, mxcsr);
    }
#endif
};

template <class From, u32 kLanes, RoundBy kRounding> struct FloatToInteger {
    static Vector128 portable(SimdContext& context, const Vector128&, const Vector128& b) {
        if constexpr (kRounding == RoundBy::Truncation)
            context.rounding = Rounding::Zero;
        std::array<u32, 4> result{};
        const auto source = lanes_of<From>(b);
        for (u32 i = 0; i < kLanes; ++i)
            result[i] = simd_to_integer(context, source[i]);
        return from_lanes<Vector128>(result);
    }
#ifdef FORKSCOPE_HOST_HAS_SSE2
    SIMD_HOST(cvtps2dq)
    SIMD_HOST(cvttps2dq)
    SIMD_HOST(cvtpd2dq)
    SIMD_HOST(cvttpd2dq)
    static Vector128 host(const Vector128& a, const Vector128& b, u32& mxcsr) requires(kLanes == 16 / sizeof(From)) {
        if constexpr (sizeof(From) == 4)
            return simd_on_host(kRounding == RoundBy::Control ? host_cvtps2dq : host_cvttps2dq, a, b, mxcsr);
        else
            return simd_on_host(kRounding == RoundBy::Control ? host_cvtpd2dq : host_cvttpd2dq, a, b, mxcsr);
    }
#endif
};

template <u32 kLanes> struct SingleToDouble {
    static Vector128 portable(SimdContext& context, const Vector128& a, const Vector128& b) {
        auto result = lanes_of<u64>(a);
        const auto source = lanes_of<u32>(b);
        for (u32 i = 0; i < kLanes; ++i)
            result[i] = simd_single_to_double(context, source[i]);
        return from_lanes<Vector128>(result);
    }
#ifdef FORKSCOPE_HOST_HAS_SSE2
    SIMD_HOST(cvtps2pd)
    SIMD_HOST(cvtss2sd)
    static Vector128 host(const Vector128& a, const Vector128& b, u32& mxcsr) {
        return simd_on_host(kLanes == 1 ? host_cvtss2sd : host_cvtps2pd, a, b, mxcsr);
    }
#endif
};

template <u32 kLanes> struct DoubleToSingle {
    static Vector128 portable(SimdContext& context, const Vector128& a, const Vector128& b) {
        auto result = kLanes == 1 ? lanes_of<u32>(a) : Lanes<u32, Vector128>{};
        const auto source = lanes_of<u64>(b);
        for (u32 i = 0; i < kLanes; ++i)
            result[i] = simd_double_to_single(context, source[i]);
        return from_lanes<Vector128>(result);
    }
#ifdef FORKSCOPE_HOST_HAS_SSE2
    SIMD_HOST(cvtpd2ps)
    SIMD_HOST(cvtsd2ss)
    static Vector128 host(const Vector128& a, const Vector128& b, u32& mxcsr) {
        return simd_on_host(kLanes == 1 ? host_cvtsd2ss : host_cvtpd2ps, a, b, mxcsr);
    }
#endif
};

#ifdef FORKSCOPE_HOST_HAS_SSE2
#undef SIMD_HOST
#endif

template <class Operation>
concept SimdHasHost = requires(Vector128 a, u32 mxcsr) {
    Operation::host(a, a, mxcsr);
};

// What one operation came to: the result, and all exceptions that it raised.
struct SimdResult {
    Vector128 value;
    u8 raised = 0;
};

// The host's flags are exact as long as nothing traps. Unmasked underflow also counts where nothing is lost, which
// flags cannot tell, and a trap keeps later flags from being set: both are left to the portable way.
template <class Operation>
SimdResult simd_compute(u32 mxcsr, const Vector128& a, const Vector128& b, [[maybe_unused]] HostFloat host) {
    SimdContext context(mxcsr);
    if constexpr (SimdHasHost<Operation>) {
        if (host == HostFloat::WhereExact && context.is_masked(kFloatUnderflow)) [[likely]] {
            u32 host_mxcsr = (mxcsr & ~u32{kMxcsrFlags}) | kMxcsrMasks;
            const Vector128 value = Operation::host(a, b, host_mxcsr);
            const u8 raised = host_mxcsr & kMxcsrFlags;
            if ((raised & ~context.masked) == 0) [[likely]]
                return {value, raised};
        }
    }
    const Vector128 value = Operation::portable(context, a, b);
    return {value, context.raised};
}

} // namespace forkscope
