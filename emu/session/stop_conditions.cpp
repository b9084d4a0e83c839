#include "emu/session/stop_conditions.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "emu/observe/tables/page_table_view.hpp"
#include "emu/session/guest_words.hpp"
#include "emu/session/options/options.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

using Kind = StopCondition::Kind;

constexpr u64 kQuietInstructions = 20000; // after which a write to a page table begins a new burst
constexpr u64 kScreenLooksPerSecond = 1000;

Error usage(const std::string& text, const std::string& why) {
    return Error{fmt::format("--until '{}' {}; write serial:TEXT, screen:TEXT, symbol:NAME, address:HEX, "
                             "tracepoint:NAME, fork or stop:N (N = {})",
                             text.substr(0, 80), why, fork_stop_numbers()),
                 ExitCode::Usage};
}

// Whoever looks cannot tell whether a line ends with blanks or before them: text may be given either way.
bool screen_shows(const Machine& machine, const std::string& wanted) {
    std::string full, trimmed;
    for (const std::string& line : screen_lines(machine)) {
        full += line + '\n';
        trimmed += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return full.find(wanted) != std::string::npos || trimmed.find(wanted) != std::string::npos;
}

} // namespace

Result<StopCondition> parse_stop_condition(const std::string& text, const Symbolizer& symbols) {
    const std::size_t colon = text.find(':');
    const std::string word = text.substr(0, colon);
    const std::string value = colon == std::string::npos ? "" : text.substr(colon + 1);
    StopCondition condition;
    condition.typed = text;
    condition.text = unescape(value);
    if (word == "fork" && colon == std::string::npos) {
        condition.kind = Kind::ForkBegins;
        return condition;
    }
    if (value.empty())
        return usage(text, "is no condition");
    if (word == "serial" || word == "screen") {
        condition.kind = word == "serial" ? Kind::SerialText : Kind::ScreenText;
    } else if (word == "symbol") {
        condition.kind = Kind::Address;
        condition.addresses = symbols.places_of(value);
        if (condition.addresses.empty())
            return usage(text, "names a symbol that the kernel does not have; one of a program is symbol:PROGRAM:NAME");
        if (const std::size_t end = value.find(':'); end != std::string::npos)
            condition.program = symbols.program(value.substr(0, end))->name();
    } else if (word == "address") {
        char* end = nullptr;
        const u64 address = std::strtoull(value.c_str(), &end, 16);
        if (*end != 0 || address > 0xFFFFFFFFu)
            return usage(text, "has no 32-bit hexadecimal address");
        condition.kind = Kind::Address;
        condition.addresses = {static_cast<u32>(address)};
    } else if (word == "tracepoint" || word == "stop" || word == "phase") { // phase: in older scripts
        const TracepointInfo* info = word == "tracepoint" ? tracepoint_named(value) : fork_stop_numbered(value);
        if (info == nullptr)
            return usage(text, word == "tracepoint" ? "names a tracepoint that does not exist"
                                                    : "names a stop that fork does not have");
        condition.kind = Kind::Tracepoint;
        condition.tracepoint = info->id;
    } else {
        return usage(text, "is no condition");
    }
    return condition;
}

StopConditions::StopConditions(Machine& machine, Symbolizer& symbols)
    : machine_(machine), symbols_(symbols), owner_(machine.breakpoints().new_owner()) {}

StopConditions::~StopConditions() { machine_.breakpoints().remove_all(owner_); }

RunLimit StopConditions::limit_of_slice(Cycles cycles) const {
    // Nothing tells when the screen changes: it is looked at often enough to find what soon scrolls away.
    const auto on_screen = [](const Waiting& waiting) { return waiting.condition.kind == Kind::ScreenText; };
    if (std::any_of(waiting_.begin(), waiting_.end(), on_screen))
        cycles = std::min(cycles, machine_.cycles_per_second() / kScreenLooksPerSecond);
    RunLimit limit = limit_;
    limit.cycle = std::min(limit.cycle, machine_.now() + cycles);
    return limit;
}

