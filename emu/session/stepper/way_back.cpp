#include "emu/session/stepper/way_back.hpp"

#include <algorithm>
#include <utility>

#include "emu/session/stepper/slices.hpp"

namespace forkscope {

void step_forward(Timeline& timeline, const Machine& machine, Position most) {
    if (machine.cpu().halted())
        static_cast<void>(timeline.run({most.cycle, ~u64{0}}));
    else
        static_cast<void>(timeline.step());
}

Result<bool> step_back(Timeline& timeline, Machine& machine) {
    const Position now = timeline.position();
    if (now <= timeline.beginning())
        return false;
    // The first position with as many instructions; if this is it, with one less.
    auto gone = timeline.go_to(now.instructions);
    if (gone.ok() && timeline.position() >= now)
        gone = timeline.go_to(std::max(timeline.beginning().instructions, now.instructions - 1));
    if (!gone.ok())
        return gone.error();
    for (;;) {
        const Position before = timeline.position();
        step_forward(timeline, machine, now);
        const Position after = timeline.position();
        if (after < now && after != before)
            continue;
        if (gone = timeline.go_to(before); !gone.ok())
            return gone.error();
        return true;
    }
}

WayBack::WayBack(Timeline& timeline, Machine& machine, Look look, Run run, std::function<bool()> interrupted)
    : timeline_(timeline), machine_(machine), look_(std::move(look)), run_(std::move(run)),
      interrupted_(std::move(interrupted)), origin_(timeline.position()), end_(origin_) {
    if (!run_)
        run_ = [this](const RunLimit& limit) { return timeline_.run(limit); };
}

void WayBack::note(Met met) {
    const Position here = timeline_.position();
    if (met == Met::No || here > origin_ || (met == Met::Here && here == origin_))
        return;
    found_ = here;
    by_instruction_ = met == Met::ByTheLastInstruction;
}

// Stops at each thing that is met, and goes on.
bool WayBack::look_through(Position end) {
    Slices slices(machine_.cycles_per_second());
    while (timeline_.position() < end) {
        if (interrupted_ && interrupted_())
            return false;
        const Position before = timeline_.position();
        RunLimit limit;
        if (interrupted_)
            limit.cycle = before.cycle + slices.next();
        if (before.instructions < end.instructions)
            limit.instructions = end.instructions;
        else
            limit.cycle = std::min(limit.cycle, end.cycle);
        const StopReason reason = run_(limit);
        note(look_(reason));
        if (timeline_.position() == before && reason.kind != StopKind::Breakpoint && reason.kind != StopKind::Requested)
            break; // the guest has ended
    }
    return true;
}

Result<WayBack::Progress> WayBack::search() {
    const auto begin = timeline_.checkpoint_before(end_);
    if (!begin) { // the beginning itself
        if (auto gone = timeline_.go_to(timeline_.beginning()); !gone.ok())
            return gone.error();
        note(look_({StopKind::Breakpoint}));
        return found_ ? Progress::Found : Progress::AtBeginning;
    }
    if (auto gone = timeline_.go_to(*begin); !gone.ok())
        return gone.error();
    static_cast<void>(look_({})); // what was met on the way there is forgotten
    if (!look_through(end_)) {
        found_.reset();
        return Progress::Interrupted;
    }
    if (end_ != origin_ && timeline_.position() == end_)
        note(look_({StopKind::Breakpoint})); // whoever begins there passes it
    end_ = *begin;
    return found_ ? settle() : Progress::Searching;
}

Result<WayBack::Progress> WayBack::settle() {
    if (auto gone = timeline_.go_to(*found_); !gone.ok())
        return gone.error();
    if (by_instruction_)
        if (auto back = step_back(timeline_, machine_); !back.ok())
            return back.error();
    return Progress::Found;
}

} // namespace forkscope
