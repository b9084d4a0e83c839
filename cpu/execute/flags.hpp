// Owns: LazyFlags, the six arithmetic flags kept as one result and one carry word, and the pure ALU on top of it.
// Callers: handlers; the eager twin in the tests checks every operation. Promises: no branches, no guest state.
#pragma once

#include <type_traits>

#include "emu/base/types.hpp"

namespace forkscope {

enum FlagBit : u32 {
    kFlagC = 1u << 0,
    kFlagFixed = 1u << 1, // always 1
    kFlagP = 1u << 2,
    kFlagA = 1u << 4,
    kFlagZ = 1u << 6,
    kFlagS = 1u << 7,
    kFlagT = 1u << 8,
    kFlagI = 1u << 9,
    kFlagD = 1u << 10,
    kFlagO = 1u << 11,
    kFlagIopl = 3u << 12,
    kFlagNt = 1u << 14,
    kFlagR = 1u << 16,
    kFlagVm = 1u << 17,
    kFlagAc = 1u << 18,
    kFlagVif = 1u << 19,
    kFlagVip = 1u << 20,
    kFlagId = 1u << 21,
    kFlagsArithmetic = kFlagC | kFlagP | kFlagA | kFlagZ | kFlagS | kFlagO,
};

template <class T> inline constexpr u32 kBits = sizeof(T) * 8;

// `result` is the last result, sign-extended to 64 bits: SF is bit 63, ZF is "low half zero", PF the parity of the low
// byte. Bits 32.. differ from a sign extension only to hold a PF that the low byte does not have (POPF, SAHF).
// `carry` holds the carries out of each bit position, aligned to the top: CF is bit 31, OF is bit 31 xor bit 30, and AF
// is bit 3.
struct LazyFlags {
    u64 result = 1;
    u32 carry = 0;

    bool c() const { return (carry >> 31) != 0; }
    bool o() const { return (((carry >> 31) ^ (carry >> 30)) & 1) != 0; }
    bool a() const { return ((carry >> 3) & 1) != 0; }
    bool z() const { return static_cast<u32>(result) == 0; }
    bool s() const { return (result >> 63) != 0; }
    bool p() const { return (__builtin_popcount(static_cast<u32>((result ^ (result >> 32)) & 0xFF)) & 1) == 0; }

    u32 pack() const {
        return (c() ? u32{kFlagC} : 0) | (p() ? u32{kFlagP} : 0) | (a() ? u32{kFlagA} : 0) | (z() ? u32{kFlagZ} : 0) |
               (s() ? u32{kFlagS} : 0) | (o() ? u32{kFlagO} : 0);
    }

    void unpack(u32 flags) {
        const bool zero = (flags & kFlagZ) != 0;
        const u32 low = zero ? 0 : 1; // parity of 0 is even, of 1 odd
        const bool low_even = zero;
        const bool even = (flags & kFlagP) != 0;
        const u64 high = ((flags & kFlagS) != 0 ? u64{1} << 63 : 0) | (low_even != even ? u64{1} << 32 : 0);
        result = high | low;
        set_carries((flags & kFlagC) != 0, (flags & kFlagO) != 0, (flags & kFlagA) != 0);
    }

    void set_carries(bool cf, bool of, bool af = false) {
        carry = (cf ? 1u << 31 : 0) | (cf != of ? 1u << 30 : 0) | (af ? 1u << 3 : 0);
    }
    void set_c(bool cf) { set_carries(cf, o(), a()); }

