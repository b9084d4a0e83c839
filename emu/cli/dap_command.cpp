// `forkscope dap`: an editor starts the program and says by its launch request what to run.
#include <unistd.h>

#include "emu/cli/commands.hpp"
#include "emu/debug/dap/server.hpp"

namespace forkscope {

namespace {

// As after `forkscope step`; but standard output carries the protocol, and commands come from the client.
Result<Options> options_of(const std::vector<std::string>& given) {
    std::vector<std::string> words{"forkscope", "step"};
    words.insert(words.end(), given.begin(), given.end());
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    auto options = parse_options(static_cast<int>(pointers.size()), pointers.data());
    if (!options.ok())
        return Error{"args: " + options.error().message, options.error().code};
    const auto bad = [](std::string_view why) { return Error{fmt::format("args: {}", why), ExitCode::Usage}; };
    if (options->command != Command::Step)
        return bad("give options of 'forkscope step', without a command");
    if (!options->step_commands.empty() || !options->step_script.empty())
        return bad("commands are given in the client's console, not by -c or --script");
    for (const std::string& where : {options->serial, options->debug_console})
        if (where.starts_with("stdio"))
            return bad("standard output carries the protocol; the guest's words come as output events");
    options->display = Display::None;
    if (auto prepared = prepare_stepping(*options); !prepared.ok())
        return prepared.error();
    return options;
}

} // namespace

Result<ExitCode> dap_command() { return serve_dap(STDIN_FILENO, STDOUT_FILENO, options_of); }

} // namespace forkscope
