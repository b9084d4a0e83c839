// Owns: what each word after `forkscope` does.
// Callers: main. Promises: returns the exit code of README's list; prints results on stdout, everything else on stderr.
#pragma once

#include "emu/cli/options.hpp"
#include "emu/report/document.hpp"

namespace forkscope {

Result<ExitCode> run_command(Options options);
Result<ExitCode> fork_command(Options options);
Result<ExitCode> compare_command(const Options& options);
Result<ExitCode> record_command(Options options);
Result<ExitCode> trace_command(const Options& options);

// Where the guest's screen is shown if nobody says: in a window, if one can be opened here. Says on stderr why not
// where a display is named.
Display automatic_display();
// Writes to stdout and checks that it arrived.
Result<void> print(std::string_view text);
// A report as the person asked for it: text, or JSON.
Result<void> print_document(const Document& document, const Options& options);

} // namespace forkscope
