#include <algorithm>

#include "emu/view/view.hpp"

namespace forkscope {

static ForkRow fork_row(const ForkRecord& fork, bool in_progress) {
    return {fork.number,
            fork.parent_pid,
            fork.child_pid,
            fork.failed,
            in_progress,
            fork.cow_faults(),
            fork.findings.empty() ? std::string() : fork.findings.front()};
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
    if (shown == nullptr && !tracer.forks().empty())
        shown = &tracer.forks().back();
    if (shown != nullptr) {
        view.shown = {shown->number, shown->begin_cycle, shown->left ? shown->left_cycle : from.machine.now(),
                      shown->left, shown->stops};
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
