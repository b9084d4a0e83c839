#include "mmu/tlb/front.hpp"

#include <algorithm>

#include "mmu/mutant.hpp"

namespace forkscope {

bool permits(const TlbEntry& entry, const PagingControl& control, Privilege privilege, AccessKind kind) {
    const bool user = privilege == Privilege::User;
    if (user && (entry.entry & kPteUser) == 0)
        return false;
    if (kind == AccessKind::Fetch)
        return (entry.entry & kPteNoExecute) == 0;
    return kind != AccessKind::Write || (entry.entry & kPteWritable) != 0 || (!user && !control.write_protect());
}

void TlbFront::keep_out(Reason reason, bool applies) {
    reasons_ = static_cast<u8>(applies ? reasons_ | reason : reasons_ & ~reason);
    update_any_out();
    drop_all();
}

void TlbFront::keep_out_watched(std::span<const LinearWatch> watches) {
    watches_.assign(watches.begin(), watches.end());
    update_any_out();
    data_.drop_all();
}

void TlbFront::keep_out_ranges(std::span<const WatchedRange> ranges) {
    ranges_.assign(ranges.begin(), ranges.end());
    update_any_out();
    data_.drop_all();
}

bool TlbFront::keeps_out_this(LinearAddress address, Privilege privilege, AccessKind kind) const {
    if ((reasons_ & (kSwitchedOff | kHitsCounted | kRecorded)) != 0)
        return true;
    if (kind == AccessKind::Fetch)
        return false;
    if ((reasons_ & kDataReported) != 0 || ((reasons_ & kAlignmentChecked) != 0 && privilege == Privilege::User))
        return true;
    for (const LinearWatch& watch : watches_) {
        if (((watch.address ^ address.value) & ~u64{kPageMask}) == 0)
            return true;
    }
    const auto linear = static_cast<u32>(address.value);
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [linear](const WatchedRange& range) { return range.touches_page_of(linear); });
}

void TlbFront::publish(LinearAddress address, Privilege privilege, AccessKind kind, const TlbPlace& place,
                       PhysicalAddress physical) {
    const auto linear = static_cast<u32>(address.value);
    const u32 page = linear & ~kPageMask;
    FastTlb& table = table_for(kind);
    FastSlot& slot = table.slot(privilege, linear);
    const u32 set = place.found ? tlb_.plru_number(place) : Tlb::kNoSet;
    const PlruTouch touch = place.found ? tlb_.touch_of(place) : PlruTouch{};
    if (!MMU_MUTANT(RecentSurvivesSlowTouch))
        table.touched(set, touch);
    const u8 flags = memory_.flags(physical.page());
    if ((flags & (kFrameDevice | kFrameWatched)) != 0 || keeps_out(address, privilege, kind)) {
        table.drop_page(linear);
        return;
    }
    slot.read_tag = page;
    slot.write_tag = store_ready(place, privilege, flags) ? page : FastSlot::kNone;
    slot.physical = static_cast<u32>(physical.value) & ~kPageMask;
    slot.addend = reinterpret_cast<std::uintptr_t>(memory_.host(physical.page_start())) - page;
    slot.set = static_cast<u8>(set);
    slot.touch = touch;
    table.make_recent(privilege, linear, slot);
    if (MMU_MUTANT(FrontHitTouchesNothing))
        slot.touch = {};
    if (MMU_MUTANT(UserSharesSupervisorFront))
        table.slot(Privilege::User, linear) = slot;
}

void TlbFront::set_geometry() {
    const bool unified = tlb_.model().unified();
    const auto set_table = [this](FastTlb& table, TlbArray array, FastTlb* twin) {
        table.set_geometry(tlb_.geometry(array).sets, tlb_.plru_number({.array = array}), latest_, twin);
    };
    set_table(data_, TlbArray::Data4K, unified ? &fetches_ : nullptr);
    set_table(fetches_, unified ? TlbArray::Data4K : TlbArray::Instruction4K, unified ? &data_ : nullptr);
}

// May stores use the front, too? Not without the right, not before D is set, not into a frame with any flag.
bool TlbFront::store_ready(const TlbPlace& place, Privilege privilege, u8 frame_flags) const {
    const bool plain = frame_flags == 0 || MMU_MUTANT(WriteTagIgnoresFlags);
    if (!plain || !place.found)
        return plain;
    const TlbEntry& entry = tlb_.entry(place);
    const bool writable =
        permits(entry, paging_.control(), privilege, AccessKind::Write) || MMU_MUTANT(WriteTagIgnoresWritable);
    return writable && ((entry.entry & kPteDirty) != 0 || MMU_MUTANT(WriteTagIgnoresDirty));
}

void TlbFront::unpublish(const TlbPlace& place) {
    const u32 tag = tlb_.entry(place).tag;
    const bool large = Tlb::is_large(place.array);
    const bool fetch = place.array == TlbArray::Instruction4K || place.array == TlbArray::Instruction4M;
    if (fetch || (tlb_.model().unified() && !MMU_MUTANT(FetchFrontSurvivesDataEviction)))
        large ? fetches_.drop_large_page(tag, tlb_.large_mask()) : fetches_.drop_page(tag);
    if (fetch)
        return;
    if (large && !MMU_MUTANT(FrontSurvivesLargeEviction))
        data_.drop_large_page(tag, tlb_.large_mask());
    else
        data_.drop_page(tag);
}

void TlbFront::frame_flagged(u64 frame, u8 bits) {
    if (MMU_MUTANT(WriteTagIgnoresFlags))
        return;
    if ((bits & (kFrameWatched | kFrameDevice)) != 0) {
        data_.drop_frame(frame);
        fetches_.drop_frame(frame);
    } else {
        data_.drop_write_tags_of_frame(frame);
    }
}

void TlbFront::drop_all() {
    data_.drop_all();
    fetches_.drop_all();
}

} // namespace forkscope
