#include "emu/observe/table_map.hpp"

#include <array>

#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u32 kSlots = 1024;
constexpr u32 kFrameMask = ~kPageMask;
constexpr std::size_t kMostDirectories = 16384;

bool leads_to_table(u32 entry, bool large_pages) {
    return (entry & kPtePresent) != 0 && !(large_pages && (entry & kPteLarge) != 0);
}

} // namespace

TableMap::TableMap(const PhysicalMemory& memory, Watch watch)
    : reader_(memory), watch_(std::move(watch)), in_use_(memory.frame_count(), 0) {}

void TableMap::ask(u32 frame_address) const {
    if (watch_ && reader_.memory().is_memory(PhysicalAddress(frame_address)))
        watch_(frame_address);
}

void TableMap::watch_again() const {
    for (const auto& [frame, slot] : directories_)
        ask(frame);
    for (const auto& [frame, use] : tables_)
        ask(frame);
}

std::vector<u32> TableMap::directories() const {
    std::vector<u32> frames;
    for (const auto& [frame, slot] : directories_)
        frames.push_back(frame);
    return frames;
}

void TableMap::on_event(const TraceEvent& event) {
    switch (event.kind) {
    case TraceKind::Cr3Load:
        active_ = static_cast<u32>(event.b) & kFrameMask;
        add_directory(active_, event);
        break;
    case TraceKind::ControlRegister:
        if (event.a == 4)
            reader_.set_large_pages((event.c & kCr4Pse) != 0);
        break;
    case TraceKind::PteWrite:
        if (is_entry(event))
            on_entry(event);
        break;
    case TraceKind::Tracepoint:
        if ((event.a == TP_FORK_ADDRESS_SPACE || event.a == TP_FORK_RUNNABLE || event.a == TP_PROCESS_START ||
             event.a == TP_PROCESS_EXEC || event.a == TP_CONTEXT_SWITCH) &&
            event.d != 0)
            add_directory(static_cast<u32>(event.d) & kFrameMask, event);
        else if (event.a == TP_FRAME_FREE)
            forget(static_cast<u32>(event.b) & kFrameMask);
        break;
    default:
        break;
    }
}

bool TableMap::is_entry(const TraceEvent& event) {
    // Attached in the middle of a run: the space in force is a directory too.
    if (directories_.empty())
        add_directory(event.address_space & kFrameMask, event);
    const u64 frame = event.a >> kPageShift;
    return frame < in_use_.size() && in_use_[frame] != 0;
}

void TableMap::add_directory(u32 directory, const TraceEvent& event) {
    std::array<u32, kSlots> entries;
    if (directories_.count(directory) != 0 || !reader_.table(directory, entries))
        return;
    if (directories_.size() >= kMostDirectories)
        forget(directories_.begin()->first);
    u32 self = kSlots;
    for (u32 slot = kSlots; slot-- > 0 && self == kSlots;)
        if ((entries[slot] & kPtePresent) != 0 && (entries[slot] & kFrameMask) == directory)
            self = slot;
    tables_.erase(directory);
    directories_[directory] = self;
    in_use_[directory >> kPageShift] = 1;
    ask(directory);
    if (found_)
        found_(directory, {directory, 0, 2}, event);
    for (u32 slot = 0; slot < kSlots; ++slot)
        if (leads_to_table(entries[slot], reader_.large_pages()))
            add_table(entries[slot] & kFrameMask, directory, slot, event);
}

void TableMap::add_table(u32 frame_address, u32 directory, u32 slot, const TraceEvent& event) {
    if (directories_.count(frame_address) != 0)
        return;
    if (looks_like_directory(frame_address, directory)) {
        add_directory(frame_address, event);
        return;
    }
    if (!reader_.memory().is_memory(PhysicalAddress(frame_address)))
        return;
    // A table of the kernel half appears in every directory; it stays with the one that showed it first.
    const auto [place, fresh] = tables_.try_emplace(frame_address, TableUse{directory, slot});
    if (!fresh) {
        const u32 there = reader_.word(place->second.directory + u64{place->second.slot} * 4);
        if ((there & kPtePresent) != 0 && (there & kFrameMask) == frame_address)
            return;
        place->second = {directory, slot};
    }
    in_use_[frame_address >> kPageShift] = 1;
    ask(frame_address);
    if (found_)
        found_(frame_address, {directory, slot << 22, 1}, event);
}

// A directory that is shown through a window of another: both map themselves in the same slot.
bool TableMap::looks_like_directory(u32 frame_address, u32 of_directory) const {
    const auto parent = directories_.find(of_directory);
    if (parent == directories_.end() || parent->second == kSlots)
        return false;
    const u32 entry = reader_.word(frame_address + u64{parent->second} * 4);
    return (entry & kPtePresent) != 0 && (entry & kFrameMask) == frame_address;
}

void TableMap::forget(u32 frame_address) {
    directories_.erase(frame_address);
    tables_.erase(frame_address);
    if (frame_address >> kPageShift < in_use_.size())
        in_use_[frame_address >> kPageShift] = 0;
}

void TableMap::on_entry(const TraceEvent& event) {
    const auto entry_address = static_cast<u32>(event.a);
    const auto entry = static_cast<u32>(event.c);
    const u32 frame = entry_address & kFrameMask;
    const u32 target = entry & kFrameMask;
    if (const auto self = directories_.find(frame); self != directories_.end()) {
        const u32 slot = (entry_address & kPageMask) / 4;
        if (target == frame && (entry & kPtePresent) != 0)
            self->second = slot;
        else if (leads_to_table(entry, reader_.large_pages()))
            add_table(target, frame, slot, event);
        const u32 old_target = static_cast<u32>(event.b) & kFrameMask;
        const auto old = tables_.find(old_target);
        if (old_target != target && old != tables_.end() && old->second.directory == frame && old->second.slot == slot)
            forget(old_target);
    } else if (tables_.count(frame) != 0 && (entry & kPtePresent) != 0 && (entry & kPteUser) != 0 &&
               target != active_) {
        // A frame that a program may touch is a table no longer, whatever it was.
        forget(target);
    }
}

EntryOwner TableMap::locate(u32 entry_address) const {
    const u32 frame = entry_address & kFrameMask;
    const u32 index = (entry_address & kPageMask) / 4;
    if (directories_.count(frame) != 0)
        return {frame, index << 22, 2};
    const auto use = tables_.find(frame);
    if (use == tables_.end())
        return {};
    const u32 there = reader_.word(use->second.directory + u64{use->second.slot} * 4);
    if ((there & kPtePresent) == 0 || (there & kFrameMask) != frame)
        return {};
    return {use->second.directory, use->second.slot << 22 | index << kPageShift, 1};
}

} // namespace forkscope
