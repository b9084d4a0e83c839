// Control registers, flushes, marks of page-table frames, peeking: everything but the guest's accesses
// (mmu_access.cpp).
#include "mmu/mmu.hpp"

#include <algorithm>

#include "mmu/mutant.hpp"
#include "mmu/page_walk.hpp"
#include "mmu/policies.hpp"

namespace forkscope {

#ifdef FORKSCOPE_MMU_MUTANTS
MmuMutant active_mmu_mutant = MmuMutant::None;
#endif

namespace {
// Changes of these load the PDPTE registers (SDM 3A 4.4.1); those of CR4 flush the TLB too.
constexpr u32 kLoadingCr0Bits = kCr0Pg | kCr0Cd | kCr0Nw;
constexpr u32 kLoadingCr4Bits = kCr4Pge | kCr4Pae | kCr4Pse;
} // namespace

void MmuCounters::serialize(Archive& ar) {
    ar.field("tlb_misses", tlb_misses);
    ar.field("dirty_walks", dirty_walks);
    ar.field("permission_walks", permission_walks);
    ar.field("page_faults", page_faults);
    ar.field("flushes", flushes);
    ar.field("accessed_dirty_writes", accessed_dirty_writes);
}

Mmu::Mmu(PhysicalMemory& memory, Bus& bus, Tracer& tracer)
    : memory_(memory), bus_(bus), tracer_(tracer), tables_(memory.frame_count()) {
    memory_.set_epoch_listener([this] {
        if (!MMU_MUTANT(WriteTagsSurviveEpoch))
            drop_write_tags();
    });
}

Mmu::~Mmu() { memory_.set_epoch_listener({}); }

// --- Control

void Mmu::write_efer(u32 value) {
    record(MmuRecorder::Act::Efer, 0, 0, value);
    control_.efer = value;
}

void Mmu::write_cr0(u32 old_value, u32 new_value) {
    record(MmuRecorder::Act::Cr0, 0, 0, new_value);
    if (old_value != new_value)
        tracer_.emit(TraceKind::ControlRegister, 0, old_value, new_value);
    const u32 changed = control_.cr0 ^ new_value;
    control_.cr0 = new_value;
    if ((changed & (kCr0Pg | kCr0Pe)) != 0) {
        flush(TlbFlushReason::Cr0, false);
        drop_fronts();
    }
    if ((changed & kLoadingCr0Bits) != 0)
        load_pdptes();
    if ((changed & kCr0Wp) != 0 && !MMU_MUTANT(WriteTagsSurviveWpChange))
        data_front_.drop_write_tags();
}

void Mmu::write_cr3(u32 new_value, TlbFlushReason reason) {
    record(reason == TlbFlushReason::TaskSwitch ? MmuRecorder::Act::TaskSwitch : MmuRecorder::Act::Cr3, 0, 0,
           new_value);
    const u32 old_value = control_.cr3;
    tracer_.emit(TraceKind::Cr3Load, old_value, new_value);
    control_.cr3 = new_value;
    if (reason == TlbFlushReason::TaskSwitch && old_value == new_value)
        return;
    flush(reason, true);
    load_pdptes();
}

void Mmu::write_cr4(u32 old_value, u32 new_value) {
    record(MmuRecorder::Act::Cr4, 0, 0, new_value);
    if (old_value != new_value)
        tracer_.emit(TraceKind::ControlRegister, 4, old_value, new_value);
    const u32 changed = control_.cr4 ^ new_value;
    control_.cr4 = new_value;
    if ((changed & kLoadingCr4Bits & (MMU_MUTANT(PseToggleKeepsEntries) ? ~u32{kCr4Pse} : ~0u)) == 0)
        return;
    flush(TlbFlushReason::Cr4, false);
    if (!MMU_MUTANT(LargeShiftStays))
        tlb_.set_large_shift(control_.large_shift());
    if (!MMU_MUTANT(PdptesKeptOnCr4))
        load_pdptes();
}

std::array<u64, 4> Mmu::read_pdptes(u32 cr3) const {
    std::array<u64, 4> entries;
    for (u32 i = 0; i < entries.size(); ++i)
        read_entry(memory_, on_bus(cr3 & ~31u) + i * sizeof(u64), entries[i]);
    return entries;
}

void Mmu::load_pdptes() {
    if (control_.paging() && control_.pae())
        control_.pdpte = read_pdptes(control_.cr3);
}

bool Mmu::pdptes_valid(u32 cr3) const {
    for (const u64 entry : read_pdptes(cr3))
        if ((entry & kPtePresent) != 0 && (entry & PaePaging::pdpte_reserved_bits(control_)) != 0)
            return false;
    return true;
}

bool Mmu::accepts_cr0(u32 value) const {
    const bool loads = ((control_.cr0 ^ value) & kLoadingCr0Bits) != 0 && (value & kCr0Pg) != 0 && control_.pae();
    return !loads || pdptes_valid(control_.cr3);
}

bool Mmu::accepts_cr3(u32 value) const { return !control_.paging() || !control_.pae() || pdptes_valid(value); }

bool Mmu::accepts_cr4(u32 value) const {
    const bool loads = ((control_.cr4 ^ value) & kLoadingCr4Bits) != 0 && control_.paging() && (value & kCr4Pae) != 0;
    return !loads || pdptes_valid(control_.cr3);
}

void Mmu::set_tlb_model(const TlbModel& model) {
    drop_fronts();
    tlb_ = Tlb(model);
    tlb_.set_large_shift(control_.large_shift());
}

bool Mmu::invalidate_page(LinearAddress address) {
    const auto linear = static_cast<u32>(address.value);
    record(MmuRecorder::Act::InvalidatePage, linear);
    const u32 dropped = drop_page(linear);
    ++counters_.flushes[static_cast<u32>(TlbFlushReason::Invlpg)];
    tracer_.emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Invlpg), linear, dropped);
    return dropped != 0;
}

