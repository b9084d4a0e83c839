// forkscope compare: the same workload on several systems, side by side.
#include <array>

#include "emu/base/log.hpp"
#include "emu/cli/commands.hpp"
#include "emu/cli/tracepoint_cost.hpp"
#include "emu/files/interruption.hpp"
#include "emu/machine/images.hpp"
#include "emu/report/fork_comparison.hpp"
#include "emu/session/options/option_values.hpp"
#include "emu/session/session.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kForksKeptWhole = 2048; // the constant is named page by page for each
constexpr u64 kMostSeconds = 600;             // of simulated time, where no --limit is given: a guest may hang

struct NamedWorkload {
    const char* name;
    const char* command;
};
constexpr std::array kWorkloads = {
    NamedWorkload{"fork-exit", "forkwork fork-exit"},
    NamedWorkload{"fork-exec", "forkwork fork-exec"},
    NamedWorkload{"child-writes-0", "forkwork child-writes 0"},
    NamedWorkload{"child-writes-10", "forkwork child-writes 10"},
    NamedWorkload{"child-writes-50", "forkwork child-writes 50"},
    NamedWorkload{"child-writes-100", "forkwork child-writes 100"},
    NamedWorkload{"parent-writes", "forkwork parent-writes"},
    NamedWorkload{"chain", "forkwork chain"},
    NamedWorkload{"regions", "forkwork regions"},
    NamedWorkload{"forkstorm", "forkstorm 20"},
};

std::string command_of(const std::string& workload) {
    for (const NamedWorkload& known : kWorkloads)
        if (workload == known.name)
            return known.command;
    return workload;
}

struct Run {
    ForkTally tally;
    ExitCode code = ExitCode::Ok;
};

Result<Run> run_one(const Options& options, const std::string& os, const std::string& command) {
    Options chosen = options;
    chosen.os = os;
    std::string& line = chosen.machine.command_line;
    line += (line.empty() ? "run=" : " run=") + command;
    chosen.serial = "none";
    chosen.trace_forks = true;
    chosen.forks_kept_whole = kForksKeptWhole;
    auto created = Session::create(chosen);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    if (chosen.limit.cycle == RunLimit{}.cycle && chosen.limit.instructions == RunLimit{}.instructions)
        session.stops().set_limit({.cycle = session.machine().cycles_per_second() * kMostSeconds});
    const ForkTracer& tracer = *session.tracer();
    const Outcome outcome = session.run_to_end();
    ForkReportOptions report;
    report.symbols = &session.symbols();
    report.profile = session.profile();
    report.parent_pages = ParentPages(line);
    Run run;
    run.tally = tally_forks(workload_forks(tracer.forks()), report);
    for (const ForkRecord& fork : tracer.forks())
        add_findings(run.tally, fork);
    run.tally.os = os;
    if (run.tally.system.empty())
        run.tally.system = os;
    run.code = outcome.code;
    run.tally.trouble = outcome.message.substr(0, outcome.message.find('\n'));
    if (outcome.code == ExitCode::GuestPanic && !session.stops().panicked() && session.machine().exit_status() != 0) {
        run.code = ExitCode::RuntimeError;
        run.tally.trouble =
            fmt::format("the workload `{}` failed with status {}", command, session.machine().exit_status());
    } else if (outcome.code == ExitCode::LimitReached && run.tally.trouble.empty()) {
        run.tally.trouble = "the limit was reached before the workload had ended";
    } else if (run.tally.forks == 0 && outcome.code == ExitCode::Ok) {
        run.code = ExitCode::RuntimeError;
        run.tally.trouble = fmt::format("the workload `{}` made no fork", command);
    }
    return run;
}

std::string machine_text(const Options& options) {
    const MachineConfig& machine = options.machine;
    return fmt::format("{}, {} MB, --clock {}, --tlb {}", show_value(machine.cpu), machine.ram_bytes >> 20,
                       show_value(machine.clock), study_text(machine.tlb, machine.tlb_seed));
}

} // namespace

Result<ExitCode> compare_command(const Options& options) {
    const Interruption interruption;
    ForkComparison comparison;
    comparison.workload = options.workload.empty() ? kWorkloads[0].name : options.workload;
    comparison.command = command_of(comparison.workload);
    comparison.machine = machine_text(options);
    comparison.tracepoint = tracepoint_cost(options.machine);
    ExitCode code = ExitCode::Ok;
    bool findings = false;
    for (const std::string& os : options.systems.empty() ? embedded_kernel_names() : options.systems) {
        auto run = run_one(options, os, comparison.command);
        if (!run.ok())
            return run.error();
        if (!run->tally.trouble.empty())
            tell(fmt::format("--os {}: {}", os, run->tally.trouble));
        // The first trouble wins, but all systems are shown.
        code = code == ExitCode::Ok ? run->code : code;
        findings = findings || !run->tally.findings.empty();
        comparison.systems.push_back(std::move(run->tally));
        if (Interruption::requested())
            break;
    }
    if (auto printed = print_document(comparison_document(comparison), options); !printed.ok())
        return printed.error();
    return with_findings(code, findings);
}

} // namespace forkscope
