#include "emu/cli/commands.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emu/report/counter_report.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/report/tlb_report.hpp"
#include "emu/session/session.hpp"
#include "emu/trace/trace_text.hpp"
#include "emu/ui/picture.hpp"
#include "emu/ui/window.hpp"

namespace forkscope {

Display automatic_display() {
    const auto named = [](const char* variable) {
        const char* value = std::getenv(variable);
        return value != nullptr && *value != 0;
    };
    if (!named("DISPLAY") && !named("WAYLAND_DISPLAY"))
        return Display::None;
    const auto display = probe_display();
    if (!display.ok())
        std::fprintf(stderr, "forkscope: %s; going on without a window\n", display.error().message.c_str());
    return display.ok() ? Display::Window : Display::None;
}

Result<void> print(std::string_view text) {
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!written)
        return Error{fmt::format("cannot write to standard output: {}; free some space or choose another place",
                                 std::strerror(errno))};
    return {};
}

Result<void> print_document(const Document& document, const Options& options) {
    return print(options.json ? document_json(document) : document_text(document));
}

namespace {

// The kernel's command line for a fork workload that runs and then powers off. `run=` takes the rest of the line.
std::string workload_command_line(const Options& options) {
    const std::string& line = options.machine.command_line;
    if (names_workload(line))
        return line;
    if (!options.load_path.empty() && !options.given("--pages") && !options.given("--parent-pages") &&
        !options.given("--workload"))
        return line; // the saved machine has its workload already
    const std::string workload =
        options.workload.empty() ? fmt::format("forkdemo --pages {} --parent {}", options.pages, options.parent_pages)
                                 : options.workload;
    return (line.empty() ? "" : line + " ") + "run=" + workload;
}

// What the guest says at its end, then the host's files, decide the code: the first trouble wins.
Result<ExitCode> conclude(Session& session, const Outcome& outcome) {
    if (!outcome.message.empty())
        std::fprintf(stderr, "forkscope: %s\n", outcome.message.c_str());
    if (auto finished = session.finish(); !finished.ok())
        return finished.error();
    return outcome.code;
}

CpuCounts counts_of(const Cpu& cpu) {
    CpuCounts counts;
    counts.instructions = cpu.instructions();
    counts.cycles = cpu.now();
    counts.halted_cycles = cpu.now() - cpu.count_of(Counted::UnhaltedCycles);
    counts.by_cause = cpu.cycles_by_cause();
    counts.interrupts = cpu.count_of(Counted::Interrupts);
    counts.branches = cpu.count_of(Counted::Branches);
    counts.mispredictions = cpu.count_of(Counted::Mispredictions);
    counts.data_cache_misses = cpu.count_of(Counted::DataCacheMisses);
    counts.code_cache_misses = cpu.count_of(Counted::CodeCacheMisses);
    counts.misaligned_accesses = cpu.count_of(Counted::Misaligned);
    return counts;
}

Result<void> print_info(Session& session, const Options& options) {
    if (options.info == Info::None)
        return {};
    if (options.info == Info::Counters) {
        const CpuCounts counts = counts_of(session.machine().cpu());
        const Mmu& mmu = session.machine().mmu();
        return print_document(counter_document(counts, mmu), options);
    }
    const TlbView tlb = tlb_view(session.machine().mmu());
    const auto name = [&](u32 address) {
        const Machine& machine = session.machine();
        const u32 space = machine.mmu().control().space_of(machine.registers().cr3).root;
        const Location location = session.symbols().lookup(space, address);
        return location.known() ? location.text() : fmt::format("{:08x}", address);
    };
    return print_document(tlb_document(tlb, name), options);
}

Result<void> write_screenshot(Session& session, const Options& options) {
    if (options.screenshot_path.empty())
        return {};
    return save_screenshot(session.machine(), session.tracer(), session.symbols(), options.screenshot_path);
}

} // namespace

