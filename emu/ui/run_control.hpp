// Owns: whether the window's machine runs or is stopped, how far it runs a frame, and its moves both ways.
// Callers: the window. Promises: a guest that may wait for keys runs in slices and never ahead of real time; long moves
// can be ended, and say where they led; the guest feels nothing: only the session and the stepper move the machine.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "emu/report/stepper/step_commands.hpp"
#include "emu/session/session.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

class RunControl {
  public:
    explicit RunControl(Session& session);

    // Asked now and then while a move takes long: true ends it.
    void set_interrupted(std::function<bool()> asked);

    void obey(const Command& command);
    // Runs for one frame of the window. `seconds`: of real time since the frame before.
    void advance(double seconds);

    bool running() const { return running_; }
    bool in_past() const { return session_.timeline() != nullptr && session_.timeline()->in_past(); }
    // Counts up whenever the machine may have moved.
    u64 moves() const { return moves_; }
    // What the views are to look at.
    const Choices& choices() const { return choices_; }
    // A word for the person: an answer that nobody has asked the machine for.
    void notice(std::string text);
    // How often there was a new answer.
    u64 answers() const { return answers_; }
    // Adds status, speed, the history, the registers of the stop before, breakpoints and the last answer.
    void describe(View& view);

  private:
    void start(std::string status);
    void start_to(const GrainName& grain);
    void stop(std::string status);
    void measure(double seconds);
    void follow(Debugger& debugger);
    void move(Grain grain, Way way);
    void arrive(std::string looking, const std::function<Result<Arrival>(Stepper&)>& travel);
    void go_to_branch(u32 id);
    void notice_branch();
    bool obey_with_debugger(const Command& command);
    void inspect(const Subject& subject);
    void execute(const std::string& words);
    void answer(std::string title, const std::string& text, std::vector<Inspection::Offer> offers = {});
    void add_why();

    Session& session_;
    std::optional<Stepper> stepper_; // nothing: no past is kept
    std::optional<StepCommands> commands_;
    Choices choices_;
    AnswerView answer_;
    u64 answers_ = 0;
    std::string why_;    // asked once it is sure that the click was no double one
    double why_due_ = 0; // in host seconds
    TimelineMarks marks_;
    u32 branch_ = 0;
    u32 wanted_ = 0; // the stop condition that a button asked for; 0: none
    bool running_ = true;
    bool held_ = false; // by a debugger
    std::string status_ = "the guest runs";
    std::string moving_; // what a move that is under way looks for
    CpuState at_stop_, at_stop_before_;
    u32 stops_ = 0;
    u64 moves_ = 0;
    u64 looked_ = ~u64{0}; // at the tracer, after so many
    double owed_ = 0;      // seconds of simulated time
    double measured_seconds_ = 0;
    u64 measured_from_ = 0;
    double mips_ = 0;
};

} // namespace forkscope::ui
