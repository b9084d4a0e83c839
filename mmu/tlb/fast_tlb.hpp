// Owns: the front of the TLB: where a page's bytes lie in the host, for pages that the modelled TLB holds just now.
// Callers: only the Mmu. Promises: a slot that matches means: the modelled TLB would hit, with the right, with D set if
// writing, on plain memory; all that the hit changes are the set's replacement bits, and the slot says how.
#pragma once

#include <algorithm>
#include <array>

#include "mmu/paging.hpp"
#include "mmu/tlb/tlb.hpp"

namespace forkscope {

struct alignas(32) FastSlot {
    static constexpr u32 kNone = 0x800; // never what an access looks for: a page's address, with bits 2:0 if misaligned

    u32 read_tag = kNone;      // linear address of the page if loads, or fetches in their table, may use the slot
    u32 write_tag = kNone;     // the same for stores
    std::uintptr_t addend = 0; // host address = addend + linear address
    u32 physical = 0;          // of the page's first byte
    u8 set = 0;                // Tlb::plru_number
    PlruTouch touch;

    u8* host(u32 linear) const { return reinterpret_cast<u8*>(addend + linear); }
};

// A page whose entry is the most recently used way of its set: a hit on it changes nothing at all. A translator reads
// these fields from its code.
struct alignas(32) RecentSlot {
    u32 read_tag = FastSlot::kNone; // as in FastSlot
    u32 write_tag = FastSlot::kNone;
    std::uintptr_t addend = 0;
    u32 physical = 0;
    u32 set = Tlb::kNoSet;

    u8* host(u32 linear) const { return reinterpret_cast<u8*>(addend + linear); }
};

// How each set was touched last, by its number.
using LatestTouches = std::array<PlruTouch, Tlb::kNoSet>;

// One of two, for data and for fetches: 256 slots for each privilege, chosen by the low bits of the page number. Before
// them stands one recent slot for each set of the 4 KB array and privilege, chosen by the set's number.
class FastTlb {
  public:
    static constexpr u32 kSlots = 256;

    // The table's 4 KB array has so many sets, numbered from `first` on (Tlb::plru_number). `twin` touches the same
    // sets; `latest` is what each set was touched with last, for both. There are at least two recent slots, so that the
    // two pages of an access that spans them never share one.
    void set_geometry(u32 sets, u32 first, LatestTouches& latest, FastTlb* twin) {
        recent_mask_ = std::clamp(sets, 2u, kSlots) - 1;
        first_set_ = sets > 1 ? first : kNoFirstSet;
        latest_ = &latest;
        twin_ = twin;
        drop_all();
    }

    FastSlot& slot(Privilege privilege, u32 linear) {
        return slots_[static_cast<u32>(privilege)][(linear >> kPageShift) & (kSlots - 1)];
    }
    const RecentSlot& recent(Privilege privilege, u32 linear) const {
        return recent_[static_cast<u32>(privilege)][(linear >> kPageShift) & recent_mask_];
    }
    // For code that does what touched() and make_recent() do.
    const FastSlot* slots(Privilege privilege) const { return slots_[static_cast<u32>(privilege)].data(); }
    const RecentSlot* recent_slots(Privilege privilege) const { return recent_[static_cast<u32>(privilege)].data(); }
    u32 recent_mask() const { return recent_mask_; }
    u32 first_set() const { return first_set_; }
    const LatestTouches& latest() const { return *latest_; }

    // A way of a set was touched: the set's other ways are no longer recent.
    void touched(u32 set, PlruTouch touch) {
        if (set == Tlb::kNoSet || (*latest_)[set] == touch)
            return;
        (*latest_)[set] = touch;
        drop_recent_of(set);
        if (twin_ != nullptr)
            twin_->drop_recent_of(set);
    }
    // The page of `linear`, which `slot` holds, was just touched.
    void make_recent(Privilege privilege, u32 linear, const FastSlot& slot) {
        touched(slot.set, slot.touch);
        recent_[static_cast<u32>(privilege)][(linear >> kPageShift) & recent_mask_] = {
            slot.read_tag, slot.write_tag, slot.addend, slot.physical, slot.set};
    }

