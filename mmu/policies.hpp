// Owns: the two policies of the page walk: the guest's own walk, and the look of an observer.
// Callers: the Mmu's own files only. Promises: the look changes nothing, not even by type.
#pragma once

#include "mmu/mmu.hpp"
#include "mmu/page_walk.hpp"

namespace forkscope {

// Entries outside memory read as an open bus, all ones, on both walks: a device is never asked by a page walk.
template <class Entry> void read_entry(const PhysicalMemory& memory, PhysicalAddress at, Entry& entry) {
    entry = static_cast<Entry>(~u64{0});
    if (memory.is_memory(at))
        std::memcpy(&entry, memory.host(at), sizeof entry);
}

struct Mmu::LookPolicy {
    const Mmu& mmu;

    PhysicalAddress locate(u64 table, u32 offset, u32) const { return mmu.on_bus(table) + offset; }
    template <class Entry> void read(PhysicalAddress at, Entry& entry) const { read_entry(mmu.memory_, at, entry); }
    void set_bits(PhysicalAddress, u64, u64, u32) const {}
};

struct Mmu::SetBitsPolicy {
    Mmu& mmu;

    PhysicalAddress locate(u64 table, u32 offset, u32 level) const {
        const PhysicalAddress frame = mmu.on_bus(table);
        mmu.mark_table(frame.page(), static_cast<u8>(level));
        return frame + offset;
    }
    template <class Entry> void read(PhysicalAddress at, Entry& entry) const { read_entry(mmu.memory_, at, entry); }
    // The locked read-modify-write of A and D, which lie in the low word of every mode's entries. ROM ignores it as it
    // ignores every store.
    void set_bits(PhysicalAddress at, u64 old_entry, u64 new_entry, u32 level) const {
        const u8 flags = mmu.memory_.flags(at.page());
        if ((flags & (kFrameReadOnly | kFrameDevice)) != 0)
            return;
        // The directory and the table may be one frame (a self-map): keep what the upper level's update just wrote.
        u32 now = 0;
        read_entry(mmu.memory_, at, now);
        now |= static_cast<u32>(new_entry & ~old_entry);
        std::memcpy(mmu.memory_.host(at), &now, sizeof now);
        mmu.memory_.mark_written(at.page());
        ++mmu.counters_.accessed_dirty_writes;
        mmu.tracer_.emit(TraceKind::AccessedDirty, at.value, old_entry, (old_entry >> 32 << 32) | now, level);
        if ((flags & kFrameCode) != 0 && mmu.listener_ != nullptr)
            mmu.listener_->code_changed(at, sizeof now);
    }
};

template <class Policy>
Walk Mmu::walk_in_mode(Policy& policy, const PagingControl& control, u32 linear, Privilege privilege, AccessKind kind) {
    return control.pae() ? walk_page_tables<PaePaging>(policy, control, linear, privilege, kind)
                         : walk_page_tables<Paging32>(policy, control, linear, privilege, kind);
}

} // namespace forkscope
