#include "emu/ui/run_control.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "emu/base/log.hpp"
#include "emu/base/text/words.hpp"

namespace forkscope::ui {

namespace {

constexpr double kMostOwed = 0.05; // seconds; a host that is too slow slows the guest down, it does not pile up debt
constexpr double kMostHostTime = 0.012; // of a frame spent in the machine, so that the window answers
constexpr double kDoubleClickSeconds = 0.5;
constexpr u64 kSlicesPerSecond = 2000;
constexpr u64 kSlicesPerLook = 500; // at the tracer, for new marks

std::string_view what_of(Grain grain) {
    switch (grain) {
    case Grain::Stop:
        return "stop of a fork";
    case Grain::TableWrite:
        return "store into a page table";
    case Grain::Fault:
        return "page fault";
    case Grain::Line:
        return "source line";
    default:
        return std::find_if(grain_names().begin(), grain_names().end(), [=](auto& one) { return one.grain == grain; })
            ->name;
    }
}

bool moves_machine(const Command& command) {
    const auto word = first_word(command.words).first;
    return command.kind != Command::Kind::Inspect && !(command.kind == Command::Kind::Words && word == "show");
}

double host_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

RunControl::RunControl(Session& session) : session_(session), measured_from_(session.machine().instructions()) {
    running_ = !session.starts_paused();
    if (session.timeline() == nullptr)
        return;
    stepper_.emplace(session);
    commands_.emplace(*stepper_);
    branch_ = session.timeline()->present().id;
}

void RunControl::set_interrupted(std::function<bool()> asked) {
    if (stepper_)
        stepper_->set_interrupted(std::move(asked));
}

void RunControl::start(std::string status) {
    session_.stops().remove(std::exchange(wanted_, 0));
    running_ = true;
    status_ = std::move(status);
    owed_ = 0;
    mips_ = 0;
    measured_seconds_ = 0;
    measured_from_ = session_.machine().instructions();
}

void RunControl::start_to(const GrainName& grain) {
    start(fmt::format("runs to the next {}", what_of(grain.grain)));
    auto compiled = compile_condition(grain.condition, session_.symbols());
    EMU_ASSERT(compiled.ok(), "the condition {} of a button", grain.condition);
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
bool RunControl::obey_with_debugger(const Command& command) {
    Debugger* const debugger = session_.debugger();
    if (debugger == nullptr)
        return false;
    if (!debugger->attached()) {
        if (held_)
            debugger->release();
        return held_ && command.kind == Command::Kind::RunOrPause;
    }
    if (held_) {
        status_ = "gdb holds the machine: continue there";
        return true;
    }
    if (!running_ || command.kind != Command::Kind::RunOrPause)
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

void RunControl::obey(const Command& command) {
    if (!command.asked() || (moves_machine(command) && obey_with_debugger(command)))
        return;
    switch (command.kind) {
    case Command::Kind::None:
        break;
    case Command::Kind::RunOrPause:
        if (running_)
            stop("paused");
        else
            start("the guest runs");
        break;
    case Command::Kind::Move:
        move(command.grain, command.way);
        break;
    case Command::Kind::Reverse:
        arrive("goes back to the breakpoint or --until that was met last",
               [](Stepper& stepper) { return stepper.go_on(Way::Backwards); });
        break;
    case Command::Kind::GoTo:
        arrive("goes there", [&](Stepper& stepper) {
            // The last of the moments with as many instructions, if history ends among them.
            const Position end = stepper.timeline().end();
            return stepper.go_to(command.number >= end.instructions ? "end" : fmt::format("{}", command.number));
        });
        break;
    case Command::Kind::Branch:
        go_to_branch(static_cast<u32>(command.number));
        break;
    case Command::Kind::Inspect:
        inspect(command.subject);
        break;
    case Command::Kind::Words:
        execute(command.words);
        break;
    case Command::Kind::Ask:
    case Command::Kind::Copy:
    case Command::Kind::CopyPanel:
        break; // the window's own
    }
}

void RunControl::move(Grain grain, Way way) {
    const auto names = grain_names();
    const GrainName& name = *std::find_if(names.begin(), names.end(), [=](auto& one) { return one.grain == grain; });
    // In the present the guest may wait for keys.
    if (way == Way::Forwards && !name.condition.empty() && !in_past())
        return start_to(name);
    if (!stepper_ && way == Way::Forwards && grain == Grain::Instruction) {
        ++moves_;
        return stop(session_.step() ? "one instruction done" : session_.outcome().why);
    }
    arrive(fmt::format("looks for the {} {}", way == Way::Forwards ? "next" : "last", what_of(grain)),
           [=](Stepper& stepper) { return stepper.move(grain, way); });
}

// Lets the stepper move the machine, and says where that led.
void RunControl::arrive(std::string looking, const std::function<Result<Arrival>(Stepper&)>& travel) {
    session_.stops().remove(std::exchange(wanted_, 0));
    running_ = false;
    if (!stepper_) {
        status_ = "no past is kept: leave --history 0 away";
        return;
    }
    moving_ = std::move(looking);
    const auto arrival = travel(*stepper_);
    moving_.clear();
    ++moves_;
    if (!arrival.ok())
        stop(arrival.error().message);
    else
        stop(arrival->why.empty() ? "stopped" : arrival->why);
}

// --- Answers

void RunControl::answer(std::string title, const std::string& text, std::vector<Inspection::Offer> offers) {
    answer_ = {std::move(title), {}, std::move(offers)};
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        answer_.lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    why_.clear();
    ++answers_;
}

void RunControl::notice(std::string text) { answer(std::move(text), ""); }

void RunControl::inspect(const Subject& subject) {
    Inspection shown = forkscope::inspect(subject, session_);
    const std::string text = shown.text();
    answer(std::move(shown.title), text, std::move(shown.offers));
    if (shown.why.empty())
        return;
    if (running_ || !commands_) {
        answer_.lines.push_back(running_ ? "who made it is searched for once the guest is paused"
                                         : "no past is kept: who made it is not known");
        return;
    }
    why_ = std::move(shown.why);
    why_due_ = host_seconds() + kDoubleClickSeconds;
}

// The search takes a while; the machine is back where it was then.
void RunControl::add_why() {
    if (why_.empty() || running_ || host_seconds() < why_due_)
        return;
    const std::string words = std::exchange(why_, {});
    moving_ = "looks for who made it";
    const StepAnswer found = commands_->execute(words);
    moving_.clear();
    std::vector<Inspection::Offer> offers = std::move(answer_.offers);
    std::string text;
    for (const std::string& line : answer_.lines)
        text += line + "\n";
    answer(answer_.title, text + found.text, std::move(offers));
}

// A command that was typed, or that a row stands for.
void RunControl::execute(const std::string& words) {
    const auto [word, rest] = first_word(words);
    if (word == "show") {
        auto chosen = choose(choices_, rest, session_);
        ++moves_; // what is seen is another
        return answer("> " + words, chosen.ok() ? *chosen : chosen.error().message);
    }
    if (!commands_) {
        status_ = "no past is kept: leave --history 0 away";
        return answer("> " + words, status_);
    }
    if (word == "quit" || word == "q")
        return answer("> " + words, "close the window to quit");
    const bool ran = std::exchange(running_, false);
    moving_ = words;
    ++moves_;
    StepAnswer given = commands_->execute(words);
    moving_.clear();
    ++moves_;
    if (word == "help" || word == "h")
        for (const ChoiceHelp& one : choice_help())
            given.text += fmt::format("\n{:<24} {}", one.words, one.text);
    if (word == "stack" && !rest.empty())
        static_cast<void>(choose(choices_, words, session_)); // its row is looked at, too
    answer("> " + words, given.text);
    if (given.moved)
        stop(given.text.substr(0, given.text.find('\n')));
    else
        running_ = ran;
    if (given.moved)
        session_.stops().remove(std::exchange(wanted_, 0));
}

void RunControl::go_to_branch(u32 id) {
    arrive("goes to another branch", [&](Stepper& stepper) -> Result<Arrival> {
        Timeline& timeline = stepper.timeline();
        const auto branch = timeline.branches().find(id);
        const Position end = branch == timeline.branches().end() ? Position{}
                             : id == timeline.present().id       ? timeline.end()
                                                                 : branch->second.end;
        if (auto gone = timeline.switch_to(id, end); !gone.ok())
            return gone.error();
        return Arrival{Arrival::End::Present, fmt::format("the end of branch {}", id), ExitCode::Ok};
    });
    if (session_.timeline() != nullptr)
        branch_ = session_.timeline()->present().id;
}

// A key in the past.
void RunControl::notice_branch() {
    if (session_.timeline() == nullptr || session_.timeline()->present().id == branch_)
        return;
    const Timeline::Branch& branch = session_.timeline()->present();
    status_ = fmt::format("this is branch {} now; branch {} keeps what came next before", branch.id, branch.parent);
    branch_ = branch.id;
}

void RunControl::advance(double seconds) {
    notice_branch();
    add_why();
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
        const bool from_past = in_past();
        Cycles cycles = rate / kSlicesPerSecond;
        if (from_past)
            cycles = std::clamp<Cycles>(session_.timeline()->end().cycle - before, 1, cycles);
        ++moves_;
        const bool goes_on = session_.run_slice(cycles);
        // A debugger may have gone back.
        owed_ -=
            machine.now() >= before ? static_cast<double>(machine.now() - before) / static_cast<double>(rate) : slice;
        if (!goes_on)
            return stop(session_.outcome().why);
        if (session_.debugger() != nullptr && session_.debugger()->wants() == Debugger::Wants::Hold)
            return follow(*session_.debugger());
        const bool debugged = session_.debugger() != nullptr && session_.debugger()->attached();
        if (from_past && !in_past() && !debugged)
            return stop("the present: all that was run so far");
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

void RunControl::describe(View& view) {
    view.running = running_;
    view.mips = mips_;
    view.status = !moving_.empty() ? fmt::format("{}; Esc ends it", moving_)
                  : running_       ? status_
                                   : fmt::format("{}; at {}", status_, view.code.place);
    view.registers.compare = !running_ && stops_ > 1;
    view.registers.before = at_stop_before_;
    view.answer = answer_;
    if (stepper_)
        view.points = observe_points(*stepper_);
    if (session_.timeline() == nullptr)
        return;
    const bool due = running_ ? moves_ - looked_ > kSlicesPerLook : moves_ != looked_;
    if (due && moving_.empty()) { // else it is somewhere on the way
        marks_.look(*session_.timeline(), session_.tracer());
        looked_ = moves_;
    }
    view.timeline = marks_.view(*session_.timeline());
}

} // namespace forkscope::ui
