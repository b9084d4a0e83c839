// forkscope: parse, choose, do, report.
#include <new>

#include "emu/base/log.hpp"
#include "emu/cli/commands.hpp"
#include "emu/cli/process.hpp"

namespace forkscope {

namespace {

Result<ExitCode> dispatch(Options options) {
    switch (options.command) {
    case Command::Help:
    case Command::Version: {
        const auto printed = print(options.help_text);
        return printed.ok() ? Result<ExitCode>(ExitCode::Ok) : printed.error();
    }
    case Command::Default:
        if (auto window = automatic_window(); window != nullptr)
            return run_command(std::move(options), std::move(window));
        return fork_command(std::move(options));
    case Command::Step:
        if (steps_by_lines(options))
            return step_by_lines(std::move(options));
        return run_command(std::move(options));
    case Command::Dap:
        return dap_command();
    case Command::Run:
    case Command::Debug:
        return run_command(std::move(options));
    case Command::Fork:
        return fork_command(std::move(options));
    case Command::Compare:
        return compare_command(options);
    case Command::Record:
        return record_command(std::move(options));
    case Command::Replay:
        return replay_command(options);
    case Command::TraceInfo:
    case Command::TraceDump:
    case Command::TraceStat:
        return trace_command(options);
    case Command::TraceQuery:
        return trace_query_command(options);
    }
    return ExitCode::RuntimeError;
}

int report(const Error& error) {
    if (!error.message.empty())
        tell(error.message);
    return static_cast<int>(error.code);
}

int run_program(int argc, char** argv) {
    auto options = parse_options(argc, argv);
    if (!options.ok())
        return report(options.error());
    auto code = dispatch(std::move(options).value());
    return code.ok() ? static_cast<int>(*code) : report(code.error());
}

} // namespace

} // namespace forkscope

int main(int argc, char** argv) {
    using namespace forkscope;
    set_up_process();
    try {
        return run_program(argc, argv);
    } catch (const std::bad_alloc&) {
        return report_no_memory();
    }
}
