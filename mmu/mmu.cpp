// The doors beyond the fast table: each records what is asked, translates, tells, and moves the bytes.
#include "mmu/mmu.hpp"

#include <algorithm>

#include "emu/base/assert.hpp"
#include "mmu/mutant.hpp"

namespace forkscope {

Mmu::Mmu(PhysicalMemory& memory, Bus& bus, Tracer& tracer)
    : memory_(memory), unit_(memory, tracer), data_(memory, bus, unit_.marks()) {
    memory_.set_epoch_listener([this] {
        if (!MMU_MUTANT(WriteTagsSurviveEpoch))
            unit_.front().data().drop_write_tags();
    });
}

Mmu::~Mmu() { memory_.set_epoch_listener({}); }

// --- Control

void Mmu::write_cr0(u32 old_value, u32 new_value) {
    record(MmuRecorder::Act::Cr0, LinearAddress(), 0, new_value);
    unit_.write_cr0(old_value, new_value);
}

void Mmu::write_cr3(u32 new_value, TlbFlushReason reason) {
    const bool task_switch = reason == TlbFlushReason::TaskSwitch;
    record(task_switch ? MmuRecorder::Act::TaskSwitch : MmuRecorder::Act::Cr3, LinearAddress(), 0, new_value);
    unit_.write_cr3(new_value, reason);
}

void Mmu::write_cr4(u32 old_value, u32 new_value) {
    record(MmuRecorder::Act::Cr4, LinearAddress(), 0, new_value);
    unit_.write_cr4(old_value, new_value);
}

void Mmu::write_efer(u32 value) {
    record(MmuRecorder::Act::Efer, LinearAddress(), 0, value);
    unit_.state().set_efer(value);
}

bool Mmu::invalidate_page(LinearAddress address) {
    record(MmuRecorder::Act::InvalidatePage, address);
    return unit_.invalidate_page(address);
}

void Mmu::drop_faulting_entry(LinearAddress address) {
    record(MmuRecorder::Act::FaultDrop, address);
    unit_.drop_faulting_entry(address);
}

void Mmu::set_a20(bool enabled) {
    record(MmuRecorder::Act::A20, LinearAddress(), 0, enabled ? 1 : 0);
    unit_.set_a20(enabled);
}

// --- Who is told of accesses

void Mmu::set_listener(AccessListener* listener) {
    unit_.set_listener(listener);
    data_.set_listener(listener);
}

void Mmu::set_watches(std::span<const LinearWatch> watches) {
    if (!watches.empty() || !unit_.front().watches().empty())
        unit_.front().keep_out_watched(watches);
}

void Mmu::watch_ranges(std::span<const WatchedRange> ranges, RangeWatcher watcher) {
    range_watcher_ = std::move(watcher);
    unit_.front().keep_out_ranges(ranges);
}

void Mmu::set_alignment_check(bool enabled) {
    if (alignment_check_ == enabled)
        return;
    alignment_check_ = enabled;
    unit_.front().keep_out(TlbFront::kAlignmentChecked, enabled);
}

void Mmu::report_accesses(bool enabled) {
    data_.report_accesses(enabled);
    unit_.front().keep_out(TlbFront::kDataReported, enabled);
}

void Mmu::set_recorder(MmuRecorder* recorder) {
    recorder_ = recorder;
    unit_.front().keep_out(TlbFront::kRecorded, recorder != nullptr);
}

// --- The doors' slow halves

// Both pages, the lower first; then the alignment, which ranks below page faults (SDM 3A table 6-2).
bool Mmu::translate(Span& span, Privilege privilege, AccessKind kind) {
    span.low_size = std::min(span.size, kPageSize - span.linear.offset());
    const bool high_first = MMU_MUTANT(HighPageFirst) && span.two_pages();
    if (high_first && !unit_.translate(span.high_linear(), privilege, kind).ok)
        return false;
    const Access<PhysicalAddress> low = unit_.translate(span.linear, privilege, kind);
    if (!low.ok)
        return false;
    span.low = low.value;
    if (span.two_pages()) {
        const Access<PhysicalAddress> high = unit_.translate(span.high_linear(), privilege, kind);
        if (!high.ok)
            return false;
        span.high = high.value;
    }
    const bool checked = alignment_check_ && privilege == Privilege::User;
    const u32 size = span.size;
    if (checked && (size == 2 || size == 4 || size == 8) && (span.linear.value & (size - 1)) != 0) {
        unit_.take_alignment_fault(span.linear);
        return false;
    }
    return true;
}

// Everything that can fault, and the data breakpoints. An update begins as a write.
bool Mmu::begin(Span& span, Privilege privilege, AccessKind kind) {
    if (!translate(span, privilege, kind))
        return false;
    const auto linear = static_cast<u32>(span.linear.value);
    for (const LinearWatch& watch : unit_.front().watches()) {
        const bool overlaps = linear - watch.address < watch.size || watch.address - linear < span.size;
        if (overlaps && (kind == AccessKind::Write || watch.reads) && data_.listener() != nullptr)
            data_.listener()->breakpoint_hit(watch.number);
    }
    tell_of_range(span, kind);
    return true;
}

void Mmu::tell_of_range(const Span& span, AccessKind kind) const {
    const auto linear = static_cast<u32>(span.linear.value);
    for (const WatchedRange& range : unit_.front().ranges())
        if (range.overlaps(linear, span.size) && range_watcher_)
            return range_watcher_(span.linear, span.size, kind);
}

// Of the page's two tags the access needs the one of its kind, of all its bytes, and aligned where that is asked for.
const FastSlot* Mmu::touch_slot(FastTlb& table, u32 linear, u32 wanted, Privilege privilege, AccessKind kind) {
    const FastSlot& slot = table.slot(privilege, linear);
    if ((kind == AccessKind::Write ? slot.write_tag : slot.read_tag) != wanted)
        return nullptr;
    unit_.tlb().touch(slot.set, slot.touch);
    if (!MMU_MUTANT(RecentSurvivesTouch))
        table.make_recent(privilege, linear, slot);
    return &slot;
}

Access<u64> Mmu::load_other_way(LinearAddress address, u32 size, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot* const slot =
        touch_slot(unit_.front().data(), linear, wanted_tag(linear, size), privilege, AccessKind::Read);
    if (slot == nullptr)
        return load_slow(address, size, privilege);
    u64 value = 0;
    std::memcpy(&value, slot->host(linear), size);
    return {value, true};
}

bool Mmu::store_other_way(LinearAddress address, u32 size, u64 value, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot* const slot =
        touch_slot(unit_.front().data(), linear, wanted_tag(linear, size), privilege, AccessKind::Write);
    if (slot == nullptr)
        return store_slow(address, size, value, privilege);
    std::memcpy(slot->host(linear), &value, size);
    return true;
}

Access<u64> Mmu::load_for_update_other_way(LinearAddress address, u32 size, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot* const slot =
        touch_slot(unit_.front().data(), linear, wanted_tag(linear, size), privilege, AccessKind::Write);
    if (slot == nullptr)
        return load_for_update_slow(address, size, privilege);
    update_host_ = slot->host(linear);
    u64 value = 0;
    std::memcpy(&value, update_host_, size);
    return {value, true};
}

Access<PhysicalAddress> Mmu::fetch_other_way(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot* const slot =
        touch_slot(unit_.front().fetches(), linear, linear & ~kPageMask, privilege, AccessKind::Fetch);
    if (slot == nullptr)
        return fetch_slow(address, privilege);
    return {PhysicalAddress(slot->physical | (linear & kPageMask)), true};
}

Access<u64> Mmu::load_slow(LinearAddress address, u32 size, Privilege privilege) {
    record(MmuRecorder::Act::Load, address, size, 0, privilege);
    Span span{address, size, 0, {}, {}};
    if (!begin(span, privilege, AccessKind::Read))
        return Access<u64>::fault();
    return {data_.read(span), true};
}

bool Mmu::store_slow(LinearAddress address, u32 size, u64 value, Privilege privilege) {
    record(MmuRecorder::Act::Store, address, size, value, privilege);
    Span span{address, size, 0, {}, {}};
    if (!begin(span, privilege, AccessKind::Write))
        return false;
    data_.write(span, value);
    return true;
}

Access<u64> Mmu::load_for_update_slow(LinearAddress address, u32 size, Privilege privilege) {
    record(MmuRecorder::Act::Update, address, size, 0, privilege);
    update_host_ = nullptr;
    update_span_ = {address, size, 0, {}, {}};
    if (!begin(update_span_, privilege, AccessKind::Write))
        return Access<u64>::fault();
    tell_of_range(update_span_, AccessKind::Read);
    return {data_.read(update_span_), true};
}

void Mmu::finish_update_slow(u64 value) {
    record(MmuRecorder::Act::Finish, update_span_.linear, update_span_.size, value);
    data_.write(update_span_, value);
}

bool Mmu::probe_write_slow(LinearAddress address, u32 size, Privilege privilege) {
    EMU_ASSERT(size != 0 && size <= kPageSize, "a probe of {} bytes", size);
    const u32 linear = static_cast<u32>(address.value);
    const u32 wanted = (linear + size - 1) & ~kPageMask;
    if (touch_slot(unit_.front().data(), linear, wanted, privilege, AccessKind::Write) != nullptr)
        return true;
    record(MmuRecorder::Act::Probe, address, size, 0, privilege);
    Span span{address, size, 0, {}, {}};
    return translate(span, privilege, AccessKind::Write);
}

Access<PhysicalAddress> Mmu::fetch_slow(LinearAddress address, Privilege privilege) {
    record(MmuRecorder::Act::Fetch, address, 1, 0, privilege);
    const Access<PhysicalAddress> at = unit_.translate(address, privilege, AccessKind::Fetch);
    if (at.ok)
        data_.fetched(address, at.value);
    return at;
}

// A plain hit on plain memory or on none, or nothing at all.
u8* Mmu::bulk_slow(LinearAddress address, Privilege privilege, AccessKind kind) {
    const u32 linear = static_cast<u32>(address.value);
    if (const FastSlot* slot = touch_slot(unit_.front().data(), linear, linear & ~kPageMask, privilege, kind))
        return slot->host(linear);
    const Access<PhysicalAddress> hit = unit_.find_plain_hit(address, privilege, kind);
    const u8 slow = kind == AccessKind::Write ? static_cast<u8>(~kFrameClean) : u8{kFrameDevice | kFrameWatched};
    if (!hit.ok)
        return nullptr;
    const bool plain = (memory_.flags(hit.value.page()) & slow) == 0;
    u8* const place = plain ? memory_.host(hit.value) : data_.nobodys(hit.value, kind);
    if (place != nullptr)
        static_cast<void>(unit_.translate(address, privilege, kind)); // touches, and publishes for the next
    return place;
}

Mmu::Way Mmu::fill_way(u32 linear, u32 size, Privilege privilege, AccessKind kind) {
    if ((linear & kPageMask) + size > kPageSize)
        return {};
    const auto at = unit_.try_translate(LinearAddress(linear), privilege, kind);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    const u32 tag = kind == AccessKind::Write ? recent.write_tag : recent.read_tag;
    const bool granted = at.ok && tag == wanted_tag(linear, size);
    return {granted ? recent.host(linear) : nullptr, at.value, at.ok};
}

// --- Looking

bool Mmu::peek(LinearAddress address, std::span<u8> bytes) const {
    while (!bytes.empty()) {
        const Walk walk = paging().look(address, Privilege::Supervisor, AccessKind::Read);
        const std::size_t piece = std::min<std::size_t>(bytes.size(), kPageSize - address.offset());
        if (!walk.ok || !memory_.read(walk.physical, bytes.first(piece)))
            return false;
        bytes = bytes.subspan(piece);
        address = address + piece;
    }
    return true;
}

} // namespace forkscope
