// The guest's accesses beyond the fast table: model lookup, walks, refills, and frames that somebody must hear about.
#include <algorithm>

#include "mmu/mmu.hpp"
#include "mmu/mutant.hpp"
#include "mmu/policies.hpp"

namespace forkscope {

// The address as it appears on the bus.
PhysicalAddress Mmu::on_bus(u64 physical) const {
    constexpr u64 kRomAlias = 0xFFFE0000, kFourGigabytes = u64{1} << 32;
    if (physical >= kRomAlias && physical < kFourGigabytes) [[unlikely]] {
        const PhysicalAddress low(physical & 0xFFFFF);
        if ((memory_.flags(low.page()) & kFrameReadOnly) != 0)
            return low;
    }
    constexpr u64 kA20 = 1u << 20;
    return PhysicalAddress(a20_ ? physical : physical & ~kA20);
}

// --- Translation

bool Mmu::may(const TlbEntry& entry, Privilege privilege, AccessKind kind) const {
    const bool user = privilege == Privilege::User;
    if (user && (entry.entry & kPteUser) == 0)
        return false;
    if (kind == AccessKind::Fetch)
        return (entry.entry & kPteNoExecute) == 0;
    return kind != AccessKind::Write || (entry.entry & kPteWritable) != 0 || (!user && !control_.write_protect());
}

PhysicalAddress Mmu::physical_of(const TlbPlace& place, u32 linear) const {
    const u32 mask = tlb_.page_mask(place.side);
    return on_bus((tlb_.entry(place).entry & kPteFrame & ~u64{mask}) | (linear & mask));
}

Walk Mmu::walk(u32 linear, Privilege privilege, AccessKind kind) {
    SetBitsPolicy policy{*this};
    if (MMU_MUTANT(PdptesReadFromMemory))
        load_pdptes();
    const u64 before = counters_.accessed_dirty_writes;
    const Walk result = walk_in_mode(policy, control_, linear, privilege, kind);
    if (listener_ != nullptr)
        listener_->page_walk_done(static_cast<u32>(counters_.accessed_dirty_writes - before));
    return result;
}

void Mmu::take_fault(u32 linear, const Walk& walk) {
    fault_ = {LinearAddress(linear), walk.error_code, false};
    ++counters_.page_faults;
    tracer_.emit(TraceKind::PageFault, linear, walk.error_code, walk.at(2).entry, walk.at(1).entry);
}

// One access to one page: what the chip does, in its order. On a fault nothing of the TLB is touched.
Mmu::Translation Mmu::translate(u32 linear, Privilege privilege, AccessKind kind) {
    if (!control_.paging()) {
        const PhysicalAddress physical = on_bus(linear);
        note_write(physical, kind);
        publish(linear, privilege, kind, {}, physical);
        return {true, physical};
    }
    const u32 side = kind == AccessKind::Fetch ? 1 : 0;
    TlbPlace place = tlb_.find(kind, linear);
    PhysicalAddress physical;
    const bool permitted = place.found && may(tlb_.entry(place), privilege, kind);
    const bool clean = kind == AccessKind::Write && place.found && (tlb_.entry(place).entry & kPteDirty) == 0;
    if (permitted && (!clean || MMU_MUTANT(DirtyWithoutWalk))) {
        ++counters_.tlb_hits[side];
        physical = physical_of(place, linear);
        if (count_hits_)
            tlb_.count_hit(place);
    } else {
        if (!place.found)
            ++counters_.tlb_misses[side];
        else if (permitted)
            ++counters_.dirty_walks;
        else
            ++counters_.permission_walks;
        const Walk result = walk(linear, privilege, kind);
        if (!result.ok || (place.found && !permitted && MMU_MUTANT(FaultStraightFromTlb))) {
            take_fault(linear, result);
            return {};
        }
        physical = on_bus(result.physical.value);
        if (memory_.is_memory(physical)) // the host fetches the bytes while the books are kept
            __builtin_prefetch(memory_.host(physical));
        place = refill(linear, kind, result, place);
    }
    tlb_.touch(place);
    note_write(physical, kind);
    publish(linear, privilege, kind, place, physical);
    return {true, physical};
}

// Enters a walk's result. `old` is the entry that was hit but did not suffice, if there was one.
TlbPlace Mmu::refill(u32 linear, AccessKind kind, const Walk& walk, const TlbPlace& old) {
    const TlbSide side =
        walk.large && !MMU_MUTANT(LargeFetchEntersAsPiece) ? tlb_.large_side(kind) : tlb_.small_side(kind);
    if (old.found && old.side != side && !MMU_MUTANT(LargeEntrySurvivesSplit))
        drop_outgrown(old);
    unmark_user_page(walk);
    TlbPlace place = tlb_.take_place(side, linear);
    if (MMU_MUTANT(RefillTakesNewWay) && old.found)
        place.way ^= 1;
    clear_place(place);
    const TlbEntry entry = entry_of(linear, walk, tlb_.page_mask(side));
    tlb_.set_entry(place, entry);
    place.found = true;
    emit_entry(TraceKind::TlbFill, place, entry);
    return place;
}

// The page changed its size behind the TLB's back: the old entry must not shadow the new one.
void Mmu::drop_outgrown(const TlbPlace& old) {
    emit_entry(TraceKind::TlbEvict, old, tlb_.entry(old));
    unpublish(old);
    tlb_.set_entry(old, {});
}

// A page that a user may write is no table, whatever its frame was before it was freed and given out again.
void Mmu::unmark_user_page(const Walk& walk) {
    constexpr u32 kUserWritable = kPteUser | kPteWritable;
    const u64 frame = on_bus(walk.physical.value).page();
    if ((walk.rights & kUserWritable) == kUserWritable && table_levels(frame) != 0)
        unflag_frame(frame, kFramePageTable);
}

// Before a fill: what the place holds leaves the front. It is evicted unless it is the same page's (`found`).
void Mmu::clear_place(const TlbPlace& place) {
    const TlbEntry& previous = tlb_.entry(place);
    if (!previous.valid())
        return;
    if (!place.found)
        emit_entry(TraceKind::TlbEvict, place, previous);
    if (!MMU_MUTANT(FrontSurvivesEviction))
        unpublish(place);
}

TlbEntry Mmu::entry_of(u32 linear, const Walk& walk, u32 page_mask) const {
    TlbEntry entry;
    entry.tag = linear & ~page_mask;
    entry.entry = (walk.physical.value & ~u64{page_mask}) | walk.rights | kPtePresent | kPteAccessed |
                  (walk.dirty ? u32{kPteDirty} : 0) | (walk.large ? u32{kPteLarge} : 0) |
                  (walk.no_execute ? kPteNoExecute : 0);
    const Moment now = tracer_.now();
    entry.filled_by = now.eip;
    entry.filled_at = now.cycle;
    return entry;
}

void Mmu::emit_entry(TraceKind kind, const TlbPlace& place, const TlbEntry& entry) {
    tracer_.emit(kind, entry.tag, entry.entry, u64{place.set} << 8 | place.way, static_cast<u64>(place.side));
}

// Must every access to the page be looked at? Only while data breakpoints or alignment checks are on.
bool Mmu::withheld(u32 linear, Privilege privilege, AccessKind kind) const {
    if (kind == AccessKind::Fetch)
        return false;
    if (reports_accesses_)
        return true;
    if (alignment_check_ && privilege == Privilege::User)
        return true;
    for (const LinearWatch& watch : watches_) {
        if (((watch.address ^ linear) & ~kPageMask) == 0)
            return true;
    }
    return false;
}

// The frame of an access for writing is written, whether or not the bytes follow.
void Mmu::note_write(PhysicalAddress physical, AccessKind kind) {
    if (kind == AccessKind::Write && memory_.is_memory(physical))
        memory_.mark_written(physical.page());
}

// Lets later accesses like this one use the front: `place` was just touched. `place.found` is false if paging is off.
void Mmu::publish(u32 linear, Privilege privilege, AccessKind kind, const TlbPlace& place, PhysicalAddress physical) {
    if (!fast_enabled_ || sees_every_access())
        return;
    const u32 page = linear & ~kPageMask;
    FastSlot& slot = front(kind).slot(privilege, linear);
    const u8 flags = memory_.flags(physical.page());
    if ((flags & (kFrameDevice | kFrameWatched)) != 0 || withheld(linear, privilege, kind)) {
        if (slot.read_tag == page)
            slot = {};
        return;
    }
    slot.read_tag = page;
    slot.write_tag = store_ready(place, privilege, flags) ? page : FastSlot::kNone;
    slot.physical = static_cast<u32>(physical.value) & ~kPageMask;
    slot.addend = reinterpret_cast<std::uintptr_t>(memory_.host(physical.page_start())) - page;
    slot.set = static_cast<u8>(place.found ? tlb_.plru_number(place) : Tlb::kNoSet);
    slot.touch = place.found ? tlb_.touch_of(place) : PlruTouch{};
    if (MMU_MUTANT(FrontHitTouchesNothing))
        slot.touch = {};
    if (MMU_MUTANT(UserSharesSupervisorFront))
        front(kind).slot(Privilege::User, linear) = slot;
}

// May stores use the front, too? Not without the right, not before D is set, not into a frame with any flag.
bool Mmu::store_ready(const TlbPlace& place, Privilege privilege, u8 flags) const {
    const bool plain = flags == 0 || MMU_MUTANT(WriteTagIgnoresFlags);
    if (!plain || !place.found)
        return plain;
    const TlbEntry& entry = tlb_.entry(place);
    const bool writable = may(entry, privilege, AccessKind::Write) || MMU_MUTANT(WriteTagIgnoresWritable);
    return writable && ((entry.entry & kPteDirty) != 0 || MMU_MUTANT(WriteTagIgnoresDirty));
}

bool Mmu::translate_span(Span& span, Privilege privilege, AccessKind kind) {
    span.low_size = std::min(span.size, kPageSize - (span.linear & kPageMask));
    const u32 high_linear = span.linear + span.low_size;
    if (MMU_MUTANT(HighPageFirst) && span.low_size < span.size) {
        span.high = translate(high_linear, privilege, kind);
        if (!span.high.ok)
            return false;
    }
    span.low = translate(span.linear, privilege, kind);
    if (!span.low.ok)
        return false;
    if (span.low_size < span.size) {
        span.high = translate(high_linear, privilege, kind);
        if (!span.high.ok)
            return false;
    }
    // After the page faults (SDM 3A table 6-2).
    const bool checked = alignment_check_ && privilege == Privilege::User;
    if (checked && (span.size == 2 || span.size == 4 || span.size == 8) && (span.linear & (span.size - 1)) != 0) {
        fault_ = {LinearAddress(span.linear), 0, true};
        return false;
    }
    return true;
}

// --- Bytes

u64 Mmu::read_piece(u32 linear, PhysicalAddress physical, u32 size) {
    u64 value = 0;
    const u8 flags = memory_.flags(physical.page());
    if ((flags & kFrameDevice) == 0) {
        std::memcpy(&value, memory_.host(physical), size);
    } else {
        for (u32 done = 0; done < size; done += 4)
            value |= u64{bus_.read_memory(physical + done, std::min(size - done, 4u))} << (8 * done);
    }
    if ((flags & kFrameWatched) != 0 && watcher_)
        watcher_(LinearAddress(linear), physical, size, AccessKind::Read);
    return value;
}

void Mmu::write_piece(u32 linear, PhysicalAddress physical, u32 size, u64 value) {
    const u8 flags = memory_.flags(physical.page());
    if ((flags & kFrameDevice) != 0) {
        for (u32 done = 0; done < size; done += 4)
            bus_.write_memory(physical + done, std::min(size - done, 4u), static_cast<u32>(value >> (8 * done)));
    } else if ((flags & kFrameReadOnly) == 0) {
        if ((flags & kFramePageTable) != 0)
            write_table_frame(physical, size, reinterpret_cast<const u8*>(&value));
        else
            std::memcpy(memory_.host(physical), &value, size);
        if ((flags & kFrameCode) != 0 && listener_ != nullptr)
            listener_->code_changed(physical, size);
    }
    if ((flags & kFrameWatched) != 0 && watcher_)
        watcher_(LinearAddress(linear), physical, size, AccessKind::Write);
}

// Stores into a page-table frame, telling of each entry touched.
void Mmu::write_table_frame(PhysicalAddress physical, u32 size, const u8* bytes) {
    const u32 width = control_.entry_bytes();
    const u64 first = physical.value & ~u64{width - 1};
    const u64 last = (physical.value + size - 1) & ~u64{width - 1};
    std::array<u64, 3> old_entries{};
    for (u64 at = first; at <= last; at += width)
        std::memcpy(&old_entries[(at - first) / width], memory_.host(PhysicalAddress(at)), width);
    std::memcpy(memory_.host(physical), bytes, size);
    const u64 frame = physical.page();
    const u8 levels = tables_[frame].levels;
    const u64 level = (levels & 2) != 0 ? 2 : levels;
    for (u64 at = first; at <= last; at += width) {
        u64 entry = 0;
        std::memcpy(&entry, memory_.host(PhysicalAddress(at)), width);
        tracer_.emit(TraceKind::PteWrite, at, old_entries[(at - first) / width], entry, level);
        if (level == 2)
            mark_table_of(entry);
    }
    note_table_store(frame);
}

// --- Whole accesses: translated, told of, done

// Everything that can fault, and the data breakpoints. An update begins as a write.
bool Mmu::begin_access(Span& span, Privilege privilege, AccessKind kind) {
    if (!translate_span(span, privilege, kind))
        return false;
    for (const LinearWatch& watch : watches_) {
        const bool overlaps = span.linear - watch.address < watch.size || watch.address - span.linear < span.size;
        if (overlaps && (kind == AccessKind::Write || watch.reads) && listener_ != nullptr)
            listener_->breakpoint_hit(watch.number);
    }
    return true;
}

// For who counts cycles. An update's load and store are each told of.
void Mmu::report_transfer(const Span& span, AccessKind kind) {
    if (listener_ == nullptr)
        return;
    if (misaligned_mask_ != 0 && is_misaligned(span.linear, span.size))
        listener_->misaligned_access();
    if (!reports_accesses_)
        return;
    listener_->memory_accessed(span.low.physical, span.low_size, kind);
    if (span.low_size < span.size)
        listener_->memory_accessed(span.high.physical, span.size - span.low_size, kind);
}

// Does the bus need a further cycle? Of two bytes wide: from any odd address. Else across an aligned doubleword, and
// for 8 bytes as the mask says.
bool Mmu::is_misaligned(u32 linear, u32 size) const {
    if (narrow_bus_)
        return (linear & 1) != 0 && size > 1;
    return size == 8 ? (linear & misaligned_mask_) != 0 : (linear & 3) + size > 4;
}

u64 Mmu::read_span(const Span& span) {
    report_transfer(span, AccessKind::Read);
    u64 value = read_piece(span.linear, span.low.physical, span.low_size);
    if (span.low_size < span.size)
        value |= read_piece(span.linear + span.low_size, span.high.physical, span.size - span.low_size)
                 << (8 * span.low_size);
    return value;
}

void Mmu::write_span(const Span& span, u64 value) {
    report_transfer(span, AccessKind::Write);
    write_piece(span.linear, span.low.physical, span.low_size, value);
    if (span.low_size < span.size)
        write_piece(span.linear + span.low_size, span.high.physical, span.size - span.low_size,
                    value >> (8 * span.low_size));
}

// --- The doors' slow halves

Access<u64> Mmu::load_slow(u32 linear, u32 size, Privilege privilege) {
    record(MmuRecorder::Act::Load, linear, size, 0, privilege);
    Span span{linear, size, 0, {}, {}};
    if (!begin_access(span, privilege, AccessKind::Read))
        return Access<u64>::fault();
    return {read_span(span), true};
}

bool Mmu::store_slow(u32 linear, u32 size, u64 value, Privilege privilege) {
    record(MmuRecorder::Act::Store, linear, size, value, privilege);
    Span span{linear, size, 0, {}, {}};
    if (!begin_access(span, privilege, AccessKind::Write))
        return false;
    write_span(span, value);
    return true;
}

Access<u64> Mmu::load_for_update_slow(u32 linear, u32 size, Privilege privilege) {
    record(MmuRecorder::Act::Update, linear, size, 0, privilege);
    update_host_ = nullptr;
    update_span_ = {linear, size, 0, {}, {}};
    if (!begin_access(update_span_, privilege, AccessKind::Write))
        return Access<u64>::fault();
    return {read_span(update_span_), true};
}

void Mmu::finish_update_slow(u64 value) {
    record(MmuRecorder::Act::Finish, update_span_.linear, update_span_.size, value);
    write_span(update_span_, value);
}

bool Mmu::probe_write_slow(u32 linear, u32 size, Privilege privilege) {
    EMU_ASSERT(size != 0 && size <= kPageSize, "a probe of {} bytes", size);
    record(MmuRecorder::Act::Probe, linear, size, 0, privilege);
    Span span{linear, size, 0, {}, {}};
    return translate_span(span, privilege, AccessKind::Write);
}

Access<PhysicalAddress> Mmu::fetch_slow(u32 linear, Privilege privilege) {
    record(MmuRecorder::Act::Fetch, linear, 1, 0, privilege);
    const Translation at = translate(linear, privilege, AccessKind::Fetch);
    if (at.ok && (memory_.flags(at.physical.page()) & kFrameWatched) != 0 && watcher_)
        watcher_(LinearAddress(linear), at.physical, 1, AccessKind::Fetch);
    return {at.physical, at.ok};
}

// A plain hit on plain memory, or nothing at all.
u8* Mmu::bulk_slow(u32 linear, Privilege privilege, AccessKind kind) {
    if (!fast_enabled_ || sees_every_access() || withheld(linear, privilege, kind))
        return nullptr;
    PhysicalAddress physical = on_bus(linear);
    if (control_.paging()) {
        const TlbPlace place = tlb_.find(kind, linear);
        if (!place.found || !may(tlb_.entry(place), privilege, kind))
            return nullptr;
        if (kind == AccessKind::Write && (tlb_.entry(place).entry & kPteDirty) == 0)
            return nullptr;
        physical = physical_of(place, linear);
    }
    const u8 flags = memory_.flags(physical.page());
    const u8 slow = kind == AccessKind::Write ? static_cast<u8>(~kFrameClean) : u8{kFrameDevice | kFrameWatched};
    if ((flags & slow) != 0)
        return nullptr;
    return memory_.host(translate(linear, privilege, kind).physical);
}

} // namespace forkscope
