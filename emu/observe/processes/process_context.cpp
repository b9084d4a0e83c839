#include "emu/observe/processes/process_context.hpp"

#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

// More contexts than any guest has alive; beyond it the oldest sums are dropped.
constexpr std::size_t kMostContexts = 65536;

u64 space_key(u64 address_space) { return u64{1} << 63 | address_space; }

} // namespace

void ProcessContext::on_event(const TraceEvent& event) {
    if (!started_) {
        started_ = true;
        current_ = space_key(event.address_space);
        since_ = time_of(event);
    }
    if (event.kind == TraceKind::Cr3Load && !stated_) {
        switch_to(space_key(event.b & ~u64{31}), event);
    } else if (event.kind == TraceKind::Tracepoint) {
        on_tracepoint(event);
    }
}

void ProcessContext::on_tracepoint(const TraceEvent& event) {
    const auto first = static_cast<u32>(event.b);
    const auto second = static_cast<u32>(event.c);
    const auto directory = static_cast<u32>(event.d);
    switch (event.a) {
    case TP_CONTEXT_SWITCH:
        stated_ = true;
        pid_ = first;
        thread_ = second;
        switch_to(first_key(pid_) | thread_, event);
        if (directory != 0)
            pids_[directory] = first;
        break;
    case TP_PROCESS_START:
        work_.started(first, second);
        [[fallthrough]];
    case TP_PROCESS_EXEC:
        if (directory != 0)
            pids_[directory] = first;
        break;
    case TP_PROCESS_EXIT:
        work_.ended(first);
        break;
    case TP_MESSAGE:
        work_.delivered(first, second);
        break;
    case TP_NOTIFY:
        work_.notified(first, second);
        break;
    default:
        break;
    }
    if (pids_.size() > kMostContexts)
        pids_.erase(pids_.begin());
}

void ProcessContext::switch_to(Key key, const TraceEvent& now) {
    if (key == current_)
        return;
    totals_[current_] += time_of(now) - since_;
    if (totals_.size() > kMostContexts)
        totals_.erase(totals_.begin());
    current_ = key;
    since_ = time_of(now);
}

RunTime ProcessContext::run_time(Key key, const TraceEvent& now) const {
    const auto found = totals_.find(key);
    RunTime time = found == totals_.end() ? RunTime{} : found->second;
    if (key == current_)
        time += time_of(now) - since_;
    return time;
}

u32 ProcessContext::pid_of(u32 address_space) const {
    const auto found = pids_.find(address_space);
    return found == pids_.end() ? 0 : found->second;
}

u32 ProcessContext::space_of(u32 pid) const {
    for (const auto& [space, owner] : pids_)
        if (owner == pid)
            return space;
    return 0;
}

} // namespace forkscope
