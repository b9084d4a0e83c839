// How a run ends, and what is said of it.
#include <algorithm>
#include <utility>

#include "emu/session/conditions/stop_conditions.hpp"

namespace forkscope {

void StopConditions::end_run(Outcome outcome) {
    if (!asked_)
        asked_ = std::move(outcome);
}

u32 StopConditions::foreign_breakpoint() const {
    for (const OwnedBreakpoints::Breakpoint& one : machine_.breakpoints().all())
        if (one.owner != breakpoint_owner_ && one.linear == machine_.cpu().linear_eip())
            return one.id;
    return 0;
}
// The guest's own status: 0 is success, what a kernel writes on panic is not.
std::optional<Outcome> StopConditions::end_of_guest(StopKind kind) const {
    const auto said = [](ExitCode code, const std::string& text) {
        return Outcome{code, text, text, Outcome::By::Guest};
    };
    if (kind == StopKind::Exit && machine_.exit_status() == 0)
        return Outcome{ExitCode::Ok, "the guest powered the machine off", {}, Outcome::By::Guest};
    if (kind == StopKind::Exit)
        return said(ExitCode::GuestPanic, fmt::format("the guest ended with status {}", machine_.exit_status()));
    if (kind == StopKind::Shutdown)
        return said(ExitCode::GuestPanic, fmt::format("triple fault: the guest's CPU shut down after {} instructions",
                                                      machine_.instructions()));
    if (kind != StopKind::Halted)
        return std::nullopt;
    if (told_.panicked)
        return said(ExitCode::GuestPanic,
                    "the guest's kernel panicked; what it said is on the serial port and the screen");
    const char* closed = machine_.registers().flag(kFlagI)
                             ? "every line masked at the 8259s, or held back by one in service"
                             : "interrupts off";
    if (machine_.cpu().awaits_float_error())
        return said(ExitCode::GuestPanic,
                    fmt::format("the guest's x87 waits for an error to be handled (FERR#, interrupt line 13) with "
                                "{}: nothing can wake it",
                                closed));
    return said(ExitCode::Ok, fmt::format("the guest halted with {}: nothing can wake it", closed));
}

// What somebody waits for did not come: no success, whatever else the end is.
Outcome StopConditions::unmet(Outcome outcome) const {
    const auto asked = std::find_if(waiting_.begin(), waiting_.end(),
                                    [](const Waiting& waiting) { return !waiting.use.asked_as.empty(); });
    if (asked == waiting_.end() || (outcome.code != ExitCode::Ok && outcome.code != ExitCode::LimitReached))
        return outcome;
    outcome.code = ExitCode::LimitReached;
    outcome.message =
        fmt::format("{} was not met: {}", asked->use.asked_as, outcome.message.empty() ? outcome.why : outcome.message);
    return outcome;
}

// The first one is named.
Outcome StopConditions::take_met() {
    met_told_ = true;
    for (const Met& met : met_) { // which stay readable
        const auto once = [&](const Waiting& waiting) {
            return waiting.kept.number == met.number && waiting.use.keep == Keep::Once;
        };
        if (std::any_of(waiting_.begin(), waiting_.end(), once))
            remove(met.number);
    }
    return {ExitCode::Ok, met_.front().what, {}, Outcome::By::Condition};
}

std::optional<Outcome> StopConditions::ended(const StopReason& reason, After after) {
    if (met_told_)
        met_.clear();
    ask(reason); // of whoever has run without run()
    if (auto end = end_of_guest(reason.kind))
        return unmet(*std::move(end));
    if (asked_)
        return unmet(*std::exchange(asked_, std::nullopt));
    if (!met_told_)
        return take_met();
    if (const u32 id = reason.kind == StopKind::Breakpoint ? foreign_breakpoint() : 0; id != 0)
        return Outcome{ExitCode::Ok,
                       fmt::format("breakpoint {} at {:08x}", id, machine_.cpu().linear_eip()),
                       {},
                       Outcome::By::Breakpoint};
    const bool at_limit = machine_.instructions() >= limit_.instructions || machine_.now() >= limit_.cycle;
    if (after == After::Slice && at_limit)
        return unmet({ExitCode::LimitReached, "the limit is reached",
                      fmt::format("the limit is reached after {} instructions", machine_.instructions()),
                      Outcome::By::Limit});
    return std::nullopt;
}

} // namespace forkscope
