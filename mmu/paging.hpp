// Owns: the bits of page-table entries, error codes and control registers that concern paging, and the walk itself.
// Callers: Mmu (walk that sets A and D), PageTableView and others (walk that only looks), tests.
// Promises: SDM 3A 4.3: 32-bit paging with 4 KB and 4 MB pages; one walk, two policies.
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

// What the Mmu needs of the control registers. Owned by the Cpu's state; the Mmu keeps a copy.
struct PagingControl {
    u32 cr0 = 0;
    u32 cr3 = 0;
    u32 cr4 = 0;

    bool paging() const { return (cr0 & kCr0Pg) != 0; }
    bool write_protect() const { return (cr0 & kCr0Wp) != 0; }
    bool large_pages() const { return (cr4 & kCr4Pse) != 0; }
    bool global_pages() const { return (cr4 & kCr4Pge) != 0; }
};

enum class Privilege : u8 { Supervisor = 0, User = 1 };
enum class AccessKind : u8 { Read = 0, Write = 1, Fetch = 2 };

// One level of a walk: which entry was read, and what it held.
struct WalkLevel {
    PhysicalAddress entry_address;
    u32 entry = 0;
    bool read = false;
};

// The whole result of a walk. `ok` means: translated and permitted.
struct Walk {
    bool ok = false;
    u32 error_code = 0;              // for the page fault if !ok
    PhysicalAddress physical;        // of the byte asked for, if ok
    bool large = false;              // a 4 MB page
    u32 rights = 0;                  // kPteWritable | kPteUser as both levels grant them, and kPteGlobal of the leaf
    bool dirty = false;              // D of the leaf after the walk
    std::array<WalkLevel, 2> levels; // [0] = directory entry, [1] = table entry
};

} // namespace forkscope