void Mmu::drop_faulting_entry(LinearAddress address) {
    const auto linear = static_cast<u32>(address.value);
    record(MmuRecorder::Act::FaultDrop, linear);
    const u32 dropped = MMU_MUTANT(FaultKeepsEntry) ? 0 : drop_page(linear);
    if (dropped == 0)
        return;
    ++counters_.flushes[static_cast<u32>(TlbFlushReason::PageFault)];
    tracer_.emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::PageFault), linear, dropped);
}

void Mmu::reset() {
    flush(TlbFlushReason::Reset, false);
    const PagingFeatures features = control_.features;
    control_ = {};
    control_.features = features;
    tlb_.reset();
    tlb_.set_large_shift(control_.large_shift());
    drop_fronts();
    fault_ = {};
    for (u64 frame = 0; frame < tables_.size(); ++frame) {
        if (tables_[frame].levels != 0)
            memory_.clear_flags(frame, kFramePageTable);
    }
    tables_.assign(tables_.size(), {});
}

void Mmu::set_a20(bool enabled) {
    record(MmuRecorder::Act::A20, 0, 0, enabled ? 1 : 0);
    if (a20_ == enabled)
        return;
    a20_ = enabled;
    drop_fronts();
}

void Mmu::set_watches(std::span<const LinearWatch> watches) {
    if (watches.empty() && watches_.empty())
        return;
    watches_.assign(watches.begin(), watches.end());
    data_front_.drop_all();
}

void Mmu::set_alignment_check(bool enabled) {
    if (alignment_check_ == enabled)
        return;
    alignment_check_ = enabled;
    data_front_.drop_all();
}

void Mmu::report_accesses(bool enabled) {
    reports_accesses_ = enabled;
    data_front_.drop_all();
}

// Invalidates what translates `linear`, global or not, and every piece of its large page. The replacement bits stay.
u32 Mmu::drop_page(u32 linear) {
    u32 dropped = 0;
    for (u32 number = 0; number < Tlb::kSides; ++number) {
        const auto side = static_cast<TlbSide>(number);
        if (!tlb_.has(side) || (side == TlbSide::Instruction && MMU_MUTANT(InvlpgForgetsInstructionSide)) ||
            (side == TlbSide::Instruction4M && MMU_MUTANT(InvlpgForgetsLargeFetch)))
            continue;
        const bool pieces = tlb_.holds_pieces(side) && !MMU_MUTANT(InvlpgForgetsPieces);
        const auto drop_if_same = [&](const TlbPlace& place) {
            const TlbEntry& entry = tlb_.entry(place);
            const bool piece = pieces && (entry.entry & kPteLarge) != 0;
            if (!entry.valid() || ((entry.tag ^ linear) & ~(piece ? tlb_.large_mask() : tlb_.page_mask(side))) != 0)
                return;
            if (!MMU_MUTANT(FrontSurvivesInvlpg))
                unpublish(place);
            tlb_.set_entry(place, {});
            ++dropped;
        };
        const u32 set = tlb_.set_of(side, linear);
        if (MMU_MUTANT(InvlpgResetsPlru))
            tlb_.plru_byte(tlb_.plru_number({side, 0, false, set})) = 0;
        if (pieces)
            tlb_.for_each_valid(side, drop_if_same);
        for (u32 way = 0; way < tlb_.geometry(side).ways && !pieces; ++way)
            drop_if_same({side, static_cast<u8>(way), true, set});
    }
    return dropped;
}

