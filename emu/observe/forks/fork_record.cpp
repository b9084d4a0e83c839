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

void ForkRecord::append(const ForkRecord& later, std::size_t most_entries) {
    const auto add = [&](auto& list, const auto& more) {
        const std::size_t room = most_entries - std::min(most_entries, list.size());
        trimmed = trimmed || more.size() > room;
        for (std::size_t at = 0; at < std::min(room, more.size()); ++at)
            list.push_back(more[at]);
    };
    add(ptes, later.ptes);
    add(frames, later.frames);
    add(flushes, later.flushes);
    add(cr3_loads, later.cr3_loads);
    counts += later.counts;
    spent += later.spent;
    left_instructions = later.left_instructions;
    left_cycle = later.left_cycle;
    for (const auto& [place, time] : later.by_instruction)
        by_instruction[place] += time;
}

} // namespace forkscope