    template <class T> void set_result(T value) {
        result = static_cast<u64>(static_cast<i64>(static_cast<std::make_signed_t<T>>(value)));
    }
    template <class T> void set(T value, T carries) {
        set_result(value);
        if constexpr (sizeof(T) == 4)
            carry = carries;
        else
            carry = (static_cast<u32>(carries) << (32 - kBits<T>)) | (carries & 8u);
    }
    template <class T> void set_logic(T value) {
        set_result(value);
        carry = 0;
    }
};

// The carries out of every bit of a + b (+ c) = r, and the borrows of a - b (- c) = r.
template <class T> constexpr T add_carries(T a, T b, T r) { return static_cast<T>((a & b) | ((a | b) & ~r)); }
template <class T> constexpr T sub_borrows(T a, T b, T r) { return static_cast<T>((~a & b) | ((~a | b) & r)); }

// Two-operand ALU operations: apply() returns the result and sets flags; kWrites says whether it is stored.
struct Add {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = static_cast<T>(a + b);
        f.set<T>(r, add_carries(a, b, r));
        return r;
    }
};
struct Adc {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = static_cast<T>(a + b + (f.c() ? 1 : 0));
        f.set<T>(r, add_carries(a, b, r));
        return r;
    }
};
struct Sub {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = static_cast<T>(a - b);
        f.set<T>(r, sub_borrows(a, b, r));
        return r;
    }
};
struct Sbb {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = static_cast<T>(a - b - (f.c() ? 1 : 0));
        f.set<T>(r, sub_borrows(a, b, r));
        return r;
    }
};
struct Cmp {
    static constexpr bool kWrites = false;
    template <class T> static T apply(LazyFlags& f, T a, T b) { return Sub::apply(f, a, b); }
};
struct And {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = a & b;
        f.set_logic(r);
        return r;
    }
};
struct Or {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = a | b;
        f.set_logic(r);
        return r;
    }
};
struct Xor {
    static constexpr bool kWrites = true;
    template <class T> static T apply(LazyFlags& f, T a, T b) {
        const T r = a ^ b;
        f.set_logic(r);
        return r;
    }
};

// One-operand operations.
struct Not {
    template <class T> static T apply(LazyFlags&, T a) { return static_cast<T>(~a); }
};
struct Neg {
    template <class T> static T apply(LazyFlags& f, T a) { return Sub::apply<T>(f, 0, a); }
};
struct Inc {
    template <class T> static T apply(LazyFlags& f, T a) {
        const bool cf = f.c();
        const T r = Add::apply<T>(f, a, 1);
        f.set_carries(cf, f.o(), f.a());
        return r;
    }
};
struct Dec {
    template <class T> static T apply(LazyFlags& f, T a) {
        const bool cf = f.c();
        const T r = Sub::apply<T>(f, a, 1);
        f.set_carries(cf, f.o(), f.a());
        return r;
    }
};

