#include "emu/observe/tables/table_map.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u64 kFrameMask = kPteFrame;
constexpr std::size_t kMostDirectories = 16384;
constexpr u64 kMostTables = u64{1} << 20; // in a section

bool leads_to_table(u64 entry, const AddressSpaceReader& reader) {
    return (entry & kPtePresent) != 0 && !reader.is_large(entry);
}

} // namespace

TableMap::TableMap(const PhysicalMemory& memory, Watch watch, const PagingControl& control)
    : reader_(memory, control), owners_(memory), watch_(std::move(watch)), kinds_(memory.frame_count(), Kind::Data) {
    owners_.set_control(control);
}

void TableMap::ask(u32 frame_address) const {
    if (watch_ && reader_.memory().is_memory(PhysicalAddress(frame_address)))
        watch_(frame_address);
}

std::vector<u64> TableMap::directories() const {
    std::vector<u64> frames;
    for (const auto& [frame, use] : directories_)
        frames.push_back(frame);
    return frames;
}

void TableMap::on_event(const TraceEvent& event) {
    const bool pae = reader_.control().pae();
    reader_.on_event(event);
    switch (event.kind) {
    case TraceKind::Cr3Load:
        active_ = reader_.space_of(event.b);
        add_space(active_, event);
        break;
    case TraceKind::ControlRegister:
        if (reader_.control().pae() != pae)
            forget_all(); // the tables of one paging mode mean nothing in the other
        owners_.set_control(reader_.control());
        break;
    case TraceKind::PteWrite:
        if (is_entry(event))
            on_entry(event);
        owners_.entry_written(PhysicalAddress(event.a));
        break;
    case TraceKind::PageTableFrame:
        owners_.table_changed(PhysicalAddress(event.a));
        break;
    case TraceKind::Tracepoint:
        if (const u32 directory = event.a == TP_CONTEXT_SWITCH ? static_cast<u32>(event.d) : stated_directory(event);
            directory != 0)
            add_space(reader_.space_of(directory), event);
        else if (event.a == TP_FRAME_FREE)
            forget(static_cast<u32>(event.b & kFrameMask));
        break;
    default:
        break;
    }
}

bool TableMap::is_entry(const TraceEvent& event) {
    // Attached in the middle of a run: the space in force is a directory too.
    if (directories_.empty())
        add_space(AddressSpace(event.address_space), event);
    return kind_of(event.a) != Kind::Data;
}

void TableMap::forget_all() {
    directories_.clear();
    tables_.clear();
    kinds_.assign(kinds_.size(), Kind::Data);
}

void TableMap::add_space(AddressSpace space, const TraceEvent& event) {
    owners_.add_space(space);
    u32 linear = 0;
    for (const u64 directory : reader_.directories(space)) {
        if (directory != 0 || !reader_.control().pae())
            add_directory(directory, space, linear, event);
        linear += 1u << 30;
    }
}

void TableMap::add_directory(u64 frame_address, AddressSpace space, u32 linear, const TraceEvent& event) {
    const auto directory = static_cast<u32>(frame_address);
    if (directory != frame_address)
        return;
    const bool loaded = event.kind == TraceKind::Cr3Load || event.address_space == space.root;
    if (is_directory(directory)) {
        if (loaded)
            own_by_loaded(directory, space);
        return;
    }
    const std::vector<u64> entries = reader_.table(directory);
    if (entries.empty())
        return;
    if (directories_.size() >= kMostDirectories)
        forget(directories_.begin()->first);
    owners_.add_space(space);
    const auto slots = static_cast<u32>(entries.size());
    u32 self = slots;
    for (u32 slot = slots; slot-- > 0 && self == slots;)
        if ((entries[slot] & kPtePresent) != 0 && (entries[slot] & kFrameMask) == directory)
            self = slot;
    tables_.erase(directory);
    directories_[directory] = {space, linear, self, loaded};
    kinds_[directory >> kPageShift] = Kind::Directory;
    ask(directory);
    if (found_)
        found_(directory, {space, LinearAddress(linear), 2}, event);
    for (u32 slot = 0; slot < slots; ++slot)
        if (leads_to_table(entries[slot], reader_))
            add_table(entries[slot] & kFrameMask, directory, slot, event);
}

