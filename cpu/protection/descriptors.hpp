// Owns: Descriptor, the eight bytes of a segment, system or gate descriptor, and SegmentCache, what a segment register
// keeps of them, with the rules of limits. Callers: cpu/protection (loading, checking), debuggers (showing).
// Promises: SDM 3A 3.4.5, 5.3 and 5.8.3; pure functions on plain data. Reading tables and privilege checks are
// segments.cpp's and transfers.cpp's.
#pragma once

#include <array>
#include <initializer_list>

#include "emu/base/archive.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// The access byte: descriptor bits 47:40.
enum DescriptorAccess : u8 {
    kAccessAccessed = 1,   // code and data
    kAccessReadWrite = 2,  // data: writable; code: readable
    kAccessExpandDown = 4, // data only
    kAccessConforming = 4, // code only
    kAccessCode = 8,
    kAccessNotSystem = 16, // S: code or data
    kAccessDpl = 96,
    kAccessPresent = 128,
};

// The type field of system descriptors (S = 0), SDM 3A table 3-2.
enum class SystemType : u8 {
    Tss16Available = 1,
    Ldt = 2,
    Tss16Busy = 3,
    CallGate16 = 4,
    TaskGate = 5,
    InterruptGate16 = 6,
    TrapGate16 = 7,
    Tss32Available = 9,
    Tss32Busy = 11,
    CallGate32 = 12,
    InterruptGate32 = 14,
    TrapGate32 = 15,
};

// A set of them.
class SystemTypes {
  public:
    constexpr SystemTypes(std::initializer_list<SystemType> types) {
        for (const SystemType type : types)
            bits_ |= 1u << static_cast<u32>(type);
    }
    constexpr bool has(SystemType type) const { return (bits_ >> static_cast<u32>(type) & 1) != 0; }

  private:
    u32 bits_ = 0;
};
inline constexpr SystemTypes kAvailableTss{SystemType::Tss16Available, SystemType::Tss32Available};
inline constexpr SystemTypes kBusyTss{SystemType::Tss16Busy, SystemType::Tss32Busy};
inline constexpr SystemTypes kLimited{SystemType::Tss16Available, SystemType::Tss16Busy, SystemType::Tss32Available,
                                      SystemType::Tss32Busy, SystemType::Ldt}; // have a base and a limit
inline constexpr SystemTypes kCallGates{SystemType::CallGate16, SystemType::CallGate32};
inline constexpr SystemTypes kInterruptGates{SystemType::InterruptGate16, SystemType::InterruptGate32}; // clear IF
inline constexpr SystemTypes kTrapGates{SystemType::TrapGate16, SystemType::TrapGate32};

// What a code, data, TSS or LDT descriptor is made of.
struct SegmentFields {
    u32 base = 0;
    u32 limit = 0; // the 20 bits as stored
    u8 access = 0;
    bool big = false;       // D/B
    bool granular = false;  // G: the limit counts 4 KB
    bool available = false; // AVL
};

// A descriptor as a table holds it, and where it was read.
struct Descriptor {
    static constexpr u64 kAccessed = u64{kAccessAccessed} << 40;
    static constexpr u64 kBusy = u64{2} << 40; // of a TSS

    u64 bits = 0;
    LinearAddress address;

    static constexpr Descriptor of(const SegmentFields& fields) {
        return {u64{fields.limit & 0xFFFF} | u64{fields.base & 0xFFFFFF} << 16 | u64{fields.access} << 40 |
                    u64{(fields.limit >> 16) & 15} << 48 | u64{fields.available} << 52 | u64{fields.big} << 54 |
                    u64{fields.granular} << 55 | u64{fields.base >> 24} << 56,
                {}};
    }

    constexpr u8 access() const { return static_cast<u8>(bits >> 40); }
    constexpr bool present() const { return (access() & kAccessPresent) != 0; }
    constexpr u8 dpl() const { return static_cast<u8>((access() & kAccessDpl) >> 5); }
    constexpr bool is_segment() const { return (access() & kAccessNotSystem) != 0; } // S: code or data

    // Code and data.
    constexpr bool is_code() const { return has(kAccessNotSystem | kAccessCode); }
    constexpr bool is_conforming() const { return has(kAccessNotSystem | kAccessCode | kAccessConforming); }
    constexpr bool is_readable_code() const { return has(kAccessNotSystem | kAccessCode | kAccessReadWrite); }
    constexpr bool is_data() const { return is_segment() && !is_code(); }
    constexpr bool is_writable_data() const { return is_data() && has(kAccessReadWrite); }

    // What has a base and a limit: code, data, TSS, LDT.
    constexpr u32 base() const { return static_cast<u32>(bits >> 16 & 0xFFFFFF) | static_cast<u32>(bits >> 56 << 24); }
    constexpr bool big() const { return (bits >> 54 & 1) != 0; }
    constexpr bool granular() const { return (bits >> 55 & 1) != 0; }
    // In bytes: the offset of the last byte (the first absent one below, for expand-down).
    constexpr u32 limit() const {
        const u32 raw = static_cast<u32>(bits & 0xFFFF) | static_cast<u32>(bits >> 32 & 0xF0000);
        return granular() ? raw << 12 | 0xFFF : raw;
    }

