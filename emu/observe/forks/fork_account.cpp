// Whose time and whose events: what the forking thread does, and what servers do for it, belongs to the fork.
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u8 kUserLevel = 3;

} // namespace

const ForkTracer::Open* ForkTracer::working() const {
    const ProcessContext::Key key = context_.current();
    for (const Open& open : open_)
        if (open.key == key || open.helper == key)
            return &open;
    const u32 pid = context_.current_pid();
    if (!context_.clients_of(pid).empty())
        if (const Open* open = work_of(pid); open != nullptr)
            return open;
    for (const Open& call : calls_)
        if (call.key == key)
            return &call;
    return nullptr;
}

// The fork, or the system call that may turn out to be one, that a process is in or works for.
const ForkTracer::Open* ForkTracer::work_of(u32 pid) const {
    const std::vector<u32>& clients = context_.clients_of(pid);
    for (const Open& open : open_) {
        const u32 parent = open.record.parent_pid;
        if (pid == parent)
            return &open;
        // The child is told that it may begin: it does not work for its parent.
        if (pid == open.record.child_pid)
            continue;
        for (const u32 client : clients)
            if (client == parent)
                return &open;
    }
    // Nobody has said yet what it is: it is the outermost client's call.
    const u32 outermost = clients.empty() ? pid : clients.back();
    for (const Open& call : calls_)
        if (call.record.parent_pid == outermost)
            return &call;
    return nullptr;
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
    const RunTime spent = now - settled_;
    settled_ = now;
    faults_.add_time(context_, spent);
    Open* open = working();
    if (open == nullptr)
        return;
    ForkRecord& record = open->record;
    (record.stops.empty() ? record.spent : record.stops.back().spent) += spent;
}

void ForkTracer::count_message(const TraceEvent& event) {
    const auto sender = static_cast<u32>(event.b);
    faults_.count_message(context_, sender);
    if (Open* open = work_of(sender); open != nullptr)
        count_in(open->record, [](ForkCounts& counts) { ++counts.messages; });
}

void ForkTracer::count_switch(const TraceEvent& event) {
    const bool entry = event.kind == TraceKind::Interrupt;
    const bool crosses =
        entry ? kInterruptFromCpl(event) == kUserLevel : event.b != kUserLevel && event.c == kUserLevel;
    Open* open = crosses ? working() : nullptr;
    if (open == nullptr)
        return;
    count_in(open->record, [&](ForkCounts& counts) {
        ++counts.privilege_switches;
        counts.system_calls += is_system_call(event) ? 1 : 0;
    });
}

void ForkTracer::on_heap(const TraceEvent& event) {
    Open* open = working();
    if (open == nullptr)
        return;
    const bool taken = event.a == TP_HEAP_ALLOC;
    count_in(open->record, [&](ForkCounts& counts) {
        counts.heap_objects += taken ? 1 : 0;
        (taken ? counts.heap_bytes : counts.heap_bytes_freed) += event.c;
    });
}

void ForkTracer::on_shadow(const TraceEvent& event) {
    const auto pid = static_cast<u32>(event.b);
    ShadowCounts* counts = nullptr;
    if (Open* open = working(); open != nullptr && open->record.number != 0)
        counts = &open->record.shadows_inside;
    for (auto fork = active_.rbegin(); counts == nullptr && fork != active_.rend(); ++fork)
        if (((*fork)->child_pid == pid && !(*fork)->child_ended) ||
            ((*fork)->parent_pid == pid && !(*fork)->parent_ended))
            counts = &(*fork)->shadows_after;
    if (counts == nullptr)
        return;
    counts->created += event.a == TP_SHADOW_CREATE ? 1 : 0;
    counts->collapsed += event.a == TP_SHADOW_COLLAPSE ? 1 : 0;
    counts->bypassed += event.a == TP_SHADOW_BYPASS ? 1 : 0;
    counts->longest_chain = std::max(counts->longest_chain, event.d);
}

} // namespace forkscope
