// Owns: both fast tables, for data and for fetches, and the reasons for which accesses are kept out of it.
// Callers: the Mmu's doors read the slots; the paging unit publishes what it has just touched in the modelled TLB, and
// unpublishes what leaves it. Promises: as FastTlb; clearing a slot is always safe, as the next access asks the model.
#pragma once

#include <span>
#include <vector>

#include "mmu/listeners.hpp"
#include "mmu/paging_state.hpp"
#include "mmu/tlb/fast_tlb.hpp"

namespace forkscope {

// Does the entry alone grant the access?
bool permits(const TlbEntry& entry, const PagingControl& control, Privilege privilege, AccessKind kind);

class TlbFront {
  public:
    enum Reason : u8 {
        kSwitchedOff = 1,
        kHitsCounted = 2,
        kRecorded = 4,
        kDataReported = 8,     // each load and store
        kAlignmentChecked = 16 // loads and stores at user privilege
    };

    TlbFront(const PhysicalMemory& memory, const PagingState& paging, const Tlb& tlb)
        : memory_(memory), paging_(paging), tlb_(tlb) {
        set_geometry();
    }
    // The modelled TLB has another geometry; everything is dropped.
    void set_geometry();

    FastTlb& data() { return data_; }
    FastTlb& fetches() { return fetches_; }
    const FastTlb& data() const { return data_; }
    const FastTlb& fetches() const { return fetches_; }

    void keep_out(Reason reason, bool applies);
    // Pages with data breakpoints.
    void keep_out_watched(std::span<const LinearWatch> watches);
    std::span<const LinearWatch> watches() const { return watches_; }
    void keep_out_ranges(std::span<const WatchedRange> ranges);
    std::span<const WatchedRange> ranges() const { return ranges_; }
    bool keeps_out(LinearAddress address, Privilege privilege, AccessKind kind) const {
        return any_out_ && keeps_out_this(address, privilege, kind);
    }

    // Lets later accesses like this one use the front: `place` was just touched. `place.found` is false if paging is
    // off.
    void publish(LinearAddress address, Privilege privilege, AccessKind kind, const TlbPlace& place,
                 PhysicalAddress physical);
    // Takes out the slots of a modelled entry.
    void unpublish(const TlbPlace& place);
    // Takes out what the frame's new flags forbid.
    void frame_flagged(u64 frame, u8 bits);
    void drop_all();

  private:
    void update_any_out() { any_out_ = reasons_ != 0 || !watches_.empty() || !ranges_.empty(); }
    FastTlb& table_for(AccessKind kind) { return kind == AccessKind::Fetch ? fetches_ : data_; }
    bool keeps_out_this(LinearAddress address, Privilege privilege, AccessKind kind) const;
    bool store_ready(const TlbPlace& place, Privilege privilege, u8 frame_flags) const;

    const PhysicalMemory& memory_;
    const PagingState& paging_;
    const Tlb& tlb_;
    LatestTouches latest_{};
    FastTlb data_;
    FastTlb fetches_;
    u8 reasons_ = 0;
    bool any_out_ = false; // any access is kept out, for whatever reason
    std::vector<LinearWatch> watches_;
    std::vector<WatchedRange> ranges_;
};

} // namespace forkscope
