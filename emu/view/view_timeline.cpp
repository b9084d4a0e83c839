#include "emu/view/view_timeline.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace forkscope {

namespace {

constexpr u64 kMostMarks = 1000;     // a kind, evenly over the history
constexpr u64 kOverlap = 50'000'000; // instructions for which forks that began later may run on

std::vector<TimelineMark> thinned(const std::map<u64, TimelineMark>& marks, u64 begin, u64 end) {
    std::vector<TimelineMark> shown;
    const u64 apart = std::max<u64>(1, (end - begin) / kMostMarks);
    for (auto at = marks.lower_bound(begin); at != marks.end() && at->first <= end;
         at = marks.lower_bound(at->first + apart))
        shown.push_back(at->second);
    return shown;
}

// A history of hours has more marks than a face has columns: every second one goes.
void thin(std::map<u64, TimelineMark>& marks) {
    constexpr std::size_t kMostKept = 100'000;
    if (marks.size() < kMostKept)
        return;
    for (auto at = marks.begin(); at != marks.end() && std::next(at) != marks.end(); ++at)
        at = std::prev(marks.erase(std::next(at)));
}

} // namespace

std::string TimelineMark::text() const {
    if (stop == 0)
        return fmt::format("page fault at {:08x}", address);
    const ForkStopName name = fork_stop_name(stop);
    return fmt::format("fork {}, stop {}: {}", fork, name.number, name.name);
}

void TimelineMarks::look(const Timeline& timeline, const ForkTracer* tracer) {
    if (tracer == nullptr)
        return;
    OfBranch& marks = branches_[timeline.present().id];
    const auto add = [&](const ForkRecord& fork) {
        for (const ForkStop& stop : fork.stops) {
            marks.stops[stop.reached_instructions] = {stop.reached_instructions, fork.number, stop.id, 0};
        }
        for (const ForkFault& fault : fork.faults)
            marks.faults[fault.record->begin_instructions] = {fault.record->begin_instructions, fork.number, 0,
                                                              fault.record->address};
    };
    for (auto fork = tracer->forks().rbegin(); fork != tracer->forks().rend(); ++fork) {
        if (fork->finished() && fork->left_instructions + kOverlap < marks.seen)
            break;
        add(*fork);
    }
    if (tracer->current() != nullptr)
        add(*tracer->current());
    thin(marks.stops);
    thin(marks.faults);
    marks.seen = std::max(marks.seen, timeline.position().instructions);
}

TimelineView TimelineMarks::view(const Timeline& timeline) const {
    TimelineView view;
    view.kept = true;
    view.beginning = timeline.beginning();
    view.now = timeline.position();
    view.end = timeline.end();
    view.in_past = timeline.in_past();
    view.branch = timeline.present().id;
    for (const auto& [id, branch] : timeline.branches()) {
        const u64 end = id == view.branch ? view.end.instructions : branch.end.instructions;
        view.branches.push_back({id, branch.parent, branch.from.instructions, end});
    }
    if (const auto marks = branches_.find(view.branch); marks != branches_.end()) {
        view.stops = thinned(marks->second.stops, view.beginning.instructions, view.end.instructions);
        view.faults = thinned(marks->second.faults, view.beginning.instructions, view.end.instructions);
    }
    return view;
}

} // namespace forkscope