    void drop_all() {
        for (auto& half : slots_)
            half.fill({});
        for (auto& half : recent_)
            half.fill({});
        latest_->fill({});
    }
    // Forgets the page of `linear`, whichever privilege published it.
    void drop_page(u32 linear) {
        const u32 page = linear & ~kPageMask;
        for (const Privilege privilege : {Privilege::Supervisor, Privilege::User}) {
            FastSlot& candidate = slot(privilege, linear);
            if (candidate.read_tag == page || candidate.write_tag == page)
                drop(candidate);
            const RecentSlot& latest = recent(privilege, linear);
            if (latest.read_tag == page || latest.write_tag == page)
                drop_recent(static_cast<u32>(privilege), (linear >> kPageShift) & recent_mask_);
        }
    }
    // Forgets every page of the large page around `linear`; `mask` covers the offset within it.
    void drop_large_page(u32 linear, u32 mask) {
        for_each([=](FastSlot& candidate) {
            if (((candidate.read_tag ^ linear) & ~mask) == 0)
                drop(candidate);
        });
        for_each_recent([=, this](u32 half, u32 index) {
            if (((recent_[half][index].read_tag ^ linear) & ~mask) == 0)
                drop_recent(half, index);
        });
    }
    void drop_frame(u64 frame) {
        for_each([=](FastSlot& candidate) {
            if (candidate.physical >> kPageShift == frame)
                drop(candidate);
        });
        for_each_recent([=, this](u32 half, u32 index) {
            if (recent_[half][index].physical >> kPageShift == frame)
                drop_recent(half, index);
        });
    }
    void drop_write_tags() {
        for_each([](FastSlot& candidate) { candidate.write_tag = FastSlot::kNone; });
        for_each_recent([this](u32 half, u32 index) { recent_[half][index].write_tag = FastSlot::kNone; });
    }
    void drop_write_tags_of_frame(u64 frame) {
        for_each([=](FastSlot& candidate) {
            if (candidate.physical >> kPageShift == frame)
                candidate.write_tag = FastSlot::kNone;
        });
        for_each_recent([=, this](u32 half, u32 index) {
            if (recent_[half][index].physical >> kPageShift == frame)
                recent_[half][index].write_tag = FastSlot::kNone;
        });
    }

  private:
    static void drop(FastSlot& slot) { slot.read_tag = slot.write_tag = FastSlot::kNone; }
    template <class Function> void for_each(Function function) {
        for (auto& half : slots_) {
            for (FastSlot& candidate : half)
                function(candidate);
        }
    }

    // Pages of a set of the 4 KB array share one number, unless it is the only set.
    void drop_recent_of(u32 set) {
        const u32 own = set - first_set_;
        const bool small = own <= recent_mask_;
        for (u32 half = 0; half < recent_.size(); ++half)
            for (u32 i = small ? own : 0; i <= (small ? own : recent_mask_); ++i)
                if (recent_[half][i].set == set)
                    drop_recent(half, i);
    }
    void drop_recent(u32 half, u32 index) {
        recent_[half][index].read_tag = recent_[half][index].write_tag = FastSlot::kNone;
    }
    template <class Function> void for_each_recent(Function function) {
        for (u32 half = 0; half < recent_.size(); ++half)
            for (u32 index = 0; index <= recent_mask_; ++index)
                function(half, index);
    }

    static constexpr u32 kNoFirstSet = Tlb::kNoSet + 1;

    std::array<std::array<FastSlot, kSlots>, 2> slots_;
    std::array<std::array<RecentSlot, kSlots>, 2> recent_;
    LatestTouches* latest_ = nullptr;
    FastTlb* twin_ = nullptr;
    u32 recent_mask_ = 0;
    u32 first_set_ = 0;
};

} // namespace forkscope
