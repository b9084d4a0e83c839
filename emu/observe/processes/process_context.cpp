#include "emu/observe/processes/process_context.hpp"

#include "emu/base/archive/containers.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kMostSpaces = 65536; // more than any guest has alive

} // namespace

void ProcessContext::on_event(const TraceEvent& event) {
    if (!started_) {
        started_ = true;
        ++changes_;
        current_ = space_key(event.address_space);
    }
    if (event.kind == TraceKind::Cr3Load && !stated_) {
        ++changes_;
        current_ = space_key(static_cast<u32>(event.b & ~u64{31}));
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
        ++changes_;
        stated_ = true;
        pid_ = first;
        thread_ = second;
        current_ = first_key(pid_) | thread_;
        if (directory != 0)
            set_pid(directory, first);
        break;
    case TP_PROCESS_START:
        ++changes_;
        work_.started(first, second);
        [[fallthrough]];
    case TP_PROCESS_EXEC:
        if (directory != 0)
            set_pid(directory, first);
        break;
    case TP_PROCESS_EXIT:
        ++changes_;
        work_.ended(first);
        break;
    case TP_MESSAGE:
        ++changes_;
        work_.delivered(first, second);
        break;
    case TP_NOTIFY:
        ++changes_;
        work_.notified(first, second);
        break;
    default:
        break;
    }
}

void ProcessContext::set_pid(u32 address_space, u32 pid) {
    forget_space(address_space);
    for (u32 older = space_of(pid); older != 0; older = space_of(pid)) // exec has left it behind
        forget_space(older);
    if (pids_.size() >= kMostSpaces)
        forget_space(pids_.begin()->first);
    pids_[address_space] = pid;
    spaces_.insert({pid, address_space});
}

void ProcessContext::forget_space(u32 address_space) {
    const auto found = pids_.find(address_space);
    if (found == pids_.end())
        return;
    spaces_.erase({found->second, address_space});
    pids_.erase(address_space);
}

u32 ProcessContext::pid_of(u32 address_space) const {
    const auto found = pids_.find(address_space);
    return found == pids_.end() ? 0 : found->second;
}

u32 ProcessContext::space_of(u32 pid) const {
    const auto first = spaces_.lower_bound({pid, 0});
    return first != spaces_.end() && first->first == pid ? first->second : 0;
}

void RunTime::serialize(Archive& ar) {
    ar.field("instructions", instructions);
    ar.field("cycles", cycles);
    ar.field("by_cause", by_cause);
}

void ProcessContext::serialize(Archive& ar) {
    ar.field("stated", stated_);
    ar.field("started", started_);
    ar.field("pid", pid_);
    ar.field("thread", thread_);
    ar.field("current", current_);
    archive_map(ar, "pids", pids_, kMostSpaces);
    ar.nested("work", work_);
    if (!ar.loading())
        return;
    spaces_.clear();
    for (const auto& [space, pid] : pids_)
        spaces_.insert({pid, space});
}

} // namespace forkscope
