#include "emu/ui/run_control.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "emu/base/log.hpp"

namespace forkscope::ui {

namespace {

constexpr double kMostOwed = 0.05; // seconds; a host that is too slow slows the guest down, it does not pile up debt
constexpr double kMostHostTime = 0.012; // of a frame spent in the machine, so that the window answers
constexpr u64 kSlicesPerSecond = 2000;

double host_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

RunControl::RunControl(Session& session) : session_(session), measured_from_(session.machine().instructions()) {}

void RunControl::start(std::string status) {
    session_.stops().remove(std::exchange(wanted_, 0));
    running_ = true;
    status_ = std::move(status);
    owed_ = 0;
    mips_ = 0;
    measured_seconds_ = 0;
    measured_from_ = session_.machine().instructions();
}

void RunControl::start_to(const char* condition, std::string status) {
    start(std::move(status));
    auto compiled = compile_condition(condition, session_.symbols());
    EMU_ASSERT(compiled.ok(), "the condition {} of a button", condition);
    wanted_ = session_.stops().add(std::move(compiled).value());
}

void RunControl::stop(std::string status) {
    session_.stops().remove(std::exchange(wanted_, 0));
    running_ = false;
    status_ = std::move(status);
    mips_ = 0;
    at_stop_before_ = at_stop_;
    at_stop_ = session_.machine().registers();
    ++stops_;
}

// What a debugger holds, it alone lets run, and it hears of a pause. True: that was all.
bool RunControl::obey_with_debugger(Command command) {
    Debugger* const debugger = session_.debugger();
    if (debugger == nullptr)
        return false;
    if (!debugger->attached()) {
        if (held_)
            debugger->release();
        return held_ && command == Command::RunOrPause;
    }
    if (held_) {
        status_ = "gdb holds the machine: continue there";
        return true;
    }
    if (!running_ || command != Command::RunOrPause)
        return false;
    debugger->pause();
    return true;
}

void RunControl::follow(Debugger& debugger) {
    const bool holds = (running_ ? debugger.wants() : debugger.poll()) == Debugger::Wants::Hold;
    if (holds && (running_ || (debugger.attached() && !held_))) {
        stop(debugger.attached() ? "gdb holds the machine" : "waits for gdb");
        held_ = true;
    } else if (!holds) {
        // Also where the face had stopped before: a pause, the guest's end.
        const bool goes_on = !running_ && (held_ || debugger.attached());
        held_ = false;
        if (goes_on)
            start("the guest runs");
    }
}

void RunControl::obey(Command command) {
    if (command != Command::None && obey_with_debugger(command))
        return;
    switch (command) {
    case Command::None:
        break;
    case Command::RunOrPause:
        if (running_)
            stop("paused");
        else
            start("the guest runs");
        break;
    case Command::StepInstruction:
        if (!running_) {
            ++moves_;
            stop(session_.step() ? "one instruction done" : session_.outcome().why);
        }
        break;
    case Command::NextStop:
        start_to("stop", "runs to the next stop of a fork");
        break;
    case Command::NextFault:
        start_to("fault", "runs to the next page fault");
        break;
    }
}

void RunControl::advance(double seconds) {
    if (session_.debugger() != nullptr)
        follow(*session_.debugger());
    if (!running_)
        return;
    owed_ = std::min(owed_ + seconds, kMostOwed);
    const double start = host_seconds();
    const Machine& machine = session_.machine();
    const u64 rate = std::max<u64>(machine.cycles_per_second(), kSlicesPerSecond);
    const double slice = 1.0 / static_cast<double>(kSlicesPerSecond);
    while (owed_ >= slice && host_seconds() - start < kMostHostTime) {
        const Cycles before = machine.now();
        ++moves_;
        const bool goes_on = session_.run_slice(rate / kSlicesPerSecond);
        // A debugger may have gone back.
        owed_ -=
            machine.now() >= before ? static_cast<double>(machine.now() - before) / static_cast<double>(rate) : slice;
        if (!goes_on)
            return stop(session_.outcome().why);
        if (session_.debugger() != nullptr && session_.debugger()->wants() == Debugger::Wants::Hold)
            return follow(*session_.debugger());
    }
    measure(seconds);
}

void RunControl::measure(double seconds) {
    constexpr double kInterval = 0.5;
    measured_seconds_ += seconds;
    if (measured_seconds_ < kInterval)
        return;
    mips_ = static_cast<double>(session_.machine().instructions() - measured_from_) / measured_seconds_ / 1e6;
    measured_from_ = session_.machine().instructions();
    measured_seconds_ = 0;
}

void RunControl::describe(View& view) const {
    view.running = running_;
    view.mips = mips_;
    view.status = running_ ? status_ : fmt::format("{}; at {}", status_, view.code.place);
    view.registers.compare = !running_ && stops_ > 1;
    view.registers.before = at_stop_before_;
}

} // namespace forkscope::ui
