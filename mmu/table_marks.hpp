// Owns: which frames hold page tables, so that stores into them are reported; and those stores.
// Callers: the paging unit (walks), the data path (stores into marked frames), observers that know of more.
// Promises: marks only decide what is reported. They are saved, never hashed.
#pragma once

#include <vector>

#include "emu/base/trace.hpp"
#include "mmu/paging_state.hpp"
#include "mmu/tlb/fast_tlb.hpp"

namespace forkscope {

class TableMarks {
  public:
    TableMarks(PhysicalMemory& memory, const PagingState& paging, FastTlb& data_front, Tracer& tracer);

    // 0 = none, else bit 0: used as page table, bit 1: used as page directory. A frame is marked when the walker uses
    // it, when a directory in use points to it, or by assume(). It loses the mark when a user may write it and no table
    // leads to it any more, or after kMostStores stores without a walk: then it is data again.
    u8 levels(u64 frame) const { return frame < marks_.size() ? marks_[frame].levels : u8{0}; }
    // The walker, or a directory in use, refers to the frame as a table of `level`, 1 or 2, by the entry at `entry`
    // (0: by CR3). Of a directory its tables are marked, too.
    void mark(u64 frame, u8 level, PhysicalAddress entry = {}) {
        if ((levels(frame) & level) == 0) [[unlikely]]
            return mark_anew(frame, level, entry);
        marks_[frame].stores = 0;
        if (level == 1)
            marks_[frame].entry = static_cast<u32>(entry.value);
    }
    // Whether the frame is a table still: the directory in force, one whose tables are, or one that an entry leads to.
    bool in_use(u64 frame) const;
    // All directories of an address space.
    void mark_space(AddressSpace space);
    // An observer says that it is a page table; the frame is flagged already.
    void assume(u64 frame);
    // The frame is no longer a page table.
    void forget(u64 frame);
    void forget_all();
    static constexpr u16 kMostStores = 2049;

    // A store of at most 8 bytes into a marked frame: reports each entry touched.
    void store(PhysicalAddress at, u32 size, const u8* bytes);

    void serialize(Archive& ar);

  private:
    struct Mark {
        u8 levels = 0;
        u16 stores = 0; // since the last walk through the frame
        u32 entry = 0;  // the physical address of the one that led to it last; 0: CR3, or an observer says so
    };

    void mark_anew(u64 frame, u8 level, PhysicalAddress entry);
    u64 entry_of(u64 at) const;
    void mark_target(PhysicalAddress at, u64 directory_entry);
    bool leads_to(u64 entry_address, u64 frame) const;
    bool is_root(u64 frame) const;
    void count_store(u64 frame);

    PhysicalMemory& memory_;
    const PagingState& paging_;
    FastTlb& data_front_;
    Tracer& tracer_;
    std::vector<Mark> marks_;
};

} // namespace forkscope
