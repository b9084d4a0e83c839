// Every MMX, SSE and SSE2 instruction against this host's processor, and the portable arithmetic against the host's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "cpu/numbers/simd_operations.hpp"
#include "simd_host.hpp"

namespace forkscope::test {
namespace {

bool is_long_run() {
    const char* value = std::getenv("FORKSCOPE_LONG");
    return value != nullptr && std::strcmp(value, "1") == 0;
}

// --- RCPPS and RSQRTPS: every fraction, with exponents of both parities.

TEST(SimdApproximations, AreWithinTheBoundThatWeState) {
    const u32 step = is_long_run() ? 1 : 29;
    double worst_reciprocal = 0;
    double worst_root = 0;
    for (const u32 exponent : {1u, 126u, 127u, 200u, 251u}) {
        for (u32 fraction = 0; fraction < 1u << 23; fraction += step) {
            const u32 bits = exponent << 23 | fraction;
            const double value = __builtin_bit_cast(float, bits);
            const double reciprocal = __builtin_bit_cast(float, simd_reciprocal(bits));
            const double root = __builtin_bit_cast(float, simd_reciprocal_root(bits));
            worst_reciprocal = std::max(worst_reciprocal, std::fabs(reciprocal * value - 1));
            worst_root = std::max(worst_root, std::fabs(root * std::sqrt(value) - 1));
        }
    }
    EXPECT_LE(worst_reciprocal, 0x1p-13);
    EXPECT_LE(worst_root, 0x1p-13);
    EXPECT_GT(worst_reciprocal, 0x1p-14); // no better than twelve bits of fraction can be
}

// SDM 2B, RCPPS and RSQRTPS: signs, zeros, denormals, infinities and NaNs; a tiny result is zero.
TEST(SimdApproximations, KnowTheSpecialNumbers) {
    struct Case {
        u32 value, reciprocal, root;
    };
    constexpr u32 kMinus = 0x80000000;
    constexpr u32 kInfinity = 0x7F800000;
    constexpr u32 kIndefinite = 0xFFC00000;
    for (const Case& c : std::initializer_list<Case>{{0, kInfinity, kInfinity},
                                                     {kMinus, kMinus | kInfinity, kMinus | kInfinity},
                                                     {1, kInfinity, kInfinity},
                                                     {0x807FFFFF, kMinus | kInfinity, kMinus | kInfinity},
                                                     {kInfinity, 0, 0},
                                                     {kMinus | kInfinity, kMinus, kIndefinite},
                                                     {0xBF800000, 0xBF800000, kIndefinite},
                                                     {0x7F800001, 0x7FC00001, 0x7FC00001},
                                                     {0xFFC12345, 0xFFC12345, 0xFFC12345},
                                                     {0x7F7FFFFF, 0, 0x1F800000},
                                                     {0x7E800000, 0x00800000, 0x20000000}}) {
        EXPECT_EQ(simd_reciprocal(c.value), c.reciprocal) << std::hex << c.value;
        EXPECT_EQ(simd_reciprocal_root(c.value), c.root) << std::hex << c.value;
    }
}

#ifdef FORKSCOPE_HAS_HOST_SIMD

bool is_approximate(const Form& form) { return form.map >= kMapNone && (form.opcode == 0x52 || form.opcode == 0x53); }
// These touch more than SimdMachine holds.
bool is_state(const Form& form) { return form.operands[0] == Operand::Mfx; }

// Two approximations of the same value, each within 1.5 * 2^-12 (SDM 2B, RCPPS); where one is flushed to zero the other
// is at most the smallest normal number and a little more.
bool same_approximation(u32 a, u32 b) {
    if (a == b)
        return true;
    const float x = __builtin_bit_cast(float, a);
    const float y = __builtin_bit_cast(float, b);
    if (std::isnan(x) || std::isnan(y) || std::isinf(x) || std::isinf(y) || std::signbit(x) != std::signbit(y))
        return false;
    if (x == 0 || y == 0)
        return std::fabs(x) + std::fabs(y) < 0x1.01p-126f;
    return std::fabs(x - y) <= 3.01f * 0x1p-12f * std::fabs(y);
}

// Makes ours the host's where both are good approximations.
void excuse_approximations(const SimdInstruction& instruction, SimdMachine& ours, const SimdMachine& theirs) {
    const u8 number = instruction.decoded().reg;
    auto mine = lanes_of<u32>(ours.xmm[number]);
    const auto other = lanes_of<u32>(theirs.xmm[number]);
    for (u32 i = 0; i < 4; ++i)
        mine[i] = same_approximation(mine[i], other[i]) ? other[i] : mine[i];
    ours.xmm[number] = from_lanes<Vector128>(mine);
}

class Comparison {
  public:
    explicit Comparison(HostFloat host) { ours_.cpu().set_host_float(host); }
    void compare(u16 form, SimdInstruction::Kind kind, u32 instances, u64 count) {
        for (u32 i = 0; i < instances; ++i) {
            const SimdInstruction instruction(form, kind, random_);
            const SimdHost host(instruction);
            for (u64 n = 0; n < count / instances; ++n)
                compare_once(instruction, host);
        }
    }
    u64 compared = 0;
    u64 faulted = 0;
    u64 different = 0;

