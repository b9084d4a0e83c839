// Processes, and what the stepper remembers; the last events.
#include <algorithm>
#include <map>

#include "emu/base/text/words.hpp"
#include "emu/trace/trace_text.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

ProcessesView observe_processes(const Observed& from) {
    ProcessesView view;
    if (from.tracer == nullptr)
        return view;
    const ForkTracer& tracer = *from.tracer;
    std::map<u32, const ForkRecord*> by_pid, by_directory;
    const auto add = [&](const ForkRecord& fork) {
        if (fork.child_pid != 0)
            by_pid[fork.child_pid] = &fork;
        if (fork.child_directory != 0)
            by_directory[fork.child_directory] = &fork;
    };
    for (const ForkRecord& fork : tracer.forks())
        add(fork);
    if (tracer.current() != nullptr)
        add(*tracer.current());
    for (const AddressSpace space : tracer.tables().owners().spaces()) {
        ProcessRow row;
        row.space = space.root;
        row.pid = tracer.context().pid_of(space.root);
        row.program = from.symbols.program_of(space.root);
        row.loaded = space.root == from.space();
        row.followed = from.choices != nullptr && from.choices->followed && from.shown_space() == space.root;
        const auto& made = row.pid != 0 ? by_pid : by_directory;
        if (const auto fork = made.find(row.pid != 0 ? row.pid : row.space); fork != made.end()) {
            row.fork = fork->second->number;
            row.born = fork->second->begin_instructions;
        }
        view.rows.push_back(std::move(row));
    }
    std::sort(view.rows.begin(), view.rows.end(), [](const ProcessRow& a, const ProcessRow& b) {
        return std::pair(a.pid == 0, std::pair(a.pid, a.space)) < std::pair(b.pid == 0, std::pair(b.pid, b.space));
    });
    return view;
}

EventsView observe_events(const Observed& from) {
    EventsView view;
    if (from.events == nullptr)
        return view;
    const std::vector<TraceEvent> events = from.events->events();
    u64 after = from.machine.instructions();
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
        if (event->instructions > after || event->kind == TraceKind::None)
            break; // of another time: the machine has gone back since
        after = event->instructions;
        EventRow row{*event, trace_event_line(*event), from.symbols.lookup(event->address_space, event->eip).name()};
        // "instructions cycle eip cr3 cpl kind …": the panel has columns for the first ones.
        std::string_view rest = row.text;
        for (int i = 0; i < 5; ++i)
            rest = first_word(rest).second;
        row.text = std::string(rest);
        view.rows.push_back(std::move(row));
    }
    return view;
}

PointsView observe_points(Stepper& stepper) {
    PointsView view;
    for (const StepBreakpoint& one : stepper.breakpoints())
        view.breakpoints.push_back({one.number, one.condition, stepper.times_met(one), one.ignore});
    for (const auto& [name, mark] : stepper.bookmarks())
        view.bookmarks.push_back({name, mark.branch, mark.position});
    const Timeline& timeline = stepper.timeline();
    view.branch = timeline.present().id;
    for (const auto& [id, branch] : timeline.branches())
        view.branches.push_back({id, branch.parent, branch.from.instructions,
                                 (id == view.branch ? timeline.end() : branch.end).instructions});
    return view;
}

} // namespace forkscope
