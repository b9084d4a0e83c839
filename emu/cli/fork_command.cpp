// forkscope fork: run a workload, and report one of its forks.
#include "emu/base/log.hpp"
#include "emu/cli/commands.hpp"
#include "emu/cli/tracepoint_cost.hpp"
#include "emu/files/interruption.hpp"
#include "emu/report/fork_comparison.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/session/recording/recorded_run.hpp"

namespace forkscope {

namespace {

Result<const ForkRecord*> fork_numbered(const ForkTracer& tracer, u64 number) {
    const ForkStore& forks = tracer.forks();
    const ForkRecord* current = tracer.current();
    const ForkRecord* fork = current != nullptr && current->number == number ? current : forks.find(number);
    if (fork != nullptr)
        return fork;
    const u64 last = std::max(forks.empty() ? 0 : forks.back().number, current != nullptr ? current->number : 0);
    if (last == 0)
        return Error{fmt::format("--fork {}: there was no fork; check --workload and --append", number)};
    if (number > last)
        return Error{fmt::format("--fork {}: there were only the forks 1 to {}; choose one of them", number, last)};
    return Error{fmt::format("--fork {}: it was forgotten to bound memory; choose one of the forks {} to {}", number,
                             forks.empty() ? last : forks.front().number, last)};
}

// The workload's first that has its lists.
const ForkRecord* first_of_workload(const ForkTracer& tracer) {
    const std::vector<const ForkRecord*> forks = workload_forks(tracer.forks());
    return forks.empty() ? tracer.last() : first_whole(forks);
}

// nullptr: there was none.
Result<const ForkRecord*> chosen_fork(const Session& session, const Options& options, const Outcome& outcome) {
    const ForkTracer& tracer = *session.tracer();
    if (options.fork_number != 0)
        return fork_numbered(tracer, options.fork_number);
    const bool stopped = !options.until.empty() && outcome.code == ExitCode::Ok;
    if (!stopped)
        return first_of_workload(tracer);
    return tracer.current() != nullptr ? tracer.current() : tracer.last();
}

// The run made no fork: what the guest has said tells why.
Result<ExitCode> no_fork(Session& session, Outcome outcome) {
    if (outcome.code != ExitCode::Ok) {
        outcome.message = with_words(outcome.message, session);
        return conclude(session, outcome, {}, Found::Nothing);
    }
    const std::string why =
        session.machine().restored_without("forks")
            ? "no fork began after the snapshot's place, and it was saved without the forks before; save one with "
              "`step` or the window"
            : "the guest ended without a fork; check --workload and the kernel's command line";
    return conclude(session, outcome, Error{with_words(why, session)}, Found::Nothing);
}

Result<void> print_fork(Session& session, const Options& options, const ForkRecord& fork) {
    ForkReportOptions report;
    report.symbols = &session.symbols();
    if (!options.own_kernel())
        report.tracepoint = tracepoint_cost(options.machine);
    report.parent_pages = ParentPages(session.machine().config().command_line);
    report.profile = session.profile();
    for (u32 cause = 0; cause < static_cast<u32>(CycleCause::Count); ++cause)
        report.estimated_causes |=
            session.machine().cpu().cost_model().estimated(static_cast<CycleCause>(cause)) ? 1u << cause : 0;
    const ForkStore& forks = session.tracer()->forks();
    if (!options.json && !forks.empty())
        if (auto printed = print(document_text(fork_tree_document(forks, fork.number)) + "\n", patience_of(options));
            !printed.ok())
            return printed;
    return print_document(fork_document(fork, report), options);
}

void tell_of_other_findings(const ForkStore& forks, u64 shown) {
    for (const ForkRecord& fork : forks)
        if (fork.number != shown && !fork.findings.empty())
            return tell(fmt::format("there are findings in fork {}: see --fork {}", fork.number, fork.number));
}

} // namespace

Result<ExitCode> fork_command(Options options) {
    const Interruption interruption; // a recording or a snapshot takes its time to open
    if (auto adopted = adopt_recording(options); !adopted.ok())
        return adopted.error();
    options.machine.command_line = workload_command_line(options);
    if (options.serial.empty())
        options.serial = "none";
    options.trace_forks = true;
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    Outcome outcome = session.run_to_end();
    Result<void> shown = write_screenshot(session, options);
    const auto fork = chosen_fork(session, options, outcome);
    if (!fork.ok())
        return conclude(session, outcome, fork.error(), Found::Nothing);
    if (*fork == nullptr)
        return shown.ok() ? no_fork(session, std::move(outcome)) : conclude(session, outcome, shown, Found::Nothing);
    if (session.machine().restored_without("forks"))
        tell("the snapshot was saved without the forks before its place: only those that began after it are reported");
    if ((*fork)->trimmed && (*fork)->ptes.empty())
        tell(fmt::format("fork {}: list dropped to bound memory; its counts are whole", (*fork)->number));
    const bool in_progress = *fork == session.tracer()->current();
    if (shown.ok())
        shown = print_fork(session, options, in_progress ? *session.tracer()->so_far() : **fork);
    const ForkStore& forks = session.tracer()->forks();
    tell_of_other_findings(forks, (*fork)->number);
    const Found found = (*fork)->findings.empty() ? found_in(forks) : Found::Findings;
    if (outcome.code == ExitCode::GuestPanic)
        outcome.message = with_words(outcome.message, session);
    return conclude(session, outcome, shown, found);
}

} // namespace forkscope