// Under PAE other pointers may lead to the same directory: a copy in the kernel's data. The ones in CR3 are the space.
void TableMap::own_by_loaded(u32 directory, AddressSpace space) {
    if (directories_.at(directory).loaded)
        return;
    DirectoryUse& use = directories_.edit(directory);
    use.loaded = true;
    if (use.space == space)
        return;
    owners_.remove_space(use.space);
    if (renamed_)
        renamed_(use.space, space);
    use.space = space;
    const auto tables = tables_;
    for (const auto& [frame, table] : tables)
        if ((table.entry_address & kFrameMask) == directory)
            tables_.edit(frame).space = space;
}

bool TableMap::leads_to(u64 entry_address, u64 frame_address) const {
    return (reader_.entry(entry_address) & (kFrameMask | kPtePresent)) == (frame_address | kPtePresent);
}

void TableMap::add_table(u64 frame_address, u32 directory, u32 slot, const TraceEvent& event) {
    const auto frame = static_cast<u32>(frame_address);
    if (!reader_.memory().is_memory(PhysicalAddress(frame_address)) || is_directory(frame))
        return;
    const auto shown_by = directories_.find(directory);
    if (shown_by == directories_.end())
        return;
    const DirectoryUse parent = shown_by->second;
    if (looks_like_directory(frame, directory)) {
        const bool pae = reader_.control().pae();
        return add_directory(frame, pae ? parent.space : AddressSpace(frame), pae ? parent.linear : 0, event);
    }
    const TableUse use{parent.space, parent.linear + (slot << reader_.geometry().large_shift),
                       directory + u64{slot} * reader_.geometry().entry_bytes};
    // A table of the kernel half appears in every directory; it stays with the one that showed it first.
    if (kind_of(frame) == Kind::Table && leads_to(tables_.at(frame).entry_address, frame))
        return;
    tables_[frame] = use;
    kinds_[frame >> kPageShift] = Kind::Table;
    ask(frame);
    if (found_)
        found_(frame, {use.space, LinearAddress(use.linear), 1}, event);
}

// A directory that is shown through a window of another: both map themselves in the same slot.
bool TableMap::looks_like_directory(u64 frame_address, u32 of_directory) const {
    const auto parent = directories_.find(of_directory);
    if (parent == directories_.end() || parent->second.self_slot == reader_.geometry().entries())
        return false;
    return leads_to(frame_address + u64{parent->second.self_slot} * reader_.geometry().entry_bytes, frame_address);
}

// What a directory leads to, first: nothing will tell whose those tables were.
void TableMap::forget_with_tables(u32 directory) {
    const u32 width = reader_.geometry().entry_bytes;
    for (u32 slot = 0; slot < reader_.geometry().entries(); ++slot) {
        const u64 at = directory + u64{slot} * width;
        const auto table = tables_.find(static_cast<u32>(reader_.entry(at) & kFrameMask));
        if (table != tables_.end() && table->second.entry_address == at)
            forget(table->first);
    }
    const AddressSpace space = directories_.at(directory).space;
    forget(directory);
    if (lost_)
        lost_(space);
}

void TableMap::forget(u32 frame_address) {
    const Kind kind = kind_of(frame_address);
    if (kind == Kind::Data)
        return;
    if (kind == Kind::Directory) {
        owners_.remove_space(directories_.at(frame_address).space);
        directories_.erase(frame_address);
    } else {
        tables_.erase(frame_address);
    }
    kinds_[frame_address >> kPageShift] = Kind::Data;
}

// A kernel's code is in every space of its own; a directory that has lost it was freed, and holds data.
bool TableMap::maps_running_code(const DirectoryUse& use, const TraceEvent& event) const {
    const u64 covered = u64{reader_.geometry().entries()} << reader_.geometry().large_shift;
    if (use.space == active_ || event.eip < use.linear || event.eip - use.linear >= covered)
        return true;
    const WalkView now = reader_.walk(active_, LinearAddress(event.eip));
    const WalkView there = reader_.walk(use.space, LinearAddress(event.eip));
    return !now.present || now.user() || (there.present && !there.user() && there.frame == now.frame);
}

