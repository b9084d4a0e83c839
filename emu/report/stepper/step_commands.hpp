// Owns: StepCommands, the stepper's commands as words, and their answers as text and data.
// Callers: line mode, terminal, window's command line, DAP. Promises: the same commands everywhere; any text gets an
// answer; what goes wrong says what to do and changes nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "emu/report/document.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "emu/session/stepper/why.hpp"

namespace forkscope {

struct StepAnswer {
    Object data;                  // for JSON: "command", "ok", then what the command found
    std::string text;             // for people, lines without the last line's end
    ExitCode code = ExitCode::Ok; // Usage: not understood; Findings: what was expected is not so
    bool moved = false;           // the machine may be elsewhere now
    bool quit = false;
};

struct StepCommandHelp {
    std::string_view words, text;
};
std::span<const StepCommandHelp> step_command_help();

class StepCommands {
  public:
    explicit StepCommands(Stepper& stepper)
        : stepper_(stepper), why_(stepper.session(), [&stepper] { return stepper.interrupted(); }) {}

    // One command. An empty one repeats the last move.
    StepAnswer execute(std::string_view line);
    // Whether a line begins with a command.
    static bool knows(std::string_view line);
    // Where the machine stands: place, position, source line.
    std::string where_text() const;

  private:
    struct Words {
        std::string_view first; // the command
        std::string_view rest;  // without blanks around it
    };
    using Handler = StepAnswer (StepCommands::*)(std::string_view rest);
    struct Command {
        std::string_view name, short_name;
        Handler handler;
        bool alone = false; // takes no more words
    };
    static std::span<const Command> commands();
    static const Command* command_named(std::string_view word);

    StepAnswer arrived(const Result<Arrival>& arrival);
    void add_position(Object& data) const;
    StepAnswer move(std::string_view rest, Way way);
    StepAnswer travel(std::string_view rest, Way way);
    Session& session() const { return stepper_.session(); }
    u32 space() const;
    Result<u32> given(std::string_view address) const;

    // step_commands.cpp
    StepAnswer step(std::string_view rest);
    StepAnswer back(std::string_view rest);
    StepAnswer next(std::string_view rest);
    StepAnswer finish(std::string_view rest);
    StepAnswer go_on(std::string_view rest);
    StepAnswer reverse(std::string_view rest);
    StepAnswer go_to(std::string_view rest);
    StepAnswer mark(std::string_view rest);
    StepAnswer set_break(std::string_view rest);
    StepAnswer remove(std::string_view rest);
    StepAnswer list_breaks(std::string_view rest);
    StepAnswer branches(std::string_view rest);
    StepAnswer drop_branch(std::string_view rest);
    StepAnswer type(std::string_view rest);
    StepAnswer set(std::string_view rest);
    StepAnswer help(std::string_view rest);
    StepAnswer quit(std::string_view rest);
    // look_commands.cpp
    StepAnswer where(std::string_view rest);
    StepAnswer stack(std::string_view rest);
    StepAnswer print(std::string_view rest);
    StepAnswer locals(std::string_view rest);
    StepAnswer registers(std::string_view rest);
    StepAnswer source(std::string_view rest);
    StepAnswer memory(std::string_view rest);
    StepAnswer physical(std::string_view rest);
    StepAnswer entry(std::string_view rest);
    StepAnswer tlb(std::string_view rest);
    StepAnswer follow_forks(std::string_view rest);
    StepAnswer fork(std::string_view rest);
    StepAnswer screen(std::string_view rest);
    StepAnswer expect(std::string_view rest);
    StepAnswer why(std::string_view rest); // why_command.cpp
    StepAnswer dump(std::string_view rest, bool is_physical);

    Stepper& stepper_;
    Why why_;
    std::string last_move_;
    std::size_t row_ = 0; // of the stack, for print
};

} // namespace forkscope
