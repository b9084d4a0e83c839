// Owns: segment and gate descriptors as the manual draws them, and the rules of limits. Pure functions on plain data.
// Callers: the Cpu (loading, checking), the debugger (showing). Promises: SDM 3A 3.4.5, 5.3 and 5.8.3; no memory is
// touched here: the Cpu reads the eight bytes, and does the privilege checks that depend on the instruction.
#pragma once

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

// A code, data, TSS or LDT descriptor taken apart.
struct SegmentDescriptor {
    u32 base = 0;
    u32 raw_limit = 0; // the 20 bits as stored
    u8 access = 0;
    bool available_bit = false; // AVL
    bool big = false;           // D/B
    bool granular = false;      // G: the limit counts 4 KB

    static SegmentDescriptor parse(u64 bytes);
    u64 encode() const;

    bool present() const { return (access & kAccessPresent) != 0; }
    u8 dpl() const { return static_cast<u8>((access & kAccessDpl) >> 5); }
    bool system() const { return (access & kAccessNotSystem) == 0; }
    SystemType system_type() const { return static_cast<SystemType>(access & 15); }
    bool code() const { return !system() && (access & kAccessCode) != 0; }
    bool data() const { return !system() && (access & kAccessCode) == 0; }
    bool conforming() const { return code() && (access & kAccessConforming) != 0; }
    bool writable() const { return data() && (access & kAccessReadWrite) != 0; }
    bool readable() const { return data() || (code() && (access & kAccessReadWrite) != 0); }
    bool expand_down() const { return data() && (access & kAccessExpandDown) != 0; }
    // In bytes: the offset of the last byte (the first absent one below, for expand-down).
    u32 limit() const { return granular ? (raw_limit << 12) | 0xFFF : raw_limit; }
};

// A call, interrupt, trap or task gate taken apart.
struct GateDescriptor {
    u16 selector = 0;
    u32 offset = 0; // 16-bit gates: the upper half is 0
    u8 access = 0;
    u8 parameter_count = 0; // call gates

    static GateDescriptor parse(u64 bytes);

    bool present() const { return (access & kAccessPresent) != 0; }
    u8 dpl() const { return static_cast<u8>((access & kAccessDpl) >> 5); }
    bool system() const { return (access & kAccessNotSystem) == 0; }
    SystemType type() const { return static_cast<SystemType>(access & 15); }
    bool is_32bit() const { return (access & 8) != 0; }
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

    // From a descriptor that the Cpu has checked.
    static SegmentCache from(u16 selector, const SegmentDescriptor& descriptor);
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

} // namespace forkscope