  private:
    void compare_once(const SimdInstruction& instruction, const SimdHost& host) {
        const SimdMachine start = random_machine(random_, instruction);
        SimdMachine mine = start;
        SimdMachine theirs = start;
        ours_.run(instruction, mine);
        host.run(theirs);
        ++compared;
        faulted += theirs.faulted;
        if (is_approximate(instruction.form()))
            excuse_approximations(instruction, mine, theirs);
        const std::string what = difference(mine, theirs);
        if (what.empty()) [[likely]]
            return;
        ++different;
        if (++shown_[instruction.form().mnemonic] <= 2)
            ADD_FAILURE() << instruction.text() << ":" << what << "\n  from " << describe(start) << "\n  ours "
                          << describe(mine) << "\n  host " << describe(theirs);
    }
    Random random_{20};
    SimdOurs ours_;
    std::map<std::string_view, u32> shown_;
};

void compare_every_form(u64 count, HostFloat host) {
    Comparison comparison(host);
    u32 forms = 0;
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        if (!is_simd(row) || is_state(row))
            continue;
        ++forms;
        const bool has_operands = row.operands[0] != Operand::None || row.group >= 0;
        if ((row.attributes & kMemoryOnly) == 0)
            comparison.compare(form, SimdInstruction::Kind::Register, 12, count);
        if ((row.attributes & kRegisterOnly) == 0 && has_operands)
            comparison.compare(form, SimdInstruction::Kind::Memory, 12, count);
    }
    EXPECT_EQ(comparison.different, 0u);
    EXPECT_GT(comparison.faulted, comparison.compared / 200);
    EXPECT_GT(forms, 270u);
    std::printf("%llu executions of %u forms, %llu of them raised an exception\n",
                static_cast<unsigned long long>(comparison.compared), forms,
                static_cast<unsigned long long>(comparison.faulted));
}

TEST(Simd, DoesWhatTheHostDoesWithEveryFormInRandomStates) {
    compare_every_form(is_long_run() ? 40'000 : 1'200, HostFloat::WhereExact);
}

TEST(Simd, DoesTheSameWithPortableArithmeticAlone) {
    compare_every_form(is_long_run() ? 40'000 : 1'200, HostFloat::Never);
}

TEST(Simd, AsksTheHostForOneProcessorAndNotForAnother) {
    SimdOurs alone;
    SimdOurs helped;
    alone.cpu().set_host_float(HostFloat::Never);
    EXPECT_EQ(helped.cpu().host_sse(), HostFloat::WhereExact) << "machines of one process are independent";
    EXPECT_EQ(alone.cpu().host_sse(), HostFloat::Never);
    EXPECT_EQ(alone.cpu().host_x87(), HostFloat::Never);
}

// --- The two engines against each other, over all pairs of classes and all modes.

template <class Bits> std::vector<Bits> numbers_of_every_class() {
    constexpr u32 kFraction = sizeof(Bits) == 4 ? 23 : 52;
    constexpr u64 kMax = sizeof(Bits) == 4 ? 0xFF : 0x7FF;
    constexpr u64 kOne = (kMax / 2) << kFraction;
    constexpr u64 kAll = (u64{1} << kFraction) - 1;
    const u64 positive[] = {
        0,
        1,
        2,
        kAll / 3,
        kAll, // zero and denormals
        u64{1} << kFraction,
        (u64{1} << kFraction) + 1,
        3ull << kFraction, // the smallest normal numbers
        (kMax / 4) << kFraction,
        ((kMax / 4) << kFraction) + kAll / 3, // whose squares are denormal
        kOne - 1,
        kOne,
        kOne + 1,
        kOne + kAll / 2,
        kOne + kAll / 2 + 1, // about one, and one and a half
        kOne + (u64{1} << kFraction) + kAll / 3,
        kOne + (u64{kFraction} << kFraction),
        kOne + (30ull << kFraction) + kAll,
        kOne + (31ull << kFraction),
        (kMax * 3 / 4) << kFraction, // integers, and whose square overflows
        ((kMax - 1) << kFraction) - 1,
        (kMax - 1) << kFraction,
        ((kMax - 1) << kFraction) + kAll, // the largest
        kMax << kFraction,                // infinity
        (kMax << kFraction) + 1,
        (kMax << kFraction) + kAll / 2, // signalling NaNs
        (kMax << kFraction) + kAll / 2 + 1,
        (kMax << kFraction) + kAll, // quiet NaNs
    };
    std::vector<Bits> numbers;
    for (const u64 bits : positive) {
        numbers.push_back(static_cast<Bits>(bits));
        numbers.push_back(static_cast<Bits>(bits | u64{1} << (8 * sizeof(Bits) - 1)));
    }
    return numbers;
}

struct Agreement {
    u64 compared = 0;
    u64 different = 0;
};

// In every rounding mode, with and without DAZ and FTZ. Exceptions are masked: unmasked ones take the portable way, and
// are compared with the host's above.
template <class Operation> void compare_engines(const Vector128& a, const Vector128& b, Agreement& agreement) {
    static_assert(SimdHasHost<Operation>);
    for (u32 mode = 0; mode < 16; ++mode) {
        const u32 mxcsr = kMxcsrReset | (mode & 3) << kMxcsrRoundingShift |
                          ((mode & 4) != 0 ? u32{kMxcsrDenormalsAreZero} : 0) |
                          ((mode & 8) != 0 ? u32{kMxcsrFlushToZero} : 0);
        SimdContext context(mxcsr);
        const Vector128 portable = Operation::portable(context, a, b);
        u32 after = mxcsr;
        const Vector128 host = Operation::host(a, b, after);
        ++agreement.compared;
        if (portable == host && (after & kMxcsrFlags) == context.raised) [[likely]]
            continue;
        if (++agreement.different <= 5)
            ADD_FAILURE() << std::hex << "mxcsr " << mxcsr << " a " << a.high << "'" << a.low << " b " << b.high << "'"
                          << b.low << "\n  portable " << portable.high << "'" << portable.low << " raised "
                          << u32{context.raised} << "\n  host " << host.high << "'" << host.low << " raised "
                          << (after & kMxcsrFlags);
    }
}

template <class Packed, class Scalar> void compare_arithmetic(const Vector128& a, const Vector128& b, Agreement& out) {
    compare_engines<SimdAdd<Packed>>(a, b, out);
    compare_engines<SimdAdd<Scalar>>(a, b, out);
    compare_engines<SimdSubtract<Packed>>(a, b, out);
    compare_engines<SimdSubtract<Scalar>>(a, b, out);
    compare_engines<SimdMultiply<Packed>>(a, b, out);
    compare_engines<SimdMultiply<Scalar>>(a, b, out);
    compare_engines<SimdDivide<Packed>>(a, b, out);
    compare_engines<SimdDivide<Scalar>>(a, b, out);
    compare_engines<SimdMinimum<Packed>>(a, b, out);
    compare_engines<SimdMinimum<Scalar>>(a, b, out);
    compare_engines<SimdMaximum<Packed>>(a, b, out);
    compare_engines<SimdMaximum<Scalar>>(a, b, out);
}

template <class Packed, class Scalar> void compare_one_operand(const Vector128& a, const Vector128& b, Agreement& out) {
    compare_engines<SimdSquareRoot<Packed>>(a, b, out);
    compare_engines<SimdSquareRoot<Scalar>>(a, b, out);
    if constexpr (sizeof(typename Packed::Lane) == 4) {
        compare_engines<IntegerToFloat<u32, 4>>(a, b, out);
        compare_engines<FloatToInteger<u32, 4, RoundBy::Control>>(a, b, out);
        compare_engines<FloatToInteger<u32, 4, RoundBy::Truncation>>(a, b, out);
        compare_engines<SingleToDouble<1>>(a, b, out);
        compare_engines<SingleToDouble<2>>(a, b, out);
    } else {
        compare_engines<FloatToInteger<u64, 2, RoundBy::Control>>(a, b, out);
        compare_engines<FloatToInteger<u64, 2, RoundBy::Truncation>>(a, b, out);
        compare_engines<DoubleToSingle<1>>(a, b, out);
        compare_engines<DoubleToSingle<2>>(a, b, out);
    }
}

template <class Bits> Vector128 vector_of(Bits first, Bits other) {
    Lanes<Bits, Vector128> lanes;
    lanes.fill(other);
    lanes[0] = first;
    return from_lanes<Vector128>(lanes);
}

// The pairs are in lane 0; the other lanes hold ones, so that what is raised is lane 0's.
template <class Packed, class Scalar> Agreement compare_classes() {
    using Bits = typename Packed::Lane;
    constexpr Bits kOne = sizeof(Bits) == 4 ? Bits{0x3F800000} : static_cast<Bits>(u64{0x3FF} << 52);
    Agreement agreement;
    const std::vector<Bits> numbers = numbers_of_every_class<Bits>();
    for (const Bits a : numbers) {
        for (const Bits b : numbers)
            compare_arithmetic<Packed, Scalar>(vector_of(a, kOne), vector_of(b, kOne), agreement);
        compare_one_operand<Packed, Scalar>(vector_of(kOne, kOne), vector_of(a, kOne), agreement);
    }
    return agreement;
}

TEST(SimdEngines, AgreeOnEveryPairOfClassesInEveryMode) {
    const Agreement single = compare_classes<PackedSingle, ScalarSingle>();
    const Agreement two = compare_classes<PackedDouble, ScalarDouble>();
    EXPECT_EQ(single.different + two.different, 0u);
    EXPECT_GT(single.compared + two.compared, 1'000'000u);
}

template <class Packed, class Scalar> Agreement compare_at_random(u64 count) {
    using Bits = typename Packed::Lane;
    Random random(sizeof(Bits));
    Agreement agreement;
    const auto draw = [&] {
        Lanes<Bits, Vector128> lanes;
        for (Bits& lane : lanes)
            lane = random_number<Bits>(random);
        return from_lanes<Vector128>(lanes);
    };
    while (agreement.compared < count) {
        const Vector128 a = draw();
        const Vector128 b = draw();
        compare_arithmetic<Packed, Scalar>(a, b, agreement);
        compare_one_operand<Packed, Scalar>(a, b, agreement);
    }
    return agreement;
}

TEST(SimdEngines, AgreeOnRandomNumbersInEveryMode) {
    const u64 count = is_long_run() ? 200'000'000 : 1'000'000;
    const Agreement single = compare_at_random<PackedSingle, ScalarSingle>(count);
    const Agreement two = compare_at_random<PackedDouble, ScalarDouble>(count);
    EXPECT_EQ(single.different + two.different, 0u);
    std::printf("%llu operations in both engines\n", static_cast<unsigned long long>(single.compared + two.compared));
}

#endif

} // namespace
} // namespace forkscope::test
