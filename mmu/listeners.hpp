// Owns: the interfaces that the Mmu reports accesses to: AccessListener (the processor's), MmuRecorder (the tests');
// LinearWatch, the guest's data breakpoint, and WatchedRange, a debugger's. Callers: the Mmu calls them; the Cpu and
// the tests implement them. Promises: called synchronously, in the order of the accesses.
#pragma once

#include "emu/base/types.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

// What a guest's access means beyond its bytes. The processor that makes the accesses listens.
class AccessListener {
  public:
    virtual ~AccessListener() = default;
    // Bytes in a frame flagged kFrameCode were stored: what was decoded from them is no longer true.
    virtual void code_changed(PhysicalAddress address, u32 size) = 0;
    // An access that reaches memory overlaps the data breakpoint of this number (Mmu::set_watches).
    virtual void breakpoint_hit(u8 number) { static_cast<void>(number); }
    // The guest's access walked the page tables, and set A or D in `entries_updated` entries.
    virtual void page_walk_done(u32 entries_updated) { static_cast<void>(entries_updated); }
    // A load or store that the bus needs a further cycle for, as asked for by report_misaligned.
    virtual void misaligned_access() {}
    // A load or store reaches memory, if asked for by report_accesses. An access across two pages is two, an update a
    // load and a store.
    virtual void memory_accessed(PhysicalAddress address, u32 size, AccessKind kind) {
        static_cast<void>(address), static_cast<void>(size), static_cast<void>(kind);
    }
};

// A data breakpoint (SDM 3B 17.2.5): accesses to [address, address + size) are reported. Lies within a page.
struct LinearWatch {
    u32 address = 0;
    u32 size = 0;
    bool reads = false; // stores always
    u8 number = 0;
};

// Linear addresses whose accesses a debugger wants to be told of; any size but 0, may wrap around the end.
struct WatchedRange {
    u32 address = 0;
    u32 size = 0;

    bool overlaps(u32 linear, u32 bytes) const { return linear - address < size || address - linear < bytes; }
    bool touches_page_of(u32 linear) const {
        const u32 first = address & ~kPageMask;
        return (linear & ~kPageMask) - first <= ((address + size - 1) & ~kPageMask) - first;
    }
};

// Gets every request to the Mmu, in order and before it is carried out, so that a run can be replayed on another one.
class MmuRecorder {
  public:
    enum class Act : u8 {
        Load,
        Store,
        Update, // finished by the next Finish, unless it faults
        Finish,
        Probe,
        Fetch,
        Cr0,
        Cr3,
        TaskSwitch, // CR3 by one
        Cr4,
        Efer,
        InvalidatePage,
        FaultDrop,
        A20,
    };
    virtual ~MmuRecorder() = default;
    virtual void asked(Act act, u32 linear, u32 size, u64 value, Privilege privilege) = 0;
};

} // namespace forkscope