void Mmu::flush(TlbFlushReason reason, bool keep_global) {
    u32 dropped = 0;
    tlb_.for_each_valid([&](const TlbPlace& place) {
        const bool global = (tlb_.entry(place).entry & kPteGlobal) != 0 && !MMU_MUTANT(Cr3DropsGlobal);
        if (keep_global && global)
            return;
        if (!MMU_MUTANT(FrontSurvivesCr3))
            unpublish(place);
        tlb_.set_entry(place, {});
        ++dropped;
    });
    tlb_.compact();
    ++counters_.flushes[static_cast<u32>(reason)];
    tracer_.emit(TraceKind::TlbFlush, static_cast<u64>(reason), 0, dropped);
}

// --- Derived state and flags

// Takes a modelled entry out of the front. Clearing a slot is always safe: the next access asks the model.
void Mmu::unpublish(const TlbPlace& place) {
    const u32 tag = tlb_.entry(place).tag;
    const bool large = Tlb::is_large(place.side);
    const bool fetch = place.side == TlbSide::Instruction || place.side == TlbSide::Instruction4M;
    if (fetch || (tlb_.model().unified() && !MMU_MUTANT(FetchFrontSurvivesDataEviction)))
        large ? fetch_front_.drop_large_page(tag, tlb_.large_mask()) : fetch_front_.drop_page(tag);
    if (fetch)
        return;
    if (large && !MMU_MUTANT(FrontSurvivesLargeEviction))
        data_front_.drop_large_page(tag, tlb_.large_mask());
    else
        data_front_.drop_page(tag);
}

void Mmu::drop_fronts() {
    data_front_.drop_all();
    fetch_front_.drop_all();
}

void Mmu::drop_write_tags() { data_front_.drop_write_tags(); }

void Mmu::forget_derived_state() { drop_fronts(); }

void Mmu::set_fast_table(bool enabled) {
    fast_enabled_ = enabled;
    drop_fronts();
}

void Mmu::set_recorder(MmuRecorder* recorder) {
    recorder_ = recorder;
    drop_fronts();
}

void Mmu::set_count_hits(bool enabled) {
    count_hits_ = enabled;
    drop_fronts();
}

void Mmu::flag_frame(u64 frame, u8 bits) {
    if (frame >= memory_.frame_count() || (memory_.flags(frame) & bits) == bits)
        return;
    memory_.set_flags(frame, bits);
    if ((bits & kFramePageTable) != 0 && tables_[frame].levels == 0)
        tables_[frame] = {1, 0};
    if (MMU_MUTANT(WriteTagIgnoresFlags))
        return;
    if ((bits & (kFrameWatched | kFrameDevice)) != 0) {
        data_front_.drop_frame(frame);
        fetch_front_.drop_frame(frame);
    } else {
        data_front_.drop_write_tags_of_frame(frame);
    }
}

void Mmu::unflag_frame(u64 frame, u8 bits) {
    if (frame >= memory_.frame_count())
        return;
    memory_.clear_flags(frame, bits);
    if ((bits & kFramePageTable) != 0)
        tables_[frame] = {};
}

// The walker, or a directory in use, refers to this frame as a table of `level` (1 or 2).
void Mmu::mark_table(u64 frame, u8 level) {
    if (frame >= tables_.size() || !memory_.is_memory(PhysicalAddress(frame << kPageShift)))
        return;
    TableMark& mark = tables_[frame];
    mark.stores = 0;
    if ((mark.levels & level) != 0)
        return;
    mark.levels = static_cast<u8>(mark.levels | level);
    memory_.set_flags(frame, kFramePageTable);
    data_front_.drop_write_tags_of_frame(frame);
    tracer_.emit(TraceKind::PageTableFrame, frame << kPageShift, level);
    if (level != 2)
        return;
    const u8* table = memory_.host(PhysicalAddress(frame << kPageShift));
    const u32 width = control_.entry_bytes();
    for (u32 offset = 0; offset < kPageSize; offset += width) {
        u64 entry = 0;
        std::memcpy(&entry, table + offset, width);
        mark_table_of(entry);
    }
}

// What a present entry of a directory leads to.
void Mmu::mark_table_of(u64 entry) {
    const bool large =
        control_.pae() ? PaePaging::is_large(entry, 2, control_) : Paging32::is_large(entry, 2, control_);
    if ((entry & kPtePresent) != 0 && !large)
        mark_table(on_bus(entry & kPteFrame).page(), 1);
}