// Shifts and rotates by `count` already masked to 0..31 and nonzero. OF for counts other than 1 and AF follow the P6:
// OF as if the last bit had been shifted by one, AF clear.
struct Shl {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        const u64 wide = static_cast<u64>(a) << count;
        const T r = static_cast<T>(wide);
        const bool cf = ((wide >> kBits<T>)&1) != 0;
        f.set_result(r);
        f.set_carries(cf, cf != ((r >> (kBits<T> - 1)) != 0));
        return r;
    }
};
struct Shr {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        const u64 before = static_cast<u64>(a) >> (count - 1);
        const T r = static_cast<T>(before >> 1);
        f.set_result(r);
        // The sign before the last single-bit shift: for count 1 the operand's own.
        f.set_carries((before & 1) != 0, ((before >> (kBits<T> - 1)) & 1) != 0);
        return r;
    }
};
struct Sar {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        const i64 before = static_cast<i64>(static_cast<std::make_signed_t<T>>(a)) >> (count - 1);
        const T r = static_cast<T>(before >> 1);
        f.set_result(r);
        f.set_carries((before & 1) != 0, false);
        return r;
    }
};
struct Rol {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        const u32 n = count & (kBits<T> - 1);
        const T r = n == 0 ? a : static_cast<T>((a << n) | (a >> (kBits<T> - n)));
        const bool cf = (r & 1) != 0;
        f.set_carries(cf, cf != ((r >> (kBits<T> - 1)) != 0), f.a());
        return r;
    }
};
struct Ror {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        const u32 n = count & (kBits<T> - 1);
        const T r = n == 0 ? a : static_cast<T>((a >> n) | (a << (kBits<T> - n)));
        const bool cf = (r >> (kBits<T> - 1)) != 0;
        f.set_carries(cf, cf != (((r >> (kBits<T> - 2)) & 1) != 0), f.a());
        return r;
    }
};
struct Rcl {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        constexpr u32 kRing = kBits<T> + 1; // the operand and CF
        const u32 n = count % kRing;
        const u64 ring = static_cast<u64>(a) | (f.c() ? u64{1} << kBits<T> : 0);
        const u64 turned = n == 0 ? ring : ((ring << n) | (ring >> (kRing - n)));
        const T r = static_cast<T>(turned);
        const bool cf = ((turned >> kBits<T>)&1) != 0;
        f.set_carries(cf, cf != ((r >> (kBits<T> - 1)) != 0), f.a());
        return r;
    }
};
struct Rcr {
    template <class T> static T apply(LazyFlags& f, T a, u32 count) {
        constexpr u32 kRing = kBits<T> + 1;
        const u32 n = count % kRing;
        const u64 ring = static_cast<u64>(a) | (f.c() ? u64{1} << kBits<T> : 0);
        const u64 turned = n == 0 ? ring : ((ring >> n) | (ring << (kRing - n)));
        const T r = static_cast<T>(turned);
        const bool cf = ((turned >> kBits<T>)&1) != 0;
        f.set_carries(cf, ((r >> (kBits<T> - 1)) ^ (r >> (kBits<T> - 2))) & 1, f.a());
        return r;
    }
};

// Double shifts, count 1..31 (for 16-bit operands counts above 16 are undefined: as the P6, bits come round again).
struct Shld {
    template <class T> static T apply(LazyFlags& f, T a, T b, u32 count) {
        T r;
        bool cf;
        if constexpr (sizeof(T) == 4) {
            const u64 wide = (static_cast<u64>(a) << 32) | b;
            r = static_cast<T>((wide << count) >> 32);
            cf = ((wide >> (64 - count)) & 1) != 0;
        } else {
            const u64 wide = (static_cast<u64>(a) << 32) | (static_cast<u64>(b) << 16) | a;
            r = static_cast<T>((wide << count) >> 32);
            cf = ((wide >> (48 - count)) & 1) != 0;
        }
        f.set_result(r);
        f.set_carries(cf, cf != ((r >> (kBits<T> - 1)) != 0));
        return r;
    }
};
struct Shrd {
    template <class T> static T apply(LazyFlags& f, T a, T b, u32 count) {
        u64 wide;
        if constexpr (sizeof(T) == 4)
            wide = (static_cast<u64>(b) << 32) | a;
        else
            wide = (static_cast<u64>(a) << 32) | (static_cast<u64>(b) << 16) | a;
        const T r = static_cast<T>(wide >> count);
        const bool cf = ((wide >> (count - 1)) & 1) != 0;
        f.set_result(r);
        f.set_carries(cf, ((r >> (kBits<T> - 1)) ^ (r >> (kBits<T> - 2))) & 1);
        return r;
    }
};

// Condition code n of Jcc, SETcc, CMOVcc (SDM 1, appendix B).
template <int N> bool condition(const LazyFlags& f) {
    bool value = false;
    switch (N >> 1) {
    case 0:
        value = f.o();
        break;
    case 1:
        value = f.c();
        break;
    case 2:
        value = f.z();
        break;
    case 3:
        value = f.c() || f.z();
        break;
    case 4:
        value = f.s();
        break;
    case 5:
        value = f.p();
        break;
    case 6:
        value = f.s() != f.o();
        break;
    default:
        value = f.z() || f.s() != f.o();
        break;
    }
    return value != ((N & 1) != 0);
}

} // namespace forkscope
