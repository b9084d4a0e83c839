#include "emu/session/stepper/stepper.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "emu/session/stepper/slices.hpp"

namespace forkscope {

namespace {

constexpr GrainName kGrains[] = {
    {Grain::Instruction, "instruction", ""},
    {Grain::Line, "line", ""},
    {Grain::Over, "over", ""},
    {Grain::Out, "out", ""},
    {Grain::Stop, "stop", "stop"},
    {Grain::TableWrite, "entry", "entries"},
    {Grain::TlbFill, "fill", "fills"},
    {Grain::TlbEvict, "evict", "evicts"},
    {Grain::TlbFlush, "flush", "flushes"},
    {Grain::Fault, "fault", "fault"},
    {Grain::SystemCall, "syscall", "syscall"},
    {Grain::ContextSwitch, "switch", "switch"},
};

std::string_view condition_of(Grain grain) {
    return std::find_if(std::begin(kGrains), std::end(kGrains),
                        [=](const GrainName& one) { return one.grain == grain; })
        ->condition;
}

Arrival at_beginning() { return {Arrival::End::Beginning, "the beginning of history", ExitCode::Ok}; }

} // namespace

std::span<const GrainName> grain_names() { return kGrains; }

Stepper::Stepper(Session& session) : session_(session) {
    EMU_ASSERT(session.timeline() != nullptr, "a stepper needs a session with a history");
}

Stepper::~Stepper() {
    for (const StepBreakpoint& breakpoint : breakpoints_)
        session_.stops().remove(breakpoint.waits_as);
}

// --- Moves

Result<Arrival> Stepper::move(Grain grain, Way way, u64 times) {
    if (grain == Grain::Instruction && way == Way::Backwards && times > 1)
        return instructions_back(times);
    Arrival arrival;
    for (u64 i = 0; i < times; ++i) {
        Result<Arrival> next = Arrival{};
        if (grain == Grain::Instruction)
            next = one_instruction(way);
        else if (grain == Grain::Out)
            next = out(way);
        else if (grain == Grain::Line || grain == Grain::Over)
            next = way == Way::Forwards ? line_forwards(grain) : line_backwards(grain);
        else
            next = travel(std::string(condition_of(grain)), way);
        if (!next.ok())
            return next;
        arrival = *std::move(next);
        const bool goes_on = arrival.end == Arrival::End::Done || arrival.end == Arrival::End::Met;
        if (!goes_on || interrupted())
            break;
    }
    return arrival;
}

Result<Arrival> Stepper::one_instruction(Way way) {
    if (way == Way::Forwards)
        return session_.step() ? Arrival{} : ended();
    const auto back = step_back(timeline(), session_.machine());
    if (!back.ok())
        return back.error();
    return *back ? Arrival{} : at_beginning();
}

// Many at once: from farther back each position is passed, and the one that so many steps would lead to is gone to.
Result<Arrival> Stepper::instructions_back(u64 times) {
    constexpr u64 kAtOnce = 4096;
    const Machine& machine = session_.machine();
    while (times != 0) {
        const u64 steps = std::min(times, kAtOnce);
        const Position here = timeline().position();
        const u64 first = timeline().beginning().instructions;
        const u64 from = here.instructions - std::min(steps, here.instructions - first);
        if (auto gone = timeline().go_to(from); !gone.ok())
            return gone.error();
        std::vector<Position> passed;
        while (timeline().position() < here) {
            passed.push_back(timeline().position());
            step_forward(timeline(), machine, here);
            if (timeline().position() == passed.back())
                break;
        }
        session_.stops().pass_over({});
        const std::size_t at = passed.size() - std::min<std::size_t>(steps, passed.size());
        auto gone = go_to(passed.empty() ? timeline().beginning() : passed[at]);
        if (!gone.ok())
            return gone;
        if (passed.size() < steps)
            return at_beginning();
        times -= steps;
        if (times != 0 && interrupted())
            return Arrival{Arrival::End::Interrupted, "interrupted", ExitCode::Ok};
    }
    return Arrival{};
}

// A run has ended where it is.
Arrival Stepper::arrival_of(const Outcome& outcome) {
    const auto end = [&outcome] {
        switch (outcome.by) {
        case Outcome::By::Condition:
        case Outcome::By::Breakpoint:
            return Arrival::End::Met;
        case Outcome::By::Limit:
            return Arrival::End::Limit;
        case Outcome::By::Asked:
            return Arrival::End::Interrupted;
        case Outcome::By::Guest:
            break;
        }
        return Arrival::End::GuestEnded;
    };
    return {end(), outcome.why, outcome.code};
}

Result<Arrival> Stepper::travel(const std::string& condition, Way way, bool in_workload) {
    u32 number = 0;
    if (!condition.empty()) {
        auto compiled = compile_condition(condition, session_.symbols());
        if (!compiled.ok())
            return compiled.error();
        number = session_.stops().add(*std::move(compiled), {.keep = Keep::Stay, .in_workload = in_workload});
    }
    Result<Arrival> arrival = way == Way::Forwards ? forwards() : backwards();
    if (number != 0)
        session_.stops().remove(number);
    return arrival;
}

// In the past up to the present, then from there.
Arrival Stepper::forwards() {
    Machine& machine = session_.machine();
    Slices slices(machine.cycles_per_second());
    const bool from_past = timeline().in_past();
    for (;;) {
        Cycles slice = slices.next();
        if (from_past)
            slice = std::min(slice, std::max<Cycles>(1, timeline().end().cycle - machine.now()));
        const Position before = timeline().position();
        if (!session_.run_slice(slice))
            return ended();
        if (from_past && !timeline().in_past()) {
            // Where the past ends with an interrupt's delivery, the run stopped before anybody asked for a breakpoint
            // on the handler.
            if (const auto met = session_.stops().ended({StopKind::Breakpoint}, StopConditions::After::Step))
                return arrival_of(*met);
            return {Arrival::End::Present, "the present: all that was run so far", ExitCode::Ok};
        }
        if (interrupted())
            return {Arrival::End::Interrupted, "interrupted", ExitCode::Ok};
        if (timeline().position() == before && session_.debugger() != nullptr)
            return {Arrival::End::Interrupted, "a debugger holds the machine", ExitCode::Ok};
    }
}

Result<Arrival> Stepper::backwards() {
    StopConditions& stops = session_.stops();
    std::map<Position, std::string> met;
    const auto look = [&](const StopReason& reason) {
        const auto outcome = stops.ended(reason, StopConditions::After::Step);
        if (!outcome || (outcome->by != Outcome::By::Condition && outcome->by != Outcome::By::Breakpoint))
            return WayBack::Met::No;
        met[timeline().position()] = outcome->why;
        return WayBack::Met::Here;
    };
    const auto run = [&](const RunLimit& limit) {
        return stops.run(limit, [this](const RunLimit& next) { return timeline().run(next); });
    };
    WayBack way(timeline(), session_.machine(), look, run, [this] { return interrupted(); });
    for (;;) {
        const auto progress = way.search();
        if (!progress.ok())
            return progress.error();
        if (*progress == WayBack::Progress::AtBeginning)
            return at_beginning();
        if (*progress == WayBack::Progress::Found) {
            stops.pass_over({});
            return Arrival{Arrival::End::Met, met[timeline().position()], ExitCode::Ok};
        }
        met.clear();
        if (*progress == WayBack::Progress::Searching && !interrupted())
            continue;
        if (auto back = way.give_up(); !back.ok())
            return back.error();
        return Arrival{Arrival::End::Interrupted,
                       fmt::format("interrupted; back where the search began. It was not met from instruction {} on: "
                                   "goto {} and search from there",
                                   way.searched().instructions, way.searched().instructions),
                       ExitCode::Ok};
    }
}

// --- Places

Result<Arrival> Stepper::go_to(Position position) {
    if (auto gone = timeline().go_to(position); !gone.ok())
        return gone.error();
    return Arrival{};
}

Result<Arrival> Stepper::relive() {
    const Position here = timeline().position();
    if (auto done = timeline().relive([this] { return !interrupted(); }); !done.ok())
        return done.error();
    if (timeline().position() == here)
        return Arrival{};
    return Arrival{Arrival::End::Interrupted, "interrupted on the way; what was before is known here", ExitCode::Ok};
}

Result<Arrival> Stepper::go_to(std::string_view place) {
    const auto bad = [&] {
        return Error{fmt::format("'{}' is no place: give a count of instructions (123456, or 123456+2 behind two "
                                 "deliveries), a time (1.5s, 20ms), begin, end or a bookmark",
                                 place),
                     ExitCode::Usage};
    };
    if (place == "begin" || place == "end")
        return go_to(place == "begin" ? timeline().beginning() : timeline().end());
    if (const auto mark = bookmarks_.find(std::string(place)); mark != bookmarks_.end()) {
        if (auto gone = timeline().switch_to(mark->second.branch, mark->second.position); !gone.ok())
            return gone.error();
        return Arrival{};
    }
    const char* const last = place.data() + place.size();
    if (place.ends_with('s')) {
        const bool thousandths = place.ends_with("ms");
        const char* const unit = last - (thousandths ? 2 : 1);
        double seconds = 0;
        const auto read = std::from_chars(place.data(), unit, seconds);
        if (read.ec != std::errc{} || read.ptr != unit || !(seconds >= 0) || seconds > 1e9)
            return bad();
        seconds /= thousandths ? 1e3 : 1;
        const auto cycle =
            static_cast<Cycles>(std::llround(seconds * static_cast<double>(session_.machine().cycles_per_second())));
        if (auto gone = timeline().go_to_cycle(cycle); !gone.ok())
            return gone.error();
        return Arrival{};
    }
    u64 instructions = 0;
    u32 deliveries = 0;
    auto read = std::from_chars(place.data(), last, instructions);
    if (read.ec == std::errc{} && read.ptr != last && *read.ptr == '+')
        read = std::from_chars(read.ptr + 1, last, deliveries);
    if (read.ec != std::errc{} || read.ptr != last)
        return bad();
    if (auto gone = timeline().go_to(instructions, deliveries); !gone.ok())
        return gone.error();
    return Arrival{};
}

// --- Breakpoints

void Stepper::arm(StepBreakpoint& breakpoint) {
    auto condition = compile_condition(breakpoint.condition, session_.symbols());
    EMU_ASSERT(condition.ok(), "a condition that was read once is not any more");
    breakpoint.waits_as =
        session_.stops().add(*std::move(condition), {.keep = Keep::Stay, .ignore = breakpoint.ignore});
}

Result<u32> Stepper::add_breakpoint(const std::string& condition, u64 ignore) {
    if (const auto compiled = compile_condition(condition, session_.symbols()); !compiled.ok())
        return compiled.error();
    arm(breakpoints_.emplace_back(StepBreakpoint{++last_breakpoint_, condition, ignore, true, 0}));
    return last_breakpoint_;
}

bool Stepper::remove_breakpoint(u32 number) {
    return enable_breakpoint(number, false) &&
           std::erase_if(breakpoints_, [=](const StepBreakpoint& one) { return one.number == number; }) != 0;
}

bool Stepper::enable_breakpoint(u32 number, bool enabled) {
    const auto at = std::find_if(breakpoints_.begin(), breakpoints_.end(),
                                 [=](const StepBreakpoint& one) { return one.number == number; });
    if (at == breakpoints_.end())
        return false;
    if (enabled && at->waits_as == 0)
        arm(*at);
    if (!enabled)
        session_.stops().remove(std::exchange(at->waits_as, 0));
    at->enabled = enabled;
    return true;
}

u64 Stepper::times_met(const StepBreakpoint& breakpoint) const {
    return breakpoint.waits_as != 0 ? session_.stops().times_met(breakpoint.waits_as) : 0;
}

} // namespace forkscope