void Mmu::mark_space(u32 cr3) {
    if (!control_.pae())
        return mark_table(cr3 >> kPageShift, 2);
    for (const u64 entry : read_pdptes(cr3))
        if ((entry & kPtePresent) != 0)
            mark_table(on_bus(entry & kPteFrame).page(), 2);
}

// A frame that is stored to again and again and never walked through has become data.
void Mmu::note_table_store(u64 frame) {
    TableMark& mark = tables_[frame];
    if (++mark.stores < kTableStores)
        return;
    mark = {};
    memory_.clear_flags(frame, kFramePageTable);
}

// --- Looking

Walk Mmu::peek_walk(LinearAddress address, Privilege privilege, AccessKind kind) const {
    if (control_.paging())
        return peek_walk_in(control_.cr3, address, privilege, kind);
    Walk identity;
    identity.ok = true;
    identity.physical = on_bus(static_cast<u32>(address.value));
    identity.rights = kPteWritable | kPteUser;
    identity.dirty = true;
    return identity;
}

Walk Mmu::peek_walk_in(u32 cr3, LinearAddress address, Privilege privilege, AccessKind kind) const {
    PagingControl control = control_;
    control.cr3 = cr3;
    if (control.pae() && cr3 != control_.cr3)
        control.pdpte = read_pdptes(cr3);
    LookPolicy policy{*this};
    Walk walk = walk_in_mode(policy, control, static_cast<u32>(address.value), privilege, kind);
    walk.physical = walk.ok ? on_bus(walk.physical.value) : PhysicalAddress();
    return walk;
}

Access<PhysicalAddress> Mmu::peek_translate(LinearAddress address) const {
    const Walk walk = peek_walk(address, Privilege::Supervisor, AccessKind::Read);
    return {walk.physical, walk.ok};
}

bool Mmu::peek(LinearAddress address, std::span<u8> bytes) const {
    while (!bytes.empty()) {
        const Access<PhysicalAddress> at = peek_translate(LinearAddress(address.value & 0xFFFFFFFF));
        const std::size_t piece = std::min<std::size_t>(bytes.size(), kPageSize - address.offset());
        if (!at.ok || !memory_.read(at.value, bytes.first(piece)))
            return false;
        bytes = bytes.subspan(piece);
        address = address + piece;
    }
    return true;
}

bool Mmu::poke_physical(PhysicalAddress address, std::span<const u8> bytes) {
    if (!memory_.write(address, bytes))
        return false;
    for (std::size_t done = 0; done < bytes.size();) {
        const PhysicalAddress at = address + done;
        const auto piece = static_cast<u32>(std::min<std::size_t>(bytes.size() - done, kPageSize - at.offset()));
        if ((memory_.flags(at.page()) & kFrameCode) != 0 && listener_ != nullptr)
            listener_->code_changed(at, piece);
        done += piece;
    }
    return true;
}

// --- State

void Mmu::serialize(Archive& ar) {
    ar.field("cr0", control_.cr0);
    ar.field("cr3", control_.cr3);
    ar.field("cr4", control_.cr4);
    ar.field("efer", control_.efer);
    ar.field("pdpte", control_.pdpte);
    ar.field("a20", a20_);
    if (ar.loading())
        tlb_.set_large_shift(control_.large_shift());
    ar.nested("tlb", tlb_);
    ar.nested("counters", counters_);
    if (!ar.hashing())
        serialize_marks(ar);
    if (ar.loading())
        drop_fronts();
}

void Mmu::serialize_marks(Archive& ar) {
    std::vector<u64> marks; // frame | levels << 32 | stores << 40
    for (u64 frame = 0; frame < tables_.size(); ++frame) {
        if (tables_[frame].levels != 0)
            marks.push_back(frame | u64{tables_[frame].levels} << 32 | u64{tables_[frame].stores} << 40);
    }
    ar.sequence("page_table_frames", marks, tables_.size());
    if (!ar.loading() || !ar.good())
        return;
    for (u64 frame = 0; frame < tables_.size(); ++frame) {
        if (tables_[frame].levels != 0)
            memory_.clear_flags(frame, kFramePageTable);
    }
    tables_.assign(tables_.size(), {});
    for (const u64 mark : marks) {
        const u64 frame = mark & 0xFFFFFFFF;
        if (frame >= tables_.size() || !memory_.is_memory(PhysicalAddress(frame << kPageShift)))
            return ar.fail("a page-table frame lies outside this machine's memory");
        tables_[frame] = {static_cast<u8>(mark >> 32 & 3), static_cast<u16>(mark >> 40)};
        memory_.set_flags(frame, kFramePageTable);
    }
}

} // namespace forkscope
