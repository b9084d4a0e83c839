// Flushes, fills and walks: what happens on the way from a linear address to one on the bus.
#include "mmu/paging_unit.hpp"

#include "mmu/mutant.hpp"
#include "mmu/page_walk.hpp"

namespace forkscope {

#ifdef FORKSCOPE_MMU_MUTANTS
MmuMutant active_mmu_mutant = MmuMutant::None;
#endif

void MmuCounters::serialize(Archive& ar) {
    ar.field("tlb_misses", tlb_misses);
    ar.field("dirty_walks", dirty_walks);
    ar.field("permission_walks", permission_walks);
    ar.field("page_faults", page_faults);
    ar.field("flushes", flushes);
    ar.field("accessed_dirty_writes", accessed_dirty_writes);
}

// The policy of the guest's own walks: marks the frames that they use, sets A and D.
struct PagingUnit::GuestWalk {
    PagingUnit& unit;
    Trouble trouble = Trouble::IsTaken;
    PhysicalAddress last_entry{}; // that led to the next table
    bool stopped = false;

    PhysicalAddress locate(u64 table, u32 offset, u32 level) {
        const PhysicalAddress frame = unit.state_.on_bus(table);
        const bool is_new = (unit.marks_.levels(frame.page()) & level) == 0;
        stopped |= trouble == Trouble::StopsWalk && is_new && looked_at(TraceKind::PageTableFrame);
        if (stopped)
            return frame + offset;
        unit.marks_.mark(frame.page(), static_cast<u8>(level), last_entry);
        return frame + offset;
    }
    bool looked_at(TraceKind kind) const { return unit.tracer_.looks_at(trace_kinds({kind})); }
    template <class Entry> void read(PhysicalAddress at, Entry& entry) {
        unit.state_.read_entry(at, entry);
        last_entry = at;
    }
    // The locked read-modify-write of A and D, which lie in the low word of every mode's entries. ROM ignores it as it
    // ignores every store.
    void set_bits(PhysicalAddress at, u64 old_entry, u64 new_entry, u32 level) {
        const u8 flags = unit.memory_.flags(at.page());
        if ((flags & (kFrameReadOnly | kFrameDevice)) != 0)
            return;
        stopped |= trouble == Trouble::StopsWalk && ((flags & kFrameCode) != 0 || looked_at(TraceKind::AccessedDirty));
        if (stopped)
            return;
        // The directory and the table may be one frame (a self-map): keep what the upper level's update just wrote.
        u32 now = 0;
        unit.state_.read_entry(at, now);
        now |= static_cast<u32>(new_entry & ~old_entry);
        std::memcpy(unit.memory_.host(at), &now, sizeof now);
        unit.memory_.mark_written(at.page());
        ++unit.counters_.accessed_dirty_writes;
        unit.tracer_.emit(TraceKind::AccessedDirty, at.value, old_entry, (old_entry >> 32 << 32) | now, level);
        if ((flags & kFrameCode) != 0 && unit.listener_ != nullptr)
            unit.listener_->code_changed(at, sizeof now);
    }
};

PagingUnit::PagingUnit(PhysicalMemory& memory, Tracer& tracer)
    : memory_(memory), tracer_(tracer), state_(memory), front_(memory, state_, tlb_),
      marks_(memory, state_, front_.data(), tracer) {}

// --- Control

void PagingUnit::write_cr0(u32 old_value, u32 new_value) {
    if (old_value != new_value)
        tracer_.emit(TraceKind::ControlRegister, 0, old_value, new_value);
    const u32 changed = state_.set_cr0(new_value);
    if ((changed & (kCr0Pg | kCr0Pe)) != 0) {
        flush(TlbFlushReason::Cr0, Globals::Drop);
        front_.drop_all();
    }
    if ((changed & kCr0Wp) != 0 && !MMU_MUTANT(WriteTagsSurviveWpChange))
        front_.data().drop_write_tags();
}

void PagingUnit::write_cr3(u32 new_value, TlbFlushReason reason) {
    const u32 old_value = state_.control().cr3;
    tracer_.emit(TraceKind::Cr3Load, old_value, new_value);
    if (reason == TlbFlushReason::TaskSwitch && old_value == new_value)
        return;
    state_.set_cr3(new_value);
    flush(reason, MMU_MUTANT(Cr3DropsGlobal) ? Globals::Drop : Globals::Keep);
}

void PagingUnit::write_cr4(u32 old_value, u32 new_value) {
    if (old_value != new_value)
        tracer_.emit(TraceKind::ControlRegister, 4, old_value, new_value);
    const u32 changed = state_.set_cr4(new_value);
    const u32 ignored = MMU_MUTANT(PseToggleKeepsEntries) ? u32{kCr4Pse} : 0;
    if ((changed & PagingState::kTranslationCr4Bits & ~ignored) == 0)
        return;
    flush(TlbFlushReason::Cr4, Globals::Drop);
    if (!MMU_MUTANT(LargeShiftStays))
        tlb_.set_large_shift(state_.control().large_shift());
}

bool PagingUnit::invalidate_page(LinearAddress address) {
    const u32 dropped = drop_page(address);
    finish_flush(TlbFlushReason::Invlpg, address, dropped);
    return dropped != 0;
}

void PagingUnit::drop_faulting_entry(LinearAddress address) {
    const u32 dropped = MMU_MUTANT(FaultKeepsEntry) ? 0 : drop_page(address);
    if (dropped != 0)
        finish_flush(TlbFlushReason::PageFault, address, dropped);
}

void PagingUnit::set_tlb_model(const TlbModel& model) {
    tlb_ = Tlb(model);
    front_.set_geometry();
    tlb_.set_large_shift(state_.control().large_shift());
}

void PagingUnit::set_a20(bool enabled) {
    if (state_.a20() == enabled)
        return;
    state_.set_a20(enabled);
    front_.drop_all();
}

void PagingUnit::reset() {
    flush(TlbFlushReason::Reset, Globals::Drop);
    state_.reset();
    tlb_.reset();
    tlb_.set_large_shift(state_.control().large_shift());
    front_.drop_all();
    fault_ = {};
    marks_.forget_all();
}

void PagingUnit::flag_frame(u64 frame, u8 bits) {
    if (frame >= memory_.frame_count() || (memory_.flags(frame) & bits) == bits)
        return;
    memory_.set_flags(frame, bits);
    if ((bits & kFramePageTable) != 0)
        marks_.assume(frame);
    front_.frame_flagged(frame, bits);
}

void PagingUnit::unflag_frame(u64 frame, u8 bits) {
    if (frame >= memory_.frame_count())
        return;
    memory_.clear_flags(frame, bits);
    if ((bits & kFramePageTable) != 0)
        marks_.forget(frame);
}

void PagingUnit::set_count_hits(bool enabled) {
    count_hits_ = enabled;
    front_.keep_out(TlbFront::kHitsCounted, enabled);
}

// --- Flushes

void PagingUnit::flush(TlbFlushReason reason, Globals globals) {
    u32 dropped = 0;
    tlb_.for_each_valid([&](const TlbPlace& place) {
        if (globals == Globals::Keep && (tlb_.entry(place).entry & kPteGlobal) != 0)
            return;
        if (!MMU_MUTANT(FrontSurvivesCr3))
            front_.unpublish(place);
        tlb_.set_entry(place, {});
        ++dropped;
    });
    tlb_.compact();
    finish_flush(reason, LinearAddress(), dropped);
}

void PagingUnit::finish_flush(TlbFlushReason reason, LinearAddress address, u32 dropped) {
    ++counters_.flushes[static_cast<u32>(reason)];
    tracer_.emit(TraceKind::TlbFlush, static_cast<u64>(reason), address.value, dropped);
}

// Invalidates what translates the address, global or not, and every piece of its large page. The replacement bits stay.
u32 PagingUnit::drop_page(LinearAddress address) {
    u32 dropped = 0;
    for (u32 number = 0; number < Tlb::kArrays; ++number) {
        const auto array = static_cast<TlbArray>(number);
        if (tlb_.empty(array) || (array == TlbArray::Instruction4K && MMU_MUTANT(InvlpgForgetsInstructionSide)) ||
            (array == TlbArray::Instruction4M && MMU_MUTANT(InvlpgForgetsLargeFetch)))
            continue;
        dropped += drop_page_of(array, static_cast<u32>(address.value));
    }
    return dropped;
}

u32 PagingUnit::drop_page_of(TlbArray array, u32 linear) {
    u32 dropped = 0;
    const bool pieces = tlb_.holds_pieces(array) && !MMU_MUTANT(InvlpgForgetsPieces);
    const auto drop_if_same = [&](const TlbPlace& place) {
        const TlbEntry& entry = tlb_.entry(place);
        const bool piece = pieces && (entry.entry & kPteLarge) != 0;
        if (!entry.valid() || ((entry.tag ^ linear) & ~(piece ? tlb_.large_mask() : tlb_.page_mask(array))) != 0)
            return;
        if (!MMU_MUTANT(FrontSurvivesInvlpg))
            front_.unpublish(place);
        tlb_.set_entry(place, {});
        ++dropped;
    };
    const u32 set = tlb_.set_of(array, linear);
    if (MMU_MUTANT(InvlpgResetsPlru))
        tlb_.touch(tlb_.plru_number({.array = array, .set = set}), {0, 0});
    if (pieces)
        tlb_.for_each_valid(array, drop_if_same);
    for (u32 way = 0; way < tlb_.geometry(array).ways && !pieces; ++way)
        drop_if_same({.array = array, .way = static_cast<u8>(way), .found = true, .set = set});
    return dropped;
}

// --- Fills

// `old` was found first, so its array holds no other entry of the page that an access would find.
[[gnu::always_inline]] inline TlbPlace PagingUnit::place_for(TlbArray array, u32 linear, const TlbPlace& old) {
    if (!old.found)
        return tlb_.take_other_place(array, linear);
    return old.array == array ? old : tlb_.take_place(array, linear);
}

// Enters a walk's result. `old` is the entry that was hit but did not suffice, if there was one.
[[gnu::always_inline]] inline TlbPlace PagingUnit::refill(LinearAddress address, AccessKind kind, const Walk& walk,
                                                          const TlbPlace& old) {
    const TlbArray array =
        walk.large && !MMU_MUTANT(LargeFetchEntersAsPiece) ? tlb_.large_array(kind) : tlb_.small_array(kind);
    if (old.found && old.array != array && !MMU_MUTANT(LargeEntrySurvivesSplit))
        drop_outgrown(old);
    unmark_user_page(walk);
    TlbPlace place = place_for(array, static_cast<u32>(address.value), old);
    if (MMU_MUTANT(RefillTakesNewWay) && old.found)
        place.way ^= 1;
    clear_place(place);
    const TlbEntry entry = entry_of(address, walk, tlb_.page_mask(array));
    tlb_.set_entry(place, entry);
    place.found = true;
    emit_entry(TraceKind::TlbFill, place, entry);
    return place;
}

// The page changed its size behind the TLB's back: the old entry must not shadow the new one.
void PagingUnit::drop_outgrown(const TlbPlace& old) {
    emit_entry(TraceKind::TlbEvict, old, tlb_.entry(old));
    front_.unpublish(old);
    tlb_.set_entry(old, {});
}

// A page that a user may write is no table where none leads to its frame: it was freed and given out again.
void PagingUnit::unmark_user_page(const Walk& walk) {
    constexpr u32 kUserWritable = kPteUser | kPteWritable;
    const u64 frame = state_.on_bus(walk.physical.value).page();
    if ((walk.rights & kUserWritable) == kUserWritable && marks_.levels(frame) != 0 && !marks_.in_use(frame))
        marks_.forget(frame);
}

// Before a fill: what the place holds leaves the front. It is evicted unless it is the same page's (`found`).
void PagingUnit::clear_place(const TlbPlace& place) {
    const TlbEntry& previous = tlb_.entry(place);
    if (!previous.valid())
        return;
    if (!place.found)
        emit_entry(TraceKind::TlbEvict, place, previous);
    if (!MMU_MUTANT(FrontSurvivesEviction))
        front_.unpublish(place);
}

TlbEntry PagingUnit::entry_of(LinearAddress address, const Walk& walk, u32 page_mask) const {
    TlbEntry entry;
    entry.tag = static_cast<u32>(address.value) & ~page_mask;
    entry.entry = (walk.physical.value & ~u64{page_mask}) | walk.rights | kPtePresent | kPteAccessed |
                  (walk.dirty ? u32{kPteDirty} : 0) | (walk.large ? u32{kPteLarge} : 0) |
                  (walk.no_execute ? kPteNoExecute : 0);
    const TracePlace place = tracer_.place();
    entry.filled_by = place.eip;
    entry.filled_at = place.cycle;
    return entry;
}

void PagingUnit::emit_entry(TraceKind kind, const TlbPlace& place, const TlbEntry& entry) {
    if (tracer_.wants(kind))
        tracer_.emit(kind, entry.tag, entry.entry, tlb_set_way(place.set, place.way), static_cast<u64>(place.array));
}

// --- Translation

inline PhysicalAddress PagingUnit::physical_of(const TlbPlace& place, LinearAddress address) const {
    const u32 mask = tlb_.page_mask(place.array);
    return state_.on_bus((tlb_.entry(place).entry & kPteFrame & ~u64{mask}) | (address.value & mask));
}

Walk PagingUnit::walk(LinearAddress address, Privilege privilege, AccessKind kind, Trouble trouble) {
    GuestWalk policy{*this, trouble};
    if (MMU_MUTANT(PdptesReadFromMemory))
        state_.load_pdptes();
    const u64 before = counters_.accessed_dirty_writes;
    Walk result = walk_page_tables(policy, state_.control(), static_cast<u32>(address.value), privilege, kind);
    result.ok = result.ok && !policy.stopped;
    if (listener_ != nullptr)
        listener_->page_walk_done(static_cast<u32>(counters_.accessed_dirty_writes - before));
    return result;
}

void PagingUnit::take_fault(LinearAddress address, const Walk& walk) {
    fault_ = {address, walk.error_code, false};
    ++counters_.page_faults;
    tracer_.emit(TraceKind::PageFault, address.value, walk.error_code, walk.at(2).entry, walk.at(1).entry);
}

// The frame of an access for writing is written, whether or not the bytes follow.
inline void PagingUnit::note_write(PhysicalAddress physical, AccessKind kind) {
    if (kind == AccessKind::Write && memory_.is_memory(physical))
        memory_.mark_written(physical.page());
}

[[gnu::always_inline]] inline PagingUnit::Lookup PagingUnit::look_up(u32 linear, Privilege privilege,
                                                                     AccessKind kind) const {
    Lookup lookup;
    lookup.place = tlb_.find(kind, linear);
    if (!lookup.place.found)
        return lookup;
    const TlbEntry& entry = tlb_.entry(lookup.place);
    lookup.permitted = permits(entry, state_.control(), privilege, kind);
    const bool clean = kind == AccessKind::Write && (entry.entry & kPteDirty) == 0;
    lookup.suffices = lookup.permitted && (!clean || MMU_MUTANT(DirtyWithoutWalk));
    return lookup;
}

void PagingUnit::count_walk(const Lookup& lookup, AccessKind kind) {
    if (!lookup.place.found)
        ++counters_.tlb_misses[kind == AccessKind::Fetch ? 1 : 0];
    else if (lookup.permitted)
        ++counters_.dirty_walks;
    else
        ++counters_.permission_walks;
}

// What a walk that was allowed has found becomes an entry.
PhysicalAddress PagingUnit::enter(LinearAddress address, Privilege privilege, AccessKind kind, const Walk& walk,
                                  const Lookup& lookup) {
    const PhysicalAddress physical = state_.on_bus(walk.physical.value);
    if (memory_.is_memory(physical)) // the host fetches the bytes while the books are kept
        __builtin_prefetch(memory_.host(physical));
    touch(address, privilege, kind, refill(address, kind, walk, lookup.place), physical);
    return physical;
}

[[gnu::always_inline]] inline void PagingUnit::touch(LinearAddress address, Privilege privilege, AccessKind kind,
                                                     const TlbPlace& place, PhysicalAddress physical) {
    tlb_.touch(place);
    note_write(physical, kind);
    front_.publish(address, privilege, kind, place, physical);
}

Access<PhysicalAddress> PagingUnit::translate(LinearAddress address, Privilege privilege, AccessKind kind) {
    const auto linear = static_cast<u32>(address.value);
    if (!state_.control().paging()) {
        const PhysicalAddress physical = state_.on_bus(linear);
        note_write(physical, kind);
        front_.publish(address, privilege, kind, {}, physical);
        return {physical, true};
    }
    const Lookup lookup = look_up(linear, privilege, kind);
    if (lookup.suffices) {
        ++counters_.tlb_hits[kind == AccessKind::Fetch ? 1 : 0];
        const PhysicalAddress physical = physical_of(lookup.place, address);
        if (count_hits_)
            tlb_.count_hit(lookup.place);
        touch(address, privilege, kind, lookup.place, physical);
        return {physical, true};
    }
    count_walk(lookup, kind);
    const Walk result = walk(address, privilege, kind);
    if (!result.ok || (lookup.place.found && !lookup.permitted && MMU_MUTANT(FaultStraightFromTlb))) {
        take_fault(address, result);
        return Access<PhysicalAddress>::fault();
    }
    return {enter(address, privilege, kind, result, lookup), true};
}

Access<PhysicalAddress> PagingUnit::try_translate(LinearAddress address, Privilege privilege, AccessKind kind) {
    if (!state_.control().paging() || front_.keeps_out(address, privilege, kind))
        return Access<PhysicalAddress>::fault();
    const Lookup lookup = look_up(static_cast<u32>(address.value), privilege, kind);
    if (lookup.suffices) {
        const PhysicalAddress physical = physical_of(lookup.place, address);
        touch(address, privilege, kind, lookup.place, physical);
        return {physical, true};
    }
    const Walk result = walk(address, privilege, kind, Trouble::StopsWalk);
    if (result.ok || MMU_MUTANT(FaultCountedTwice))
        count_walk(lookup, kind);
    if (!result.ok)
        return Access<PhysicalAddress>::fault();
    return {enter(address, privilege, kind, result, lookup), true};
}

Access<PhysicalAddress> PagingUnit::find_plain_hit(LinearAddress address, Privilege privilege, AccessKind kind) const {
    if (front_.keeps_out(address, privilege, kind))
        return Access<PhysicalAddress>::fault();
    const auto linear = static_cast<u32>(address.value);
    if (!state_.control().paging())
        return {state_.on_bus(linear), true};
    const TlbPlace place = tlb_.find(kind, linear);
    if (!place.found || !permits(tlb_.entry(place), state_.control(), privilege, kind))
        return Access<PhysicalAddress>::fault();
    if (kind == AccessKind::Write && (tlb_.entry(place).entry & kPteDirty) == 0)
        return Access<PhysicalAddress>::fault();
    return {physical_of(place, address), true};
}

// --- State

void PagingUnit::serialize(Archive& ar) {
    state_.serialize(ar);
    if (ar.loading())
        tlb_.set_large_shift(state_.control().large_shift());
    ar.nested("tlb", tlb_);
    ar.nested("counters", counters_);
    if (!ar.hashing()) {
        serialize_hits(ar);
        marks_.serialize(ar);
    }
    if (ar.loading())
        front_.drop_all();
}

// Unless hits are counted, the number depends on the fast table and says nothing.
void PagingUnit::serialize_hits(Archive& ar) {
    std::array<u64, 2> hits{};
    if (count_hits_)
        std::copy(std::begin(counters_.tlb_hits), std::end(counters_.tlb_hits), hits.begin());
    ar.field("tlb_hits", hits);
    if (ar.loading())
        std::copy(hits.begin(), hits.end(), std::begin(counters_.tlb_hits));
}

} // namespace forkscope