u32 StopConditions::add(StopCondition condition) {
    Waiting& waiting = waiting_.emplace_back();
    waiting.number = ++last_number_;
    for (const u32 address : condition.addresses)
        waiting.breakpoints.push_back(machine_.breakpoints().add(owner_, address));
    waiting.condition = std::move(condition);
    return last_number_;
}

void StopConditions::remove(u32 number) {
    const auto place = std::find_if(waiting_.begin(), waiting_.end(),
                                    [number](const Waiting& waiting) { return waiting.number == number; });
    if (place == waiting_.end())
        return;
    for (const u32 breakpoint : place->breakpoints) // one that is left slows every later block
        machine_.breakpoints().remove(owner_, breakpoint);
    waiting_.erase(place);
    if (met_ == number)
        met_ = 0;
}

void StopConditions::end_run(Outcome outcome) {
    if (!asked_)
        asked_ = std::move(outcome);
}

void StopConditions::meet(const Waiting& waiting, std::string why) {
    if (met_ != 0)
        return;
    met_ = waiting.number;
    why_ = waiting.condition.typed.empty() ? std::move(why) : fmt::format("--until {} is met", waiting.condition.typed);
}

void StopConditions::meet_while_running(const Waiting& waiting, std::string why) {
    meet(waiting, std::move(why));
    machine_.request_stop();
}

TraceKinds StopConditions::kinds() const {
    return trace_kinds({TraceKind::Tracepoint, TraceKind::PteWrite, TraceKind::PageFault, TraceKind::InterruptReturn});
}

void StopConditions::on_event(const TraceEvent& event) {
    switch (event.kind) {
    case TraceKind::PteWrite:
        return on_table_write(event);
    case TraceKind::InterruptReturn:
        users_run_ = users_run_ || event.c == 3;
        break;
    case TraceKind::PageFault:
        for (const Waiting& waiting : waiting_)
            if (waiting.condition.kind == Kind::NextFault)
                meet_while_running(waiting,
                                   fmt::format("page fault at {:08x}, error code {}, by the instruction at {:08x}",
                                               event.a, event.b, event.eip));
        break;
    case TraceKind::Tracepoint:
        return on_tracepoint(static_cast<u32>(event.a), static_cast<u32>(event.b));
    default:
        break;
    }
}

void StopConditions::on_tracepoint(u32 id, u32 pid) {
    guest_speaks_ = true;
    panicked_ = panicked_ || id == TP_PANIC;
    const bool fork_stop = is_fork_stop(id) || id == TP_FORK_LEAVE;
    for (const Waiting& waiting : waiting_) {
        const StopCondition& condition = waiting.condition;
        if (condition.in_workload && fork_stop && of_workload_ && !of_workload_(pid))
            continue;
        const bool begins = condition.kind == Kind::ForkBegins && id == TP_FORK_ENTER;
        if (begins || (condition.kind == Kind::Tracepoint && condition.tracepoint == id))
            meet_while_running(waiting, fmt::format("the guest states {}", tracepoint_name(id)));
        else if (condition.kind == Kind::NextForkStop && fork_stop)
            meet_while_running(
                waiting, id == TP_FORK_LEAVE
                             ? std::string("fork returns to the parent")
                             : fmt::format("fork, stop {}: {}", fork_stop_name(id).number, fork_stop_name(id).name));
    }
}

// For guests that state nothing: once programs run, a stop begins with the first write to a page table after a while
// without any.
void StopConditions::on_table_write(const TraceEvent& event) {
    const bool burst = event.instructions - last_table_write_ > kQuietInstructions;
    last_table_write_ = event.instructions;
    if (!burst || !users_run_ || guest_speaks_)
        return;
    for (const Waiting& waiting : waiting_)
        if (waiting.condition.kind == Kind::NextForkStop)
            meet_while_running(waiting, fmt::format("page-table writes begin: entry at {:08x}, {:08x} → {:08x}",
                                                    event.a, event.b, event.c));
}

void StopConditions::on_fork(const ForkRecord& fork) {
    for (const Waiting& waiting : waiting_)
        if (waiting.condition.kind == Kind::ForkBegins && !fork.stated)
            meet_while_running(waiting, "the hardware shows a fork");
}

