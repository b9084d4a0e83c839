// `forkscope step` without a window: commands from the command line, a script, or a person at the prompt.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "emu/base/log.hpp"
#include "emu/cli/commands.hpp"
#include "emu/files/interruption.hpp"
#include "emu/files/read_file.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/stepper/step_commands.hpp"
#include "emu/session/recording/recorded_run.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostScript = u64{1} << 20;

// Lines and semicolons part commands; in quotes they do not. What follows a '#' at a line's beginning is a comment.
std::vector<std::string> commands_of(const std::string& text) {
    std::vector<std::string> commands;
    std::string command;
    bool quoted = false;
    const auto end = [&] {
        const std::size_t begin = command.find_first_not_of(" \t\r");
        if (begin != std::string::npos && command[begin] != '#')
            commands.push_back(command);
        command.clear();
    };
    for (const char c : text) {
        quoted = c == '"' ? !quoted : quoted && c != '\n';
        if (c == '\n' || (c == ';' && !quoted))
            end();
        else
            command += c;
    }
    end();
    return commands;
}

// One after the other; the first that fails ends a script, as `set -e` does.
class LineMode {
  public:
    LineMode(Session& session, const Options& options) : stepper_(session), commands_(stepper_), options_(options) {
        stepper_.set_interrupted([] { return Interruption::requested(); });
    }

    // False: no more commands are to be run.
    Result<bool> run(const std::string& command) {
        const StepAnswer answer = commands_.execute(command);
        code_ = answer.code;
        std::string text = answer.text;
        if (options_.json) {
            Document document;
            document.data = answer.data;
            text = document_json(document);
        } else if (!text.empty()) {
            text += '\n';
        }
        const bool failed = answer.code == ExitCode::Usage || answer.code == ExitCode::RuntimeError;
        if (failed && !options_.json)
            tell(answer.text);
        else if (auto printed = print(text, patience_of(options_)); !printed.ok())
            return printed.error();
        return !answer.quit;
    }
    ExitCode code() const { return code_; }
    std::string where() const { return commands_.where_text(); }

  private:
    Stepper stepper_;
    StepCommands commands_;
    const Options& options_;
    ExitCode code_ = ExitCode::Ok;
};

Result<ExitCode> run_script(LineMode& mode, const std::vector<std::string>& script) {
    ExitCode worst = ExitCode::Ok;
    for (const std::string& command : script) {
        const auto goes_on = mode.run(command);
        if (!goes_on.ok())
            return goes_on.error();
        if (mode.code() != ExitCode::Ok)
            worst = mode.code();
        if (Interruption::requested())
            return worst == ExitCode::Ok ? ExitCode::LimitReached : worst; // what was left to grade was not
        if (!*goes_on || (worst != ExitCode::Ok && worst != ExitCode::Findings))
            break;
    }
    return worst;
}

Result<ExitCode> talk(LineMode& mode) {
    if (auto printed = print(mode.where() + "\n'help' lists the commands; Enter repeats the last move\n");
        !printed.ok())
        return printed.error();
    for (std::string line;;) {
        std::fputs("(fork) ", stdout);
        std::fflush(stdout);
        if (!std::getline(std::cin, line))
            return ExitCode::Ok;
        const Interruption interruption; // of this command alone
        const auto goes_on = mode.run(line);
        if (!goes_on.ok())
            return goes_on.error();
        if (!*goes_on)
            return ExitCode::Ok;
    }
}

} // namespace

bool steps_by_lines(const Options& options) {
    const bool script = !options.step_commands.empty() || !options.step_script.empty();
    const bool person = options.display == Display::None && sits_at_terminal();
    return script ||
           (person && options.screenshot_path.empty() && options.info.kind == InfoKind::None && options.gdb.empty());
}

Result<void> prepare_stepping(Options& options) {
    if (auto adopted = adopt_recording(options); !adopted.ok())
        return adopted.error();
    options.machine.command_line = workload_command_line(options);
    options.trace_forks = true;
    if (options.given("--history") && options.history == 0)
        return Error{"the stepper needs a history; leave --history 0 away", ExitCode::Usage};
    if (!options.given("--history"))
        options.history = TimelineLimits{}.bytes;
    if (options.serial.empty())
        options.serial = "none";
    return {};
}

Result<ExitCode> step_by_lines(Options options) {
    std::optional<Interruption> interruption(std::in_place); // a recording or a snapshot takes its time to open
    if (auto prepared = prepare_stepping(options); !prepared.ok())
        return prepared.error();
    const bool to_first_stop = options.until.empty() && options.load_path.empty() && options.recording == nullptr;
    if (to_first_stop)
        options.until = "stop:1";
    std::vector<std::string> script;
    if (!options.step_script.empty()) {
        const std::string path = options.step_script == "-" ? "/dev/stdin" : options.step_script;
        auto bytes = read_file(path, "the script", kMostScript);
        if (!bytes.ok())
            return bytes.error();
        script = commands_of(std::string(bytes->begin(), bytes->end()));
    }
    for (std::string& command : commands_of(options.step_commands))
        script.push_back(std::move(command));
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    if (Interruption::requested())
        return stopped_while_opening();
    const bool runs = !session.starts_paused() || !options.until.empty();
    if (const Outcome outcome = runs ? session.run_to_end() : Outcome{}; outcome.code != ExitCode::Ok)
        tell(with_words(outcome.message.empty() ? outcome.why : outcome.message, session));
    LineMode mode(session, options);
    if (script.empty())
        interruption.reset();
    const auto code = script.empty() ? talk(mode) : run_script(mode, script);
    const auto finished = session.finish();
    if (!code.ok())
        return code;
    return finished.ok() ? code : finished.error();
}

} // namespace forkscope
