#include "mmu/table_marks.hpp"

#include <array>

#include "mmu/page_walk.hpp"

namespace forkscope {

TableMarks::TableMarks(PhysicalMemory& memory, const PagingState& paging, FastTlb& data_front, Tracer& tracer)
    : memory_(memory), paging_(paging), data_front_(data_front), tracer_(tracer), marks_(memory.frame_count()) {}

void TableMarks::mark_anew(u64 frame, u8 level, PhysicalAddress by) {
    if (frame >= marks_.size() || !memory_.is_memory(PhysicalAddress(frame << kPageShift)))
        return;
    Mark& mark = marks_[frame];
    mark.stores = 0;
    if (level == 1)
        mark.entry = static_cast<u32>(by.value);
    mark.levels = static_cast<u8>(mark.levels | level);
    memory_.set_flags(frame, kFramePageTable);
    data_front_.drop_write_tags_of_frame(frame);
    tracer_.emit(TraceKind::PageTableFrame, frame << kPageShift, level);
    if (level != 2)
        return;
    const u8* table = memory_.host(PhysicalAddress(frame << kPageShift));
    const u32 width = paging_.control().entry_bytes();
    for (u32 offset = 0; offset < kPageSize; offset += width) {
        u64 entry = 0;
        std::memcpy(&entry, table + offset, width);
        mark_target(PhysicalAddress((frame << kPageShift) + offset), entry);
    }
}

// What a present entry of a directory leads to.
void TableMarks::mark_target(PhysicalAddress at, u64 directory_entry) {
    if ((directory_entry & kPtePresent) != 0 && !is_large(directory_entry, 2, paging_.control()))
        mark(paging_.on_bus(directory_entry & kPteFrame).page(), 1, at);
}

bool TableMarks::leads_to(u64 entry_address, u64 frame) const {
    if (entry_address == 0 || !memory_.is_memory(PhysicalAddress(entry_address)))
        return false;
    u64 entry = 0;
    std::memcpy(&entry, memory_.host(PhysicalAddress(entry_address)), paging_.control().entry_bytes());
    return (entry & kPtePresent) != 0 && !is_large(entry, 2, paging_.control()) &&
           paging_.on_bus(entry & kPteFrame).page() == frame;
}

bool TableMarks::is_root(u64 frame) const {
    const PagingControl& control = paging_.control();
    if (!control.pae())
        return control.space_of(control.cr3).root >> kPageShift == frame;
    for (const u64 entry : control.pdpte)
        if ((entry & kPtePresent) != 0 && paging_.on_bus(entry & kPteFrame).page() == frame)
            return true;
    return false;
}

bool TableMarks::in_use(u64 frame) const {
    const Mark& mark = marks_[frame];
    if ((mark.levels & 1) != 0 && leads_to(mark.entry, frame))
        return true;
    if ((mark.levels & 2) == 0)
        return false;
    if (is_root(frame))
        return true;
    const u32 width = paging_.control().entry_bytes();
    for (u64 at = frame << kPageShift; at < (frame + 1) << kPageShift; at += width) {
        u64 entry = 0;
        std::memcpy(&entry, memory_.host(PhysicalAddress(at)), width);
        const u64 target = paging_.on_bus(entry & kPteFrame).page();
        if ((entry & kPtePresent) != 0 && target < marks_.size() && (marks_[target].levels & 1) != 0 &&
            marks_[target].entry == at)
            return true;
    }
    return false;
}

void TableMarks::mark_space(AddressSpace space) {
    if (!paging_.control().pae())
        return mark(space.root >> kPageShift, 2);
    for (const u64 entry : paging_.read_pdptes(space))
        if ((entry & kPtePresent) != 0)
            mark(paging_.on_bus(entry & kPteFrame).page(), 2);
}

void TableMarks::assume(u64 frame) {
    if (marks_[frame].levels == 0)
        marks_[frame].levels = 1;
}

void TableMarks::forget(u64 frame) {
    marks_[frame] = {};
    memory_.clear_flags(frame, kFramePageTable);
}

void TableMarks::forget_all() {
    for (u64 frame = 0; frame < marks_.size(); ++frame) {
        if (marks_[frame].levels != 0)
            forget(frame);
    }
}

// As wide as the mode has entries; each width is read as such, so that the host need not wait for what was just
// written.
u64 TableMarks::entry_of(u64 at) const {
    const u8* const place = memory_.host(PhysicalAddress(at));
    if (paging_.control().entry_bytes() == sizeof(u32)) {
        u32 entry = 0;
        std::memcpy(&entry, place, sizeof entry);
        return entry;
    }
    u64 entry = 0;
    std::memcpy(&entry, place, sizeof entry);
    return entry;
}

void TableMarks::store(PhysicalAddress at, u32 size, const u8* bytes) {
    const u32 width = paging_.control().entry_bytes();
    const u64 first = at.value & ~u64{width - 1};
    const u64 last = (at.value + size - 1) & ~u64{width - 1};
    std::array<u64, 3> old_entries{};
    for (u64 entry_at = first; entry_at <= last; entry_at += width)
        old_entries[(entry_at - first) / width] = entry_of(entry_at);
    std::memcpy(memory_.host(at), bytes, size);
    const u8 used_as = marks_[at.page()].levels;
    const u64 level = (used_as & 2) != 0 ? 2 : used_as;
    for (u64 entry_at = first; entry_at <= last; entry_at += width) {
        const u64 entry = entry_of(entry_at);
        tracer_.emit(TraceKind::PteWrite, entry_at, old_entries[(entry_at - first) / width], entry, level);
        if (level == 2)
            mark_target(PhysicalAddress(entry_at), entry);
    }
    count_store(at.page());
}

// A frame that is stored to again and again and never walked through has become data.
void TableMarks::count_store(u64 frame) {
    if (++marks_[frame].stores >= kMostStores)
        forget(frame);
}

void TableMarks::serialize(Archive& ar) {
    std::vector<u64> saved; // frame | levels << 32 | stores << 40
    std::vector<u32> entries;
    for (u64 frame = 0; frame < marks_.size(); ++frame) {
        if (marks_[frame].levels == 0)
            continue;
        saved.push_back(frame | u64{marks_[frame].levels} << 32 | u64{marks_[frame].stores} << 40);
        entries.push_back(marks_[frame].entry);
    }
    ar.sequence("page_table_frames", saved, marks_.size());
    ar.sequence("led_by", entries, marks_.size());
    if (!ar.loading() || !ar.good())
        return;
    if (entries.size() != saved.size())
        return ar.fail("page-table frames and what leads to them differ in number");
    forget_all();
    auto entry = entries.begin();
    for (const u64 mark : saved) {
        const u64 frame = mark & 0xFFFFFFFF;
        if (frame >= marks_.size() || !memory_.is_memory(PhysicalAddress(frame << kPageShift)))
            return ar.fail("a page-table frame lies outside this machine's memory");
        const auto levels = static_cast<u8>(mark >> 32 & 3);
        if (levels == 0)
            return ar.fail("a page-table frame of no level");
        marks_[frame] = {levels, static_cast<u16>(mark >> 40), *entry++};
        memory_.set_flags(frame, kFramePageTable);
    }
}

} // namespace forkscope
