#include "emu/debug/guest_threads.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u32 kFurther = 0x10000; // a process's further threads
constexpr u32 kMostFurther = 64;

} // namespace

TraceKinds GuestThreads::kinds() const { return trace_kinds({TraceKind::Tracepoint, TraceKind::Cr3Load}); }

void GuestThreads::on_event(const TraceEvent& event) {
    if (event.kind == TraceKind::Tracepoint)
        on_tracepoint(event);
    else if (event.kind == TraceKind::Cr3Load && !state_.stated)
        on_space(machine_.mmu().control().space_of(static_cast<u32>(event.b)).root);
}

void GuestThreads::on_tracepoint(const TraceEvent& event) {
    const auto pid = static_cast<u32>(event.b);
    switch (event.a) {
    case TP_PROCESS_START:
    case TP_PROCESS_EXEC:
        if (!state_.stated) { // what was taken for threads were spaces
            state_ = {};
            state_.stated = true;
        }
        add(pid == 0 ? kKernel : pid, pid);
        for (auto& [id, thread] : state_.threads)
            if (thread.pid == pid && event.d != 0)
                thread.root = static_cast<u32>(event.d);
        break;
    case TP_PROCESS_EXIT:
        std::erase_if(state_.threads, [pid](const auto& entry) { return entry.second.pid == pid; });
        break;
    case TP_CONTEXT_SWITCH:
        on_switch(event);
        break;
    default:
        break;
    }
}

// Stated by the thread that gives up the processor, on its own stack.
void GuestThreads::on_switch(const TraceEvent& event) {
    if (!state_.stated)
        state_ = {};
    state_.stated = true;
    keep_registers(state_.current, event.eip);
    state_.current = id_of(static_cast<u32>(event.b), static_cast<u32>(event.c));
    if (event.d != 0)
        add(state_.current, static_cast<u32>(event.b)).root = static_cast<u32>(event.d);
}

void GuestThreads::on_space(u32 root) {
    const auto known = std::find_if(state_.threads.begin(), state_.threads.end(),
                                    [root](const auto& entry) { return entry.second.root == root; });
    if (known != state_.threads.end()) {
        state_.current = known->first;
        return;
    }
    state_.current = ++state_.last_space;
    add(state_.current, 0).root = root;
}

void GuestThreads::keep_registers(u32 id, u32 linear_eip) {
    const auto found = state_.threads.find(id);
    if (found == state_.threads.end())
        return;
    const CpuState& r = machine_.registers();
    GuestThread& thread = found->second;
    thread.kept = true;
    for (u8 i = 0; i < 8; ++i)
        thread.registers[i] = r.reg<u32>(i);
    thread.registers[8] = linear_eip;
    thread.registers[9] = r.eflags();
    constexpr u8 kOrder[] = {kCs, kSs, kDs, kEs, kFs, kGs};
    for (std::size_t i = 0; i < std::size(kOrder); ++i)
        thread.registers[10 + i] = r.segments[kOrder[i]].selector;
}

// The first of those that do not run makes room.
GuestThread& GuestThreads::add(u32 id, u32 pid) {
    if (state_.threads.count(id) == 0 && state_.threads.size() >= kMost)
        state_.threads.erase(state_.threads.begin()->first == state_.current ? std::next(state_.threads.begin())
                                                                             : state_.threads.begin());
    GuestThread& thread = state_.threads[id];
    thread.id = id;
    thread.pid = pid;
    return thread;
}

// A process's first thread bears the pid alone.
u32 GuestThreads::id_of(u32 pid, u32 number) {
    const u32 first = pid == 0 ? kKernel : pid & (kFurther - 1);
    for (u32 further = 0; further < kMostFurther; ++further) {
        const u32 id = first + further * kFurther;
        const auto found = state_.threads.find(id);
        if (found != state_.threads.end() && found->second.number != 0 && found->second.number != number)
            continue;
        add(id, pid).number = number;
        return id;
    }
    return first;
}

GuestThread GuestThreads::current() const {
    const auto found = state_.threads.find(state_.current);
    GuestThread thread = found != state_.threads.end() ? found->second : GuestThread{};
    thread.id = state_.current;
    thread.root =
        machine_.mmu().control().paging() ? machine_.mmu().control().space_of(machine_.registers().cr3).root : 0;
    return thread;
}

std::vector<GuestThread> GuestThreads::all() const {
    std::vector<GuestThread> threads;
    for (const auto& [id, thread] : state_.threads)
        if (id != state_.current)
            threads.push_back(thread);
    const GuestThread running = current();
    threads.insert(std::upper_bound(threads.begin(), threads.end(), running,
                                    [](const GuestThread& a, const GuestThread& b) { return a.id < b.id; }),
                   running);
    return threads;
}

std::optional<GuestThread> GuestThreads::find(u32 id) const {
    if (id == state_.current)
        return current();
    const auto found = state_.threads.find(id);
    return found == state_.threads.end() ? std::nullopt : std::optional(found->second);
}

void GuestThread::serialize(Archive& ar) {
    ar.field("id", id);
    ar.field("pid", pid);
    ar.field("number", number);
    ar.field("root", root);
    ar.field("kept", kept);
    ar.field("registers", registers);
}

void GuestThreads::State::serialize(Archive& ar) {
    ar.field("stated", stated);
    ar.field("current", current);
    ar.field("last_space", last_space);
    archive_map(ar, "threads", threads, kMost);
}

} // namespace forkscope
