#include "emu/ui/run_control.hpp"

#include <algorithm>
#include <chrono>

#include "emu/base/log.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope::ui {

namespace {

constexpr double kMostOwed = 0.05; // seconds; a host that is too slow slows the guest down, it does not pile up debt
constexpr double kMostHostTime = 0.012; // of a frame spent in the machine, so that the window answers
constexpr u64 kSlicesPerSecond = 2000;
constexpr u64 kQuietInstructions = 20000; // after which a write to a page table begins a new burst

double host_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

StopWatch::StopWatch(Machine& machine) : machine_(machine), next_(machine.cpu().tracer().sink()) {
    machine_.set_trace_sink(this);
}

StopWatch::~StopWatch() { machine_.set_trace_sink(next_); }

void StopWatch::stop(std::string reason) {
    if (!reason_.empty())
        return;
    reason_ = std::move(reason);
    wanted_ = Wanted::Nothing;
    machine_.request_stop();
}

TraceKinds StopWatch::kinds() const {
    const TraceKinds own =
        trace_kinds({TraceKind::Tracepoint, TraceKind::PteWrite, TraceKind::PageFault, TraceKind::InterruptReturn});
    return next_ != nullptr ? own | next_->kinds() : own;
}

void StopWatch::on_event(const TraceEvent& event) {
    if (next_ != nullptr)
        next_->on_event(event);
    const bool fork_stop = event.kind == TraceKind::Tracepoint && (is_fork_stop(event.a) || event.a == TP_FORK_LEAVE);
    guest_speaks_ = guest_speaks_ || event.kind == TraceKind::Tracepoint;
    users_run_ = users_run_ || (event.kind == TraceKind::InterruptReturn && event.c == 3);
    if (event.kind == TraceKind::PteWrite)
        on_table_write(event);
    if (wanted_ == Wanted::ForkStop && fork_stop) {
        if (event.a == TP_FORK_LEAVE)
            stop("fork returns to the parent");
        else
            stop(fmt::format("fork, stop {}: {}", fork_stop_name(event.a).number, fork_stop_name(event.a).name));
    } else if (wanted_ == Wanted::Fault && event.kind == TraceKind::PageFault) {
        stop(fmt::format("page fault at {:08x}, error code {}, by the instruction at {:08x}", event.a, event.b,
                         event.eip));
    }
}

// For guests that state nothing: once programs run, a stop begins with the first write to a page table after a while
// without any.
void StopWatch::on_table_write(const TraceEvent& event) {
    const bool burst = event.instructions - last_table_write_ > kQuietInstructions;
    last_table_write_ = event.instructions;
    if (wanted_ == Wanted::ForkStop && burst && users_run_ && !guest_speaks_)
        stop(fmt::format("page-table writes begin: entry at {:08x}, {:08x} → {:08x}", event.a, event.b, event.c));
}

RunControl::RunControl(Machine& machine, RunSlice run_slice, const WindowOptions& options)
    : machine_(machine), run_slice_(std::move(run_slice)), options_(options), watch_(machine) {
    measured_from_ = machine.instructions();
}

void RunControl::start(StopWatch::Wanted wanted, std::string status) {
    watch_.want(wanted);
    running_ = true;
    status_ = std::move(status);
    owed_ = 0;
    mips_ = 0;
    measured_seconds_ = 0;
    measured_from_ = machine_.instructions();
}

void RunControl::stop(std::string status) {
    watch_.want(StopWatch::Wanted::Nothing);
    running_ = false;
    status_ = std::move(status);
    mips_ = 0;
    at_stop_before_ = at_stop_;
    at_stop_ = machine_.registers();
    ++stops_;
}

void RunControl::obey(Command command) {
    switch (command) {
    case Command::None:
        break;
    case Command::RunOrPause:
        if (running_)
            stop("paused");
        else
            start(StopWatch::Wanted::Nothing, "the guest runs");
        break;
    case Command::StepInstruction:
        if (!running_) {
            ++moves_;
            const StopReason reason = machine_.step();
            stop(reason.kind == StopKind::Shutdown ? end_reason() : "one instruction done");
        }
        break;
    case Command::NextStop:
        start(StopWatch::Wanted::ForkStop, "runs to the next stop of a fork");
        break;
    case Command::NextFault:
        start(StopWatch::Wanted::Fault, "runs to the next page fault");
        break;
    }
}

std::string RunControl::end_reason() const {
    if (machine_.cpu().shut_down())
        return "triple fault: the CPU has shut down, its state is kept";
    if (machine_.cpu().halted() && (machine_.registers().eflags() & kFlagI) == 0)
        return "halted with interrupts off: nothing can wake the CPU";
    if (options_.why_stopped)
        if (std::string reason = options_.why_stopped(); !reason.empty())
            return reason;
    return "the guest has ended, or a limit is reached";
}

void RunControl::advance(double seconds) {
    if (!running_)
        return;
    owed_ = std::min(owed_ + seconds, kMostOwed);
    const double start = host_seconds();
    const u64 rate = std::max<u64>(machine_.cycles_per_second(), kSlicesPerSecond);
    const double slice = 1.0 / static_cast<double>(kSlicesPerSecond);
    while (owed_ >= slice && host_seconds() - start < kMostHostTime) {
        const Cycles before = machine_.now();
        ++moves_;
        const bool goes_on = run_slice_(rate / kSlicesPerSecond);
        owed_ -= static_cast<double>(machine_.now() - before) / static_cast<double>(rate);
        if (!watch_.reason().empty())
            return stop(watch_.reason());
        if (!goes_on)
            return stop(end_reason());
    }
    measure(seconds);
}

void RunControl::measure(double seconds) {
    constexpr double kInterval = 0.5;
    measured_seconds_ += seconds;
    if (measured_seconds_ < kInterval)
        return;
    mips_ = static_cast<double>(machine_.instructions() - measured_from_) / measured_seconds_ / 1e6;
    measured_from_ = machine_.instructions();
    measured_seconds_ = 0;
}

void RunControl::describe(View& view) const {
    view.running = running_;
    view.mips = mips_;
    view.status = running_ ? status_ : fmt::format("{}; at {}", status_, view.code.place);
    view.compare = !running_ && stops_ > 1;
    view.registers_before = at_stop_before_;
}

} // namespace forkscope::ui
