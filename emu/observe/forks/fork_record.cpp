#include "emu/observe/forks/fork_record.hpp"

#include <algorithm>
#include <array>

namespace forkscope {

const char* fork_side_name(ForkSide side) {
    constexpr std::array<const char*, 4> kNames = {"parent", "child", "other", "unknown"};
    return kNames[static_cast<u8>(side)];
}

const char* frame_act_name(FrameAct act) {
    constexpr std::array<const char*, 5> kNames = {"allocated", "freed", "shared", "released", "copied"};
    return kNames[static_cast<u8>(act)];
}

ForkCounts& ForkCounts::operator+=(const ForkCounts& more) {
    constexpr u64 ForkCounts::*kAll[] = {
        &ForkCounts::pte_writes,         &ForkCounts::pte_protects,  &ForkCounts::pte_found,
        &ForkCounts::frames_allocated,   &ForkCounts::frames_freed,  &ForkCounts::frames_shared,
        &ForkCounts::frames_released,    &ForkCounts::frames_copied, &ForkCounts::flushes,
        &ForkCounts::entries_dropped,    &ForkCounts::cr3_loads,     &ForkCounts::space_switches,
        &ForkCounts::privilege_switches, &ForkCounts::system_calls,  &ForkCounts::messages,
        &ForkCounts::tracepoints,        &ForkCounts::heap_objects,  &ForkCounts::heap_bytes,
        &ForkCounts::heap_bytes_freed};
    static_assert(sizeof kAll / sizeof kAll[0] * sizeof(u64) == sizeof(ForkCounts), "a count is missing");
    for (u64 ForkCounts::*count : kAll)
        this->*count += more.*count;
    return *this;
}

namespace {

// What lies outside of the stops of a record that has some would be nobody's.
void give_to(ForkStop& stop, const ForkCounts& counts, const RunTime& spent) {
    stop.counts += counts;
    stop.spent += spent;
}

} // namespace

void ForkRecord::append(const ForkRecord& later, std::size_t most_entries) {
    const auto before = static_cast<int>(stops.size());
    const auto add = [&](auto& list, const auto& more) {
        const std::size_t room = most_entries - std::min(most_entries, list.size());
        trimmed = trimmed || more.size() > room;
        for (std::size_t at = 0; at < std::min(room, more.size()); ++at) {
            auto row = more[at];
            row.stop = later.stops.empty() ? before - 1 : before + row.stop;
            list.push_back(row);
        }
    };
    if (stops.empty() && !later.stops.empty()) {
        ptes.set_all(&PteChange::stop, 0);
        frames.set_all(&FrameChange::stop, 0);
        flushes.set_all(&FlushChange::stop, 0);
        cr3_loads.set_all(&Cr3Change::stop, 0);
    }
    add(ptes, later.ptes);
    add(frames, later.frames);
    add(flushes, later.flushes);
    add(cr3_loads, later.cr3_loads);
    for (std::size_t at = 0; at < later.stops.size(); ++at)
        stops.push_back(later.stops[at]);
    if (before == 0 && !stops.empty())
        give_to(stops.edit(0), counts, spent);
    else if (before != 0 && later.stops.empty())
        give_to(stops.edit_back(), later.counts, later.spent);
    counts += later.counts;
    spent += later.spent;
    left_instructions = later.left_instructions;
    left_cycle = later.left_cycle;
    for (const auto& [place, time] : later.by_instruction)
        by_instruction[place] += time;
}

} // namespace forkscope
