#include "emu/cli/commands.hpp"

#include <cerrno>
#include <csignal>
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

// Full disks and readers that go away are errors to be reported, not signals to die of.
void set_up_host() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
}

bool has_display() {
    const char* x11 = std::getenv("DISPLAY");
    const char* wayland = std::getenv("WAYLAND_DISPLAY");
    return (x11 != nullptr && *x11 != 0) || (wayland != nullptr && *wayland != 0);
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

std::string workload_command_line(const Options& options) {
    const std::string workload =
        options.workload.empty() ? fmt::format("forkdemo --pages {} --parent {}", options.pages, options.parent_pages)
                                 : options.workload;
    // `run=` takes the rest of the line.
    return (options.append.empty() ? "" : options.append + " ") + "run=" + workload;
}

namespace {

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
    if (options.info.empty())
        return {};
    if (options.info == "counters") {
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

Result<ExitCode> run_command(const Options& options) {
    Options chosen = options;
    const bool stepping = options.command == Command::Step;
    if (chosen.display == Display::Automatic)
        chosen.display = has_display() ? Display::Window : Display::None;
    if (chosen.display == Display::Terminal)
        return Error{"the terminal display is not supported yet; choose --display sdl or --display none",
                     ExitCode::Usage};
    if (stepping) {
        chosen.append = workload_command_line(options);
        if (chosen.until.empty())
            chosen.until = "stop:1";
    }
    if (chosen.display == Display::None && chosen.serial.empty())
        chosen.serial = "stdio";
    auto created = Session::create(chosen);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    Outcome outcome;
    if (chosen.display == Display::Window || !chosen.screenshot_path.empty() || stepping)
        session.trace_forks();
    if (chosen.display == Display::Window) {
        const auto shown = show_window(session);
        if (!shown.ok())
            return shown.error();
        outcome = session.outcome();
    } else {
        outcome = session.run_to_end();
    }
    if (auto written = write_screenshot(session, chosen); !written.ok())
        return written.error();
    if (auto printed = print_info(session, chosen); !printed.ok())
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
    options.append = workload_command_line(options);
    if (options.serial.empty())
        options.serial = "none";
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    const ForkTracer& tracer = session.trace_forks();
    const Outcome outcome = session.run_to_end();
    if (auto written = write_screenshot(session, options); !written.ok())
        return written.error();
    const ForkRecord* fork = chosen_fork(tracer);
    if (fork == nullptr) {
        if (outcome.code != ExitCode::Ok)
            return conclude(session, outcome);
        return Error{"the guest ended without a fork; check --workload and the kernel's command line"};
    }
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
    if (options.workload.empty() && !options.pages_given && !options.append.empty())
        options.workload.clear();
    else if (options.kernel_path.empty())
        options.append = workload_command_line(options);
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
