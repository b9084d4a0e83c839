// Owns: what each word after `forkscope` does.
// Callers: main. Promises: returns the exit code of README's list; prints results on stdout, everything else on stderr.
#pragma once

#include "emu/cli/options.hpp"
#include "emu/files/outlet.hpp"
#include "emu/report/document.hpp"
#include "emu/session/session.hpp"
#include "emu/ui/window.hpp"

namespace forkscope {

// `window` is given where one has been opened already.
Result<ExitCode> run_command(Options options, std::unique_ptr<Window> window = {});
Result<ExitCode> fork_command(Options options);
Result<ExitCode> compare_command(const Options& options);
Result<ExitCode> record_command(Options options);
Result<ExitCode> replay_command(const Options& options);
Result<ExitCode> trace_command(const Options& options);
Result<ExitCode> trace_query_command(const Options& options);
// `step` with commands, a script, or a person at the terminal; else it is run_command's.
bool steps_by_lines(const Options& options);
bool sits_at_terminal();
// Ctrl-C came while the session was made.
Result<ExitCode> stopped_while_opening();
Result<ExitCode> step_by_lines(Options options);
// What a session for the stepper needs besides what the person asked for.
Result<void> prepare_stepping(Options& options);
Result<ExitCode> dap_command();

// The window in which the guest's screen is shown if nobody says where; nullptr: none can be opened here. Says on
// stderr why not where a display is named.
std::unique_ptr<Window> automatic_window();
// Writes to stdout what steers no terminal, and checks that it arrived. A reader that has seen enough is an Error
// without words; one that takes nothing for `patience` milliseconds is one with words.
Result<void> print(std::string_view text, int patience = Outlet::kForEver);
int patience_of(const Options& options);
// A report as the person asked for it: text, or JSON.
Result<void> print_document(const Document& document, const Options& options);

// The kernel's command line for a fork workload that runs and then powers off. A kernel of the person's own gets what
// --append says.
std::string workload_command_line(const Options& options);
Result<void> write_screenshot(Session& session, const Options& options);
// A message, and the last that the guest has said.
std::string with_words(const std::string& message, const Session& session);
// What the guest says at its end, then the report, then the host's files decide the code: the first trouble wins.
enum class Found : u8 { Nothing, Findings };
Result<ExitCode> conclude(Session& session, const Outcome& outcome, const Result<void>& shown, Found found);
Found found_in(const ForkStore& forks);
// A guest's panic weighs more than findings, and they more than a limit.
ExitCode with_findings(ExitCode code, bool findings);

} // namespace forkscope
