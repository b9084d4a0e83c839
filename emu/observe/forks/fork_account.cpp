// Whose time and whose events: what the forking thread does, and what servers do for it, belongs to the fork.
#include <algorithm>

#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u8 kUserLevel = 3;

} // namespace

const ForkRecord& ForkTracer::record(u64 open) const {
    const OpenFork& fork = state_.open.at(open);
    return fork.published != 0 ? *state_.forks.find(fork.published) : fork.record;
}

ForkRecord& ForkTracer::edit_record(u64 open) {
    const u64 published = state_.open.at(open).published;
    return published != 0 ? state_.forks.edit(published) : state_.open.edit(open).record;
}

u64 ForkTracer::working() const {
    const std::pair moment{state_.context.changes(), state_.open.changes()};
    if (at_work_since_ != moment) {
        at_work_since_ = moment;
        at_work_ = find_work();
    }
    return at_work_;
}

u64 ForkTracer::find_work() const {
    const ProcessContext::Key key = state_.context.current();
    if (const u64 open = state_.open.fork_of(key); open != kNone)
        return open;
    const u32 pid = state_.context.current_pid();
    if (!state_.context.clients_of(pid).empty())
        if (const u64 open = work_of(pid); open != kNone)
            return open;
    return state_.open.call_of(key);
}

// The fork, or the system call that may turn out to be one, that a process is in or works for.
u64 ForkTracer::work_of(u32 pid) const {
    const std::vector<u32>& clients = state_.context.clients_of(pid);
    u64 oldest = kNone;
    const auto consider = [&](u32 parent) {
        for (const u64 id : state_.open.forks_of_pid(parent)) {
            // The child is told that it may begin: it does not work for its parent.
            if (parent != pid && state_.open.at(id).child_pid == pid)
                continue;
            oldest = oldest == kNone ? id : std::min(oldest, id);
            break;
        }
    };
    consider(pid);
    for (const u32 client : clients)
        consider(client);
    if (oldest != kNone)
        return oldest;
    // Nobody has said yet what it is: it is the outermost client's call.
    return state_.open.call_of_pid(clients.empty() ? pid : clients.back());
}

// Events at which somebody else begins to run, or the one who runs begins or ends some work.
bool ForkTracer::moves_work(const TraceEvent& event) {
    switch (event.kind) {
    case TraceKind::Cr3Load:
    case TraceKind::PageFault:
    case TraceKind::Interrupt:
    case TraceKind::InterruptReturn:
        return true;
    case TraceKind::Tracepoint:
        return is_fork_stop(event.a) || event.a == TP_FORK_LEAVE || event.a == TP_CONTEXT_SWITCH ||
               event.a == TP_MESSAGE || event.a == TP_NOTIFY || event.a == TP_PROCESS_START ||
               event.a == TP_PROCESS_EXIT;
    default:
        return false;
    }
}

void ForkTracer::settle_time(const TraceEvent& event) {
    const RunTime now = time_of(event);
    const RunTime spent = now - state_.settled;
    state_.settled = now;
    state_.faults.add_time(state_.context, spent);
    const u64 open = working();
    if (open == kNone)
        return;
    ForkRecord& record = edit_record(open);
    (record.stops.empty() ? record.spent : record.stops.edit_back().spent) += spent;
}

void ForkTracer::count_message(const TraceEvent& event) {
    const auto sender = static_cast<u32>(event.b);
    state_.faults.count_message(state_.context, sender);
    if (const u64 open = work_of(sender); open != kNone)
        count_in(open, [](ForkCounts& counts) { ++counts.messages; });
}

void ForkTracer::count_switch(const TraceEvent& event) {
    const bool entry = event.kind == TraceKind::Interrupt;
    const bool crosses =
        entry ? kInterruptFromCpl(event) == kUserLevel : event.b != kUserLevel && event.c == kUserLevel;
    const u64 open = crosses ? working() : kNone;
    if (open == kNone)
        return;
    count_in(open, [&](ForkCounts& counts) {
        ++counts.privilege_switches;
        counts.system_calls += is_system_call(event) ? 1 : 0;
    });
}

void ForkTracer::on_heap(const TraceEvent& event) {
    const u64 open = working();
    if (open == kNone)
        return;
    const bool taken = event.a == TP_HEAP_ALLOC;
    count_in(open, [&](ForkCounts& counts) {
        counts.heap_objects += taken ? 1 : 0;
        (taken ? counts.heap_bytes : counts.heap_bytes_freed) += event.c;
    });
}

void ForkTracer::on_shadow(const TraceEvent& event) {
    const auto pid = static_cast<u32>(event.b);
    const u64 open = working();
    ShadowCounts* counts = nullptr;
    if (open != kNone && record(open).number != 0)
        counts = &edit_record(open).shadows_inside;
    const std::vector<u64> followed = counts == nullptr ? followed_.of_pid(pid) : std::vector<u64>{};
    for (auto number = followed.rbegin(); counts == nullptr && number != followed.rend(); ++number) {
        const ForkRecord& fork = *state_.forks.find(*number);
        if ((fork.child_pid == pid && !fork.child_ended) || (fork.parent_pid == pid && !fork.parent_ended))
            counts = &state_.forks.edit(*number).shadows_after;
    }
    if (counts == nullptr)
        return;
    counts->created += event.a == TP_SHADOW_CREATE ? 1 : 0;
    counts->collapsed += event.a == TP_SHADOW_COLLAPSE ? 1 : 0;
    counts->bypassed += event.a == TP_SHADOW_BYPASS ? 1 : 0;
    counts->longest_chain = std::max(counts->longest_chain, event.d);
}

} // namespace forkscope
