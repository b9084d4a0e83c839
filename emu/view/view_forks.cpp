#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

static std::string side_name(u32 pid, u32 directory) {
    return pid != 0 ? fmt::format("{}", pid) : directory != 0 ? fmt::format("{:08x}", directory) : "…";
}

ForkRow fork_row(const ForkRecord& fork, bool in_progress) {
    return {fork.number,
            side_name(fork.parent_pid, fork.parent_directory),
            fork.failed ? "failed" : side_name(fork.child_pid, fork.child_directory),
            in_progress,
            fork.cow_faults(),
            fork.findings.empty() ? std::string() : fork.findings.front(),
            fork.begin_instructions};
}

ForksView observe_forks(const Observed& from) {
    ForksView view;
    if (from.tracer == nullptr)
        return view;
    const ForkTracer& tracer = *from.tracer;
    view.since_snapshot = from.since_snapshot();
    const ForkRecord* current = tracer.current();
    if (current != nullptr)
        view.rows.push_back(fork_row(*current, true));
    for (auto fork = tracer.forks().rbegin(); fork != tracer.forks().rend() && view.rows.size() < kMostRows; ++fork)
        view.rows.push_back(fork_row(*fork, false));
    view.count = tracer.forks().size() + (current != nullptr ? 1 : 0);
    const ForkRecord* shown = shown_fork(tracer);
    if (shown != nullptr) {
        view.shown = {shown->number, shown->begin_cycle, shown->left ? shown->left_cycle : from.machine.now(),
                      shown->left, shown->stops.to_vector()};
        if (!shown->left && !view.shown.stops.empty()) {
            ForkStop& running = view.shown.stops.back();
            running.end_cycle = from.machine.now();
            if (shown == current)
                running.spent.cycles += running.end_cycle - std::min(running.end_cycle, tracer.accounted());
        }
    }
    return view;
}

} // namespace forkscope
