// Owns: the short names of machine integers and the distinct address types.
// Callers: everyone. Promises: a linear, a physical and a host address cannot be mixed up by accident.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace forkscope {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

inline constexpr u32 kPageShift = 12;
inline constexpr u32 kPageSize = 1u << kPageShift;
inline constexpr u32 kPageMask = kPageSize - 1;

// An address of one kind, in bytes. The kinds do not convert into each other, nor from or to plain numbers: an offset,
// a size, an entry or a frame number is no address. Inside of a table or TLB, where nothing else comes near, the
// 32 bits of a linear address are a plain u32.
template <class Space> struct Address {
    u64 value = 0;

    constexpr Address() = default;
    constexpr explicit Address(u64 v) : value(v) {}

    constexpr u64 page() const { return value >> kPageShift; }
    constexpr u32 offset() const { return static_cast<u32>(value & kPageMask); }
    constexpr Address page_start() const { return Address(value & ~u64{kPageMask}); }

    constexpr Address operator+(u64 bytes) const { return Address(value + bytes); }
    constexpr Address operator-(u64 bytes) const { return Address(value - bytes); }
    constexpr i64 operator-(Address other) const { return static_cast<i64>(value - other.value); }
    constexpr auto operator<=>(const Address&) const = default;
};

using LinearAddress = Address<struct LinearSpace>;     // after segmentation, before paging
using PhysicalAddress = Address<struct PhysicalSpace>; // after paging

// An address space, named by the part of CR3 that leads to its tables: a directory, or PAE's four pointers to such. It
// is no frame, of which it may be a part, and no linear address, beside which it stands in most signatures. 0 = none.
struct AddressSpace {
    u32 root = 0;

    constexpr AddressSpace() = default;
    constexpr explicit AddressSpace(u32 r) : root(r) {}
    constexpr auto operator<=>(const AddressSpace&) const = default;
};

// Simulated time: retired cost in cycles of the CPU clock since power-on.
using Cycles = u64;
inline constexpr Cycles kNever = ~Cycles{0};

} // namespace forkscope