void TableMap::on_entry(const TraceEvent& event) {
    const u32 width = reader_.geometry().entry_bytes;
    const auto frame = static_cast<u32>(event.a & kFrameMask);
    const u64 entry = event.c;
    const u64 target = entry & kFrameMask;
    if (is_directory(frame)) {
        const u32 slot = static_cast<u32>(event.a & kPageMask) / width;
        if (target == frame && (entry & kPtePresent) != 0)
            directories_.edit(frame).self_slot = slot;
        else if (leads_to_table(entry, reader_))
            add_table(target, frame, slot, event);
        const u64 old_target = event.b & kFrameMask;
        const auto old = static_cast<u32>(old_target);
        if (old_target != target && kind_of(old) == Kind::Table &&
            tables_.at(old).entry_address == (event.a & ~u64{width - 1}))
            forget(old);
        if (is_directory(frame) && !maps_running_code(directories_.at(frame), event))
            forget_with_tables(frame);
    } else if (kind_of(frame) == Kind::Table && (entry & kPtePresent) != 0 && (entry & kPteUser) != 0 &&
               target != active_.root) {
        // A frame that a program may touch is a table no longer, whatever it was.
        forget(static_cast<u32>(target));
    }
}

EntryOwner TableMap::locate(u32 entry_address) const {
    const PagingGeometry& geometry = reader_.geometry();
    const auto frame = static_cast<u32>(entry_address & kFrameMask);
    const u32 index = (entry_address & kPageMask) / geometry.entry_bytes;
    if (is_directory(frame)) {
        const DirectoryUse& use = directories_.at(frame);
        return {use.space, LinearAddress(use.linear + (index << geometry.large_shift)), 2};
    }
    if (kind_of(frame) != Kind::Table)
        return {};
    const TableUse& use = tables_.at(frame);
    if (!leads_to(use.entry_address, frame))
        return {};
    return {use.space, LinearAddress(use.linear | index << kPageShift), 1};
}

void TableMap::DirectoryUse::serialize(Archive& ar) {
    ar.field("space", space.root);
    ar.field("linear", linear);
    ar.field("self_slot", self_slot);
    ar.field("loaded", loaded);
}

void TableMap::TableUse::serialize(Archive& ar) {
    ar.field("space", space.root);
    ar.field("linear", linear);
    ar.field("entry_address", entry_address);
}

void TableMap::State::serialize(Archive& ar) {
    ar.field("cr0", control.cr0);
    ar.field("cr3", control.cr3);
    ar.field("cr4", control.cr4);
    ar.field("efer", control.efer);
    ar.field("pdpte", control.pdpte);
    ar.field("pse36", control.features.pse36);
    ar.field("pat", control.features.pat);
    ar.field("physical_bits", control.features.physical_bits);
    ar.field("active", active.root);
    archive_map(ar, "directories", directories, kMostDirectories);
    archive_map(ar, "tables", tables, kMostTables);
    const auto lies_across = [](const auto& use) { return (use.first & kPageMask) != 0; };
    if (ar.loading() && (std::any_of(directories.begin(), directories.end(), lies_across) ||
                         std::any_of(tables.begin(), tables.end(), lies_across)))
        ar.fail("a page table that lies across frames");
    if (ar.loading() && (control.features.physical_bits < 32 || control.features.physical_bits > 52))
        ar.fail("no such width of physical addresses");
}

void TableMap::restore(const State& state) {
    reader_ = AddressSpaceReader(reader_.memory(), state.control);
    active_ = state.active;
    directories_ = state.directories;
    tables_ = state.tables;
    kinds_.assign(kinds_.size(), Kind::Data);
    const auto mark = [this](u32 frame_address, Kind kind) {
        if (frame_address >> kPageShift < kinds_.size())
            kinds_[frame_address >> kPageShift] = kind;
    };
    for (const AddressSpace space : owners_.spaces())
        owners_.remove_space(space);
    owners_.set_control(state.control);
    for (const auto& [frame, use] : directories_) {
        mark(frame, Kind::Directory);
        owners_.add_space(use.space);
    }
    for (const auto& [frame, use] : tables_)
        mark(frame, Kind::Table);
}

} // namespace forkscope
