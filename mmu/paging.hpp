// Owns: the bits of page-table entries, error codes and control registers that concern paging, the form of the tables,
// and what a walk yields. Callers: this room, observers, tests. Promises: SDM 3A 4.3 and 4.4: 32-bit paging with 4 KB
// and 4 MB pages, PAE paging with 4 KB and 2 MB pages and NX.
#pragma once

#include <array>

#include "emu/base/types.hpp"

namespace forkscope {

enum PteBit : u32 {
    kPtePresent = 1u << 0,
    kPteWritable = 1u << 1,
    kPteUser = 1u << 2,
    kPteWriteThrough = 1u << 3,
    kPteCacheDisable = 1u << 4,
    kPteAccessed = 1u << 5,
    kPteDirty = 1u << 6,
    kPteLarge = 1u << 7, // in a directory entry, where CR4.PSE is set
    kPteGlobal = 1u << 8,
};
// The rest of an entry, as wide as any mode has it.
inline constexpr u64 kPteFrame = 0x000FFFFFFFFFF000;
inline constexpr u64 kPteNoExecute = u64{1} << 63;

enum FaultBit : u32 {
    kFaultProtection = 1u << 0, // 0: not present
    kFaultWrite = 1u << 1,
    kFaultUser = 1u << 2,
    kFaultReserved = 1u << 3,
    kFaultFetch = 1u << 4, // only reported where NX is on
};

enum Cr0Bit : u32 {
    kCr0Pe = 1u << 0,
    kCr0Mp = 1u << 1,
    kCr0Em = 1u << 2,
    kCr0Ts = 1u << 3,
    kCr0Et = 1u << 4,
    kCr0Ne = 1u << 5,
    kCr0Wp = 1u << 16,
    kCr0Am = 1u << 18,
    kCr0Nw = 1u << 29,
    kCr0Cd = 1u << 30,
    kCr0Pg = 1u << 31,
};

enum Cr4Bit : u32 {
    kCr4Vme = 1u << 0,
    kCr4Pvi = 1u << 1,
    kCr4Tsd = 1u << 2,
    kCr4De = 1u << 3,
    kCr4Pse = 1u << 4,
    kCr4Pae = 1u << 5,
    kCr4Mce = 1u << 6,
    kCr4Pge = 1u << 7,
    kCr4Pce = 1u << 8,
    kCr4OsFxsr = 1u << 9,
    kCr4OsXmmExcpt = 1u << 10,
};

inline constexpr u32 kEferNxe = 1u << 11; // MSR C0000080h

// What a processor model has beyond plain 32-bit paging. CR4 says the rest.
struct PagingFeatures {
    bool pse36 = false;    // 4 MB pages above 4 GB
    bool pat = false;      // bit 12 of a large page's entry is no reserved one
    u8 physical_bits = 32; // width of physical addresses: entries' bits above are reserved
};

// The form of the tables, by mode. Level 1 is the page table, 2 the directory.
struct PagingGeometry {
    u32 entry_bytes;
    u32 large_shift; // a directory entry maps 1 << large_shift bytes
    u32 directories; // of one address space
    u32 space_mask;  // of CR3: what leads to the tables

    constexpr u32 entries() const { return kPageSize / entry_bytes; }
    constexpr u32 large_bytes() const { return 1u << large_shift; }
    // What an entry of the level maps.
    constexpr u32 shift(u32 level) const { return level == 2 ? large_shift : kPageShift; }
    // Where in its table the entry for a linear address lies.
    constexpr u32 entry_offset(u32 linear, u32 level) const {
        return (linear >> shift(level) & (entries() - 1)) * entry_bytes;
    }
};
inline constexpr PagingGeometry kGeometry32{4, 22, 1, ~kPageMask};
inline constexpr PagingGeometry kGeometryPae{8, 21, 4, ~31u};

// What paging needs of the control registers. PagingState keeps them in step with the Cpu's registers; observers keep a
// copy.
struct PagingControl {
    u32 cr0 = 0;
    u32 cr3 = 0;
    u32 cr4 = 0;
    u32 efer = 0;
    std::array<u64, 4> pdpte{}; // the registers of SDM 3A 4.4.1: memory is not asked again until they are loaded
    PagingFeatures features;

    bool paging() const { return (cr0 & kCr0Pg) != 0; }
    bool write_protect() const { return (cr0 & kCr0Wp) != 0; }
    bool large_pages() const { return (cr4 & kCr4Pse) != 0; }
    bool global_pages() const { return (cr4 & kCr4Pge) != 0; }
    bool pae() const { return (cr4 & kCr4Pae) != 0; }
    bool no_execute() const { return pae() && (efer & kEferNxe) != 0; }
    u64 physical_mask() const { return (u64{1} << features.physical_bits) - 1; }
    const PagingGeometry& geometry() const { return pae() ? kGeometryPae : kGeometry32; }
    u32 entry_bytes() const { return geometry().entry_bytes; }
    u32 large_shift() const { return geometry().large_shift; }
    AddressSpace space_of(u32 value) const { return AddressSpace(value & geometry().space_mask); }
};

enum class Privilege : u8 { Supervisor = 0, User = 1 };
enum class AccessKind : u8 { Read = 0, Write = 1, Fetch = 2 };

// One level of a walk: which entry was read, and what it held.
struct WalkLevel {
    PhysicalAddress entry_address;
    u64 entry = 0;
    bool read = false;
};

// The whole result of a walk. `ok` means: translated and permitted.
struct Walk {
    static constexpr u32 kMostLevels = 4;

    bool ok = false;
    u32 error_code = 0;       // for the page fault if !ok
    PhysicalAddress physical; // of the byte asked for, if ok
    bool large = false;       // a 4 MB page, or 2 MB under PAE
    bool no_execute = false;  // at some level, and EFER.NXE says that it counts
    bool dirty = false;       // D of the leaf after the walk
    u32 rights = 0;           // kPteWritable | kPteUser as all levels grant them, and kPteGlobal of the leaf
    // By level: 1 = table entry, 2 = directory entry, 3 = PDPTE register, with the address that it was loaded from.
    std::array<WalkLevel, kMostLevels> levels;

    WalkLevel& at(u32 level) { return levels[level - 1]; }
    const WalkLevel& at(u32 level) const { return levels[level - 1]; }
};

} // namespace forkscope