    // System descriptors.
    constexpr bool is(SystemType type) const { return !is_segment() && system_type() == type; }
    constexpr bool is_any(const SystemTypes& types) const { return !is_segment() && types.has(system_type()); }
    constexpr bool is_32bit() const { return (access() & 8) != 0; } // a TSS or gate

    // Gates.
    constexpr u16 target() const { return static_cast<u16>(bits >> 16); }
    constexpr u32 offset() const { // 16-bit gates have no upper half
        return static_cast<u32>(bits & 0xFFFF) | (is_32bit() ? static_cast<u32>(bits >> 32 & 0xFFFF0000u) : 0);
    }
    constexpr u32 parameters() const { return static_cast<u32>(bits >> 32 & 31); } // of a call gate

  private:
    constexpr bool has(u32 rights) const { return (access() & rights) == rights; }
    constexpr SystemType system_type() const { return static_cast<SystemType>(access() & 15); }
};

// What a segment register holds beyond its selector.
struct SegmentCache {
    u16 selector = 0;
    u32 base = 0;
    u32 limit = 0; // in bytes
    u8 access = 0;
    bool big = false;
    bool granular = false;
    bool valid = false; // false: a null selector was loaded; any use is #GP
    // The whole 4 GB may be read (written) through it, so that only the base need be added.
    bool flat_read = false;
    bool flat_write = false;

    // From a descriptor that has been checked.
    static SegmentCache from(u16 selector, const Descriptor& descriptor);
    static SegmentCache null(u16 selector);
    // Real and virtual-8086 mode: base = selector * 16. Real mode keeps limit and rights of `*this`.
    void load_real(u16 new_selector);
    void load_virtual_8086(u16 new_selector);
    // What a segment register holds after RESET (SDM 3A table 9-1): limit 64 KB, read/write data, accessed.
    static SegmentCache at_reset(u16 selector, u32 base);

    bool code() const { return (access & kAccessCode) != 0; }
    bool conforming() const { return code() && (access & kAccessConforming) != 0; }
    bool readable() const { return !code() || (access & kAccessReadWrite) != 0; }
    bool writable() const { return !code() && (access & kAccessReadWrite) != 0; }
    bool expand_down() const { return !code() && (access & kAccessExpandDown) != 0; }
    u8 dpl() const { return static_cast<u8>((access & kAccessDpl) >> 5); }

    // True if all of [offset, offset + size) lies inside the limit (SDM 3A 5.3); size > 0. With the full 4 GB limit an
    // access may wrap around the end: the manual leaves that to the processor, and so does the flat path.
    bool covers(u32 offset, u32 size) const {
        const u64 last = u64{offset} + size - 1;
        if (expand_down()) [[unlikely]]
            return offset > limit && last <= (big ? 0xFFFFFFFFu : 0xFFFFu);
        return last <= limit || limit == 0xFFFFFFFFu;
    }
    bool may_read(u32 offset, u32 size) const { return flat_read || (valid && readable() && covers(offset, size)); }
    bool may_write(u32 offset, u32 size) const { return flat_write || (valid && writable() && covers(offset, size)); }

    // Call after changing any field by hand.
    void update_flat();
    void serialize(Archive& ar);
};

inline void SegmentCache::update_flat() {
    const bool whole = valid && limit == 0xFFFFFFFFu && !expand_down();
    flat_read = whole && readable();
    flat_write = whole && writable();
}

inline SegmentCache SegmentCache::from(u16 selector, const Descriptor& descriptor) {
    SegmentCache cache;
    cache.selector = selector;
    cache.base = descriptor.base();
    cache.limit = descriptor.limit();
    cache.access = descriptor.access();
    cache.big = descriptor.big();
    cache.granular = descriptor.granular();
    cache.valid = true;
    cache.update_flat();
    return cache;
}

// What SegmentCache::from makes of descriptors, kept by all that it depends on: nothing can make it stale. A segment
// register is then loaded by a copy.
class ParsedDescriptors {
  public:
    const SegmentCache& of(u16 selector, const Descriptor& descriptor) {
        Parsed& parsed = kept_[selector >> 3 & (kKept - 1)];
        if (parsed.bits != descriptor.bits || parsed.cache.selector != selector) [[unlikely]]
            parsed = {descriptor.bits, SegmentCache::from(selector, descriptor)};
        return parsed.cache;
    }

  private:
    static constexpr u32 kKept = 32;
    struct alignas(32) Parsed {
        u64 bits = 0;
        SegmentCache cache = SegmentCache::from(0, {});
    };
    std::array<Parsed, kKept> kept_;
};

} // namespace forkscope