void StopConditions::on_console(const std::string& text) {
    for (const Waiting& waiting : waiting_) {
        const std::string& wanted = waiting.condition.text;
        if (waiting.condition.kind == Kind::SerialText && text.ends_with(wanted))
            meet_while_running(waiting, fmt::format("the guest has said '{}'", wanted));
    }
}

// All programs lie at the same addresses. Which one runs is seen from its code in memory.
bool StopConditions::runs(const std::string& program) {
    const u32 space = machine_.mmu().control().space_of(machine_.registers().cr3).root;
    symbols_.identify(AddressSpaceReader(machine_.mmu().paging()).memory_reader(), space, machine_.cpu().linear_eip());
    return symbols_.program_of(space) == program;
}

u32 StopConditions::foreign_breakpoint() const {
    for (const OwnedBreakpoints::Breakpoint& one : machine_.breakpoints().all())
        if (one.owner != owner_ && one.linear == machine_.cpu().linear_eip())
            return one.id;
    return 0;
}

// Conditions that no trace event reports.
void StopConditions::look(const StopReason& reason) {
    for (const Waiting& waiting : waiting_) {
        const StopCondition& condition = waiting.condition;
        const u32 next = machine_.cpu().linear_eip();
        if (reason.kind == StopKind::Breakpoint &&
            std::count(condition.addresses.begin(), condition.addresses.end(), next) != 0 &&
            (condition.program.empty() || runs(condition.program)))
            meet(waiting, fmt::format("the instruction at {:08x} is next", next));
        if (condition.kind == Kind::ScreenText && screen_shows(machine_, condition.text))
            meet(waiting, fmt::format("the screen shows '{}'", condition.text));
    }
}

// The guest's own status: 0 is success, what a kernel writes on panic is not.
std::optional<Outcome> StopConditions::end_of_guest(StopKind kind) const {
    const auto said = [](ExitCode code, const std::string& text) { return Outcome{code, text, text}; };
    if (kind == StopKind::Exit && machine_.exit_status() == 0)
        return Outcome{ExitCode::Ok, "the guest powered the machine off", {}};
    if (kind == StopKind::Exit)
        return said(ExitCode::GuestPanic, fmt::format("the guest ended with status {}", machine_.exit_status()));
    if (kind == StopKind::Shutdown)
        return said(ExitCode::GuestPanic, fmt::format("triple fault: the guest's CPU shut down after {} instructions",
                                                      machine_.instructions()));
    if (kind != StopKind::Halted)
        return std::nullopt;
    if (panicked_)
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
                                    [](const Waiting& waiting) { return !waiting.condition.typed.empty(); });
    if (asked == waiting_.end() || (outcome.code != ExitCode::Ok && outcome.code != ExitCode::LimitReached))
        return outcome;
    outcome.code = ExitCode::LimitReached;
    outcome.message = fmt::format("--until {} was not met: {}", asked->condition.typed,
                                  outcome.message.empty() ? outcome.why : outcome.message);
    return outcome;
}

std::optional<Outcome> StopConditions::ended(const StopReason& reason, After after) {
    if (auto end = end_of_guest(reason.kind))
        return unmet(*std::move(end));
    if (asked_)
        return unmet(*std::exchange(asked_, std::nullopt));
    look(reason);
    if (met_ != 0) {
        remove(met_);
        return Outcome{ExitCode::Ok, std::exchange(why_, {}), {}};
    }
    if (const u32 id = reason.kind == StopKind::Breakpoint ? foreign_breakpoint() : 0; id != 0)
        return Outcome{ExitCode::Ok, fmt::format("breakpoint {} at {:08x}", id, machine_.cpu().linear_eip()), {}};
    const bool at_limit = machine_.instructions() >= limit_.instructions || machine_.now() >= limit_.cycle;
    if (after == After::Slice && at_limit)
        return unmet({ExitCode::LimitReached, "the limit is reached",
                      fmt::format("the limit is reached after {} instructions", machine_.instructions())});
    return std::nullopt;
}

} // namespace forkscope
