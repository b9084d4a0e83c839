// LazyFlags against an eager twin written from the manual's words: bit by bit for carries, a step at a time for shifts.
#include <cstdlib>

#include <gtest/gtest.h>

#include "cpu/execute/flags.hpp"
#include "emu/base/random.hpp"

namespace forkscope {
namespace {

// The twin: a result and EFLAGS.
struct Eager {
    u64 result = 0;
    u32 flags = 0;

    void put(u32 flag, bool value) { flags = value ? flags | flag : flags & ~flag; }
};

bool bit(u64 value, u32 number) { return ((value >> number) & 1) != 0; }

// SDM 1 3.4.3.1: SF, ZF and PF follow the result alone.
void follow_result(Eager& e, u32 width) {
    e.put(kFlagS, bit(e.result, width - 1));
    e.put(kFlagZ, e.result == 0);
    bool even = true;
    for (u32 i = 0; i < 8; ++i)
        even ^= bit(e.result, i);
    e.put(kFlagP, even);
}

// A chain of full adders; subtraction adds the complement and inverts the carries.
Eager eager_add(u64 a, u64 b, bool carry, bool subtract, u32 width, u32 before) {
    Eager e{0, before};
    bool c = carry != subtract;
    bool into_top = false;
    for (u32 i = 0; i < width; ++i) {
        const bool x = bit(a, i);
        const bool y = bit(b, i) != subtract;
        into_top = c;
        e.result |= u64{x != (y != c)} << i;
        c = (x && y) || (x && c) || (y && c);
        if (i == 3)
            e.put(kFlagA, c != subtract);
    }
    e.put(kFlagC, c != subtract);
    e.put(kFlagO, c != into_top);
    follow_result(e, width);
    return e;
}

Eager eager_logic(u64 result, u32 width, u32 before) {
    Eager e{result, before & ~kFlagsArithmetic}; // CF and OF cleared; AF, undefined, is cleared here
    follow_result(e, width);
    return e;
}

enum class Shift { Rol, Ror, Rcl, Rcr, Shl, Shr, Sar };

// `count` shifts by one, each as SDM 2B describes a shift by one.
Eager eager_shift(Shift kind, u64 a, u32 count, u32 width, u32 before) {
    Eager e{a, before};
    const u64 top = u64{1} << (width - 1);
    for (; count > 0; --count) {
        const bool high = (e.result & top) != 0;
        const bool low = (e.result & 1) != 0;
        const bool carry = (e.flags & kFlagC) != 0;
        const bool left = kind == Shift::Rol || kind == Shift::Rcl || kind == Shift::Shl;
        bool in = false;
        if (kind == Shift::Rcl || kind == Shift::Rcr)
            in = carry;
        else if (kind == Shift::Rol || kind == Shift::Sar)
            in = high;
        else if (kind == Shift::Ror)
            in = low;
        e.result = left ? ((e.result & ~top) << 1 | u64{in}) : (e.result >> 1 | (in ? top : 0));
        e.put(kFlagC, left ? high : low);
        e.put(kFlagO, ((e.result & top) != 0) != high);
    }
    if (kind == Shift::Shl || kind == Shift::Shr || kind == Shift::Sar) {
        e.put(kFlagA, false);
        follow_result(e, width);
    }
    return e;
}

// The bits of `b` come in after another, then those of `a` again.
Eager eager_double_shift(bool left, u64 a, u64 b, u32 count, u32 width, u32 before) {
    Eager e{a, before};
    const u64 top = u64{1} << (width - 1);
    for (u32 step = 0; step < count; ++step) {
        const u64 source = step < width ? b : a;
        const u32 at = step % width;
        const bool in = bit(source, left ? width - 1 - at : at);
        const bool high = (e.result & top) != 0;
        e.put(kFlagC, left ? high : bit(e.result, 0));
        e.result = left ? ((e.result & ~top) << 1 | u64{in}) : (e.result >> 1 | (in ? top : 0));
        e.put(kFlagO, ((e.result & top) != 0) != high);
    }
    e.put(kFlagA, false);
    follow_result(e, width);
    return e;
}

LazyFlags unpacked(u32 flags) {
    LazyFlags lazy;
    lazy.unpack(flags);
    return lazy;
}

// All combinations of the six flags, for what has to survive an operation.
u32 combination(u32 number) {
    constexpr u32 kFlags[] = {kFlagC, kFlagP, kFlagA, kFlagZ, kFlagS, kFlagO};
    u32 flags = 0;
    for (u32 i = 0; i < 6; ++i)
        flags |= bit(number, i) ? kFlags[i] : 0;
    return flags;
}

u64 compared = 0;

// Quick: only a difference makes GoogleTest work.
template <class T> void compare(const char* name, u64 a, u64 b, u32 before, T result, const LazyFlags& lazy, Eager e) {
    ++compared;
    if (result == static_cast<T>(e.result) && lazy.pack() == e.flags) [[likely]]
        return;
    ADD_FAILURE() << name << " of " << sizeof(T) * 8 << " bits: " << std::hex << a << ", " << b << " with flags "
                  << before << ": " << u64{result} << " " << lazy.pack() << ", should be " << e.result << " "
                  << e.flags;
}

template <class Operation, class T>
void check_sum(const char* name, T a, T b, u32 before, bool with_carry, bool subtract) {
    LazyFlags lazy = unpacked(before);
    const T result = Operation::template apply<T>(lazy, a, b);
    const bool carry = with_carry && (before & kFlagC) != 0;
    compare<T>(name, a, b, before, result, lazy, eager_add(a, b, carry, subtract, kBits<T>, before));
}

template <class Operation, class T> void check_logic(const char* name, T a, T b, u32 before, u64 wanted) {
    LazyFlags lazy = unpacked(before);
    const T result = Operation::template apply<T>(lazy, a, b);
    compare<T>(name, a, b, before, result, lazy, eager_logic(wanted, kBits<T>, before));
}

template <class T> void check_two_operands(T a, T b, u32 before) {
    check_sum<Add, T>("ADD", a, b, before, false, false);
    check_sum<Adc, T>("ADC", a, b, before, true, false);
    check_sum<Sub, T>("SUB", a, b, before, false, true);
    check_sum<Sbb, T>("SBB", a, b, before, true, true);
    check_sum<Cmp, T>("CMP", a, b, before, false, true);
    check_logic<And, T>("AND", a, b, before, u64{a} & b);
    check_logic<Or, T>("OR", a, b, before, u64{a} | b);
    check_logic<Xor, T>("XOR", a, b, before, u64{a} ^ b);
}

template <class Operation, class T> void check_unary(const char* name, T a, u32 before, Eager wanted) {
    LazyFlags lazy = unpacked(before);
    const T result = Operation::template apply<T>(lazy, a);
    compare<T>(name, a, 0, before, result, lazy, wanted);
}

template <class T> void check_one_operand(T a, u32 before) {
    Eager inc = eager_add(a, 1, false, false, kBits<T>, before);
    Eager dec = eager_add(a, 1, false, true, kBits<T>, before);
    inc.put(kFlagC, (before & kFlagC) != 0);
    dec.put(kFlagC, (before & kFlagC) != 0);
    check_unary<Inc, T>("INC", a, before, inc);
    check_unary<Dec, T>("DEC", a, before, dec);
    check_unary<Neg, T>("NEG", a, before, eager_add(0, a, false, true, kBits<T>, before));
    check_unary<Not, T>("NOT", a, before, Eager{static_cast<T>(~a), before});
}

template <class Operation, class T> void check_shift(const char* name, Shift kind, T a, u32 count, u32 before) {
    LazyFlags lazy = unpacked(before);
    const T result = Operation::template apply<T>(lazy, a, count);
    compare<T>(name, a, count, before, result, lazy, eager_shift(kind, a, count, kBits<T>, before));
}

template <class T> void check_shifts(T a, u32 count, u32 before) {
    check_shift<Rol, T>("ROL", Shift::Rol, a, count, before);
    check_shift<Ror, T>("ROR", Shift::Ror, a, count, before);
    check_shift<Rcl, T>("RCL", Shift::Rcl, a, count, before);
    check_shift<Rcr, T>("RCR", Shift::Rcr, a, count, before);
    check_shift<Shl, T>("SHL", Shift::Shl, a, count, before);
    check_shift<Shr, T>("SHR", Shift::Shr, a, count, before);
    check_shift<Sar, T>("SAR", Shift::Sar, a, count, before);
}

template <class T> void check_double_shifts(T a, T b, u32 count, u32 before) {
    LazyFlags lazy = unpacked(before);
    T result = Shld::apply<T>(lazy, a, b, count);
    compare<T>("SHLD", a, b, before, result, lazy, eager_double_shift(true, a, b, count, kBits<T>, before));
    lazy = unpacked(before);
    result = Shrd::apply<T>(lazy, a, b, count);
    compare<T>("SHRD", a, b, before, result, lazy, eager_double_shift(false, a, b, count, kBits<T>, before));
}

u64 sampled_value(Random& random) {
    const u64 word = random.next();
    switch (random.below(4)) {
    case 0:
        return u64{1} << random.below(32);
    case 1:
        return (u64{1} << random.below(33)) - 1;
    case 2:
        return ~(u64{1} << random.below(32));
    default:
        return word;
    }
}

template <class T> void check_samples(u64 count) {
    Random random(kBits<T>);
    for (u64 i = 0; i < count && !testing::Test::HasFailure(); ++i) {
        const T a = static_cast<T>(sampled_value(random));
        const T b = static_cast<T>(sampled_value(random));
        const u32 before = combination(static_cast<u32>(random.below(64)));
        const u32 shift = 1 + static_cast<u32>(random.below(31));
        check_two_operands<T>(a, b, before);
        check_one_operand<T>(a, before);
        check_shifts<T>(a, shift, before);
        if constexpr (sizeof(T) > 1)
            check_double_shifts<T>(a, b, shift, before);
    }
}

u64 samples() { return std::getenv("FORKSCOPE_LONG") != nullptr ? 5'000'000 : 100'000; }

TEST(LazyFlags, AgreesWithTheEagerTwinOnAllPairsOfBytesWithAndWithoutCarry) {
    const u64 compared_before = compared;
    Random random(8);
    for (u32 a = 0; a < 256 && !HasFailure(); ++a)
        for (u32 b = 0; b < 256; ++b)
            for (const u32 carry : {0u, u32{kFlagC}}) {
                const u32 others = combination(static_cast<u32>(random.below(64))) & ~u32{kFlagC};
                check_two_operands<u8>(static_cast<u8>(a), static_cast<u8>(b), others | carry);
            }
    EXPECT_EQ(compared - compared_before, 8u * 65536 * 2);
}

TEST(LazyFlags, AgreesWithTheEagerTwinOnEveryByteAndEveryStateOfTheFlagsBefore) {
    for (u32 a = 0; a < 256 && !HasFailure(); ++a)
        for (u32 number = 0; number < 64; ++number) {
            check_one_operand<u8>(static_cast<u8>(a), combination(number));
            for (u32 count = 1; count < 32; ++count)
                check_shifts<u8>(static_cast<u8>(a), count, combination(number));
        }
}

TEST(LazyFlags, AgreesWithTheEagerTwinOnWords) { check_samples<u16>(samples()); }

TEST(LazyFlags, AgreesWithTheEagerTwinOnDoublewords) { check_samples<u32>(samples()); }

TEST(LazyFlags, HoldsAnyCombinationOfFlagsAndChangesTheCarryAlone) {
    for (u32 number = 0; number < 64; ++number) {
        const u32 flags = combination(number);
        LazyFlags lazy = unpacked(flags);
        EXPECT_EQ(lazy.pack(), flags);
        lazy.set_c((flags & kFlagC) == 0);
        EXPECT_EQ(lazy.pack(), flags ^ kFlagC);
    }
}

// SDM 1, appendix B: the conditions as formulas of flags.
bool eager_condition(u32 number, u32 flags) {
    const bool c = (flags & kFlagC) != 0, z = (flags & kFlagZ) != 0, s = (flags & kFlagS) != 0;
    const bool o = (flags & kFlagO) != 0, p = (flags & kFlagP) != 0;
    const bool value[16] = {o, !o, c, !c, z,      !z,     c || z,        !c && !z,
                            s, !s, p, !p, s != o, s == o, z || (s != o), !z && (s == o)};
    return value[number];
}

template <int N> void check_condition() {
    for (u32 number = 0; number < 64; ++number) {
        const u32 flags = combination(number);
        EXPECT_EQ(condition<N>(unpacked(flags)), eager_condition(N, flags)) << "condition " << N << ", flags " << flags;
    }
    if constexpr (N > 0)
        check_condition<N - 1>();
}

TEST(LazyFlags, AnswersTheSixteenConditions) { check_condition<15>(); }

} // namespace
} // namespace forkscope