Result<ExitCode> run_command(Options options) {
    const bool stepping = options.command == Command::Step;
    if (options.display == Display::Automatic)
        options.display = automatic_display();
    const bool window = options.display == Display::Window;
    if (stepping) {
        options.machine.command_line = workload_command_line(options);
        if (options.until.empty())
            options.until = "stop:1";
    }
    if (!window && options.serial.empty())
        options.serial = "stdio";
    // What is saved inside a fork shall come back inside that fork.
    options.trace_forks = window || !options.screenshot_path.empty() || stepping || !options.save_path.empty();
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    Outcome outcome;
    if (window) {
        if (auto shown = show_window(session); !shown.ok())
            return shown.error();
        outcome = session.outcome();
    } else {
        outcome = session.run_to_end();
        if (stepping)
            std::fprintf(stderr, "forkscope: stopped at %s after %llu instructions: %s\n", session.place().c_str(),
                         static_cast<unsigned long long>(session.machine().instructions()), outcome.why.c_str());
    }
    if (auto written = write_screenshot(session, options); !written.ok())
        return written.error();
    if (auto printed = print_info(session, options); !printed.ok())
        return printed.error();
    return conclude(session, outcome);
}

// The first fork after the workload says that it begins; without tracepoints the first of all.
static const ForkRecord* chosen_fork(const ForkTracer& tracer) {
    for (const ForkRecord& fork : tracer.forks())
        if (fork.in_workload)
            return &fork;
    return tracer.last();
}

Result<ExitCode> fork_command(Options options) {
    options.machine.command_line = workload_command_line(options);
    if (options.serial.empty())
        options.serial = "none";
    options.trace_forks = true;
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    const ForkTracer& tracer = *session.tracer();
    const Outcome outcome = session.run_to_end();
    if (auto written = write_screenshot(session, options); !written.ok())
        return written.error();
    const ForkRecord* fork = chosen_fork(tracer);
    if (fork == nullptr) {
        if (outcome.code != ExitCode::Ok)
            return conclude(session, outcome);
        return Error{
            session.machine().restored_without("forks")
                ? "no fork began after the snapshot's place, and it was saved without the forks before; save one "
                  "with `step` or the window"
                : "the guest ended without a fork; check --workload and the kernel's command line"};
    }
    if (session.machine().restored_without("forks"))
        std::fprintf(stderr,
                     "forkscope: the snapshot was saved without the forks before its place: only those that began "
                     "after it are reported\n");
    ForkReportOptions report;
    report.symbols = &session.symbols();
    report.layout = session.symbols().layout();
    report.profile = options.kernel_path.empty() ? find_fork_profile(options.os) : nullptr;
    for (u32 cause = 0; cause < static_cast<u32>(CycleCause::Count); ++cause)
        report.estimated_causes |=
            session.machine().cpu().cost_model().estimated(static_cast<CycleCause>(cause)) ? 1u << cause : 0;
    if (!options.json)
        if (auto printed = print(document_text(fork_tree_document(tracer.forks(), fork->number)) + "\n"); !printed.ok())
            return printed.error();
    if (auto printed = print_document(fork_document(*fork, report), options); !printed.ok())
        return printed.error();
    return conclude(session, outcome);
}

Result<ExitCode> record_command(Options options) {
    // Whoever gives a command line or a kernel, and no workload, records that.
    const bool asked = options.given("--workload") || options.given("--pages") || options.given("--parent-pages");
    if (asked || (options.machine.command_line.empty() && options.kernel_path.empty()))
        options.machine.command_line = workload_command_line(options);
    if (options.serial.empty())
        options.serial = "none";
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    const Outcome outcome = session.run_to_end();
    auto code = conclude(session, outcome);
    if (code.ok())
        std::fprintf(stderr, "forkscope: %llu instructions recorded in %s\n",
                     static_cast<unsigned long long>(session.machine().instructions()), options.trace_path.c_str());
    return code;
}

Result<ExitCode> trace_command(const Options& options) {
    std::vector<TraceKind> kinds;
    for (const std::string& name : options.kinds) {
        const auto kind = trace_kind_named(name);
        if (!kind)
            return Error{
                fmt::format("--kind '{}': no such kind of event; `forkscope trace stat FILE` names those in a file",
                            name),
                ExitCode::Usage};
        kinds.push_back(*kind);
    }
    auto trace = TraceFileReader::open(options.trace_file);
    if (!trace.ok())
        return trace.error();
    Result<void> printed;
    const auto out = [&](std::string_view text) {
        if (printed.ok())
            printed = print(text);
    };
    Result<void> read;
    if (options.command == Command::TraceInfo)
        out(trace_info(*trace));
    else if (options.command == Command::TraceDump)
        read = trace_dump(*trace, {kinds, 0, ~u64{0}, options.most_lines}, out);
    else
        read = trace_stat(*trace, out);
    if (!printed.ok())
        return printed.error();
    if (!read.ok())
        return read.error();
    return ExitCode::Ok;
}

} // namespace forkscope
