#include "emu/cli/commands.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "emu/base/log.hpp"
#include "emu/base/text/printable.hpp"
#include "emu/cli/host_code_report.hpp"
#include "emu/debug/gdb_server.hpp"
#include "emu/files/interruption.hpp"
#include "emu/report/counter_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/report/tlb_report.hpp"
#include "emu/session/conditions/given_address.hpp"
#include "emu/session/recording/recorded_run.hpp"
#include "emu/session/recording/replay.hpp"
#include "emu/session/session.hpp"
#include "emu/terminal/terminal.hpp"
#include "emu/ui/picture.hpp"

namespace forkscope {

std::unique_ptr<Window> automatic_window() {
    const auto named = [](const char* variable) {
        const char* value = std::getenv(variable);
        return value != nullptr && *value != 0;
    };
    if (!named("DISPLAY") && !named("WAYLAND_DISPLAY"))
        return nullptr;
    auto window = Window::open();
    if (window.ok())
        return std::move(window).value();
    tell(window.error().message + "; going on without a window");
    return nullptr;
}

Result<void> print(std::string_view text, int patience) {
    static const Outlet outlet(STDOUT_FILENO);
    const std::string shown = printable(text);
    const Outlet::Delivery delivery = outlet.write_all(bytes_of_text(shown), patience);
    if (delivery.trouble == 0)
        return {};
    if (delivery.trouble == EPIPE) // `| head` has seen enough
        return Error{"", ExitCode::ReaderGone};
    const std::size_t lost = shown.size() - delivery.bytes;
    if (delivery.trouble == EINTR)
        return Error{
            fmt::format("Ctrl-C ended the wait for whoever reads standard output: {} bytes are lost; run again, "
                        "and read to the end",
                        lost)};
    if (delivery.trouble == ETIMEDOUT)
        return Error{fmt::format("nobody reads standard output: {} bytes are lost; read it, or run without --limit, "
                                 "which waits for a slow reader",
                                 lost)};
    return Error{fmt::format("cannot write to standard output: {}; free some space or choose another place",
                             std::strerror(delivery.trouble))};
}

// A pager may rest for as long as its user likes. Whoever sets a limit wants the program to end alone.
int patience_of(const Options& options) {
    constexpr int kPatience = 5000; // milliseconds without a byte read
    const bool limited =
        options.limit.cycle != RunLimit{}.cycle || options.limit.instructions != RunLimit{}.instructions;
    return limited ? kPatience : Outlet::kForEver;
}

Result<void> print_document(const Document& document, const Options& options) {
    return print(options.json ? document_json(document) : document_text(document), patience_of(options));
}

// `run=` takes the rest of the line.
std::string workload_command_line(const Options& options) {
    const std::string& line = options.machine.command_line;
    if (names_workload(line) || options.own_kernel() || options.recording != nullptr)
        return line;
    if (!options.load_path.empty() && !options.given("--pages") && !options.given("--parent-pages") &&
        !options.given("--workload"))
        return line; // the saved machine has its workload already
    const std::string workload =
        options.workload.empty() ? fmt::format("forkdemo --pages {} --parent {}", options.pages, options.parent_pages)
                                 : options.workload;
    return (line.empty() ? "" : line + " ") + "run=" + workload;
}

Result<ExitCode> conclude(Session& session, const Outcome& outcome, const Result<void>& shown, Found found) {
    if (!outcome.message.empty())
        tell(outcome.message);
    const auto finished = session.finish();
    if (!shown.ok())
        return shown.error();
    if (!finished.ok())
        return finished.error();
    return with_findings(outcome.code, found == Found::Findings);
}

Result<void> write_screenshot(Session& session, const Options& options) {
    if (options.screenshot_path.empty())
        return {};
    return save_screenshot(session.machine(), session.tracer(), session.symbols(), options.screenshot_path);
}

std::string with_words(const std::string& message, const Session& session) {
    const std::string words = session.last_words();
    return message + (message.empty() || words.empty() ? "" : "\n") + words;
}

Found found_in(const ForkStore& forks) {
    const bool any =
        std::any_of(forks.begin(), forks.end(), [](const ForkRecord& fork) { return !fork.findings.empty(); });
    return any ? Found::Findings : Found::Nothing;
}

ExitCode with_findings(ExitCode code, bool findings) {
    return findings && (code == ExitCode::Ok || code == ExitCode::LimitReached) ? ExitCode::Findings : code;
}

namespace {

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
    if (options.info.kind == InfoKind::None)
        return {};
    if (options.info.kind == InfoKind::Counters) {
        const CpuCounts counts = counts_of(session.machine().cpu());
        const Mmu& mmu = session.machine().mmu();
        return print_document(counter_document(counts, mmu), options);
    }
    const auto name_in = [&](u32 space, u32 address) {
        const Location location = session.symbols().lookup(space, address);
        return location.known() ? location.text() : fmt::format("{:08x}", address);
    };
    if (options.info.kind == InfoKind::Unmapped)
        return print_document(unmapped_document(session.unmapped()->state(), name_in), options);
    Machine& machine = session.machine();
    const u32 space = machine.mmu().control().space_of(machine.registers().cr3).root;
    if (options.info.kind == InfoKind::Code) {
        const auto address = given_address(options.info.address, machine, session.symbols(), space);
        if (!address.ok())
            return Error{fmt::format("--info code:{}: {}", options.info.address, address.error().message),
                         ExitCode::Usage};
        return print_document(host_code_document(machine, *address, [&](u32 at) { return name_in(space, at); }),
                              options);
    }
    const auto name = [&](u32 address) { return name_in(space, address); };
    return print_document(tlb_document(tlb_view(machine.mmu()), name), options);
}

// Where --gdb or `debug` ask for it; nullptr: nowhere.
Result<std::unique_ptr<GdbServer>> listen_for_gdb(Options& options) {
    if (options.command == Command::Debug) {
        options.start_held = true;
        options.gdb = options.gdb.empty() ? "127.0.0.1:1234" : options.gdb;
    }
    if (options.gdb.empty())
        return options.start_held ? Result<std::unique_ptr<GdbServer>>(Error{
                                        "-S waits for gdb: say where, with -s or --gdb HOST:PORT", ExitCode::Usage})
                                  : Result<std::unique_ptr<GdbServer>>(nullptr);
    const auto place = GdbPlace::parse(options.gdb);
    if (!place.ok())
        return place.error();
    return GdbServer::listen(*place);
}

void serve_gdb(GdbServer& server, Session& session, const Options& options) {
    server.serve(session, options.start_held ? AtStart::Hold : AtStart::Run);
    tell(fmt::format("{} gdb: target remote {}", options.start_held ? "stopped, waiting for" : "listening for",
                     server.where()));
}

// Where one is asked for, or where nobody says and there is a display.
Result<void> open_window(const Options& options, std::unique_ptr<Window>& window) {
    if (options.display == Display::Automatic && window == nullptr)
        window = automatic_window();
    if (options.display != Display::Window)
        return {};
    auto opened = Window::open();
    if (!opened.ok())
        return opened.error();
    window = std::move(opened).value();
    return {};
}

// Whoever asks for the terminal, or steps at one and has no window, unless something else is to come of it.
bool wants_terminal(const Options& options, bool has_window) {
    if (options.display != Display::Automatic || has_window)
        return options.display == Display::Terminal;
    return options.command == Command::Step && sits_at_terminal() && options.screenshot_path.empty() &&
           options.info.kind == InfoKind::None && options.gdb.empty();
}

// Nullptr: there can be none, as was said where somebody asked for it. Error: two want the terminal.
Result<std::unique_ptr<Terminal>> open_terminal(Options& options) {
    if (!options.gdb.empty())
        return Error{"gdb is served beside the window or headless, not beside --display tui", ExitCode::Usage};
    for (const std::string& place : {options.serial, options.debug_console})
        if (place.compare(0, 5, "stdio") == 0)
            return Error{"--display tui takes the terminal: connect --serial and --debugcon to file:F or pty",
                         ExitCode::Usage};
    auto terminal = Terminal::open();
    if (terminal.ok())
        return terminal;
    if (options.display == Display::Terminal)
        tell(terminal.error().message + "; going on without it");
    options.display = Display::None;
    return std::unique_ptr<Terminal>();
}

// Until the face is closed, or without one until the run ends.
enum class Starts : u8 { Runs, AtPlace }; // of a recording
Outcome show_and_run(Session& session, std::unique_ptr<Window>& window, Terminal* terminal, bool stepping,
                     Starts starts, Result<void>& shown) {
    Outcome outcome;
    if (window != nullptr) {
        window->show(session);
        window.reset();
        outcome = session.outcome_here();
        outcome.message.clear(); // the window has said it
    } else if (terminal != nullptr) {
        shown = terminal->show(session, starts == Starts::AtPlace ? Terminal::First::Stands
                                        : stepping                ? Terminal::First::ToStop
                                                                  : Terminal::First::ForGuest);
        outcome = session.outcome_here();
        outcome.message.clear();
    } else {
        if (starts == Starts::AtPlace)
            outcome = {ExitCode::Ok, "", "a place in the recording"};
        else
            outcome = session.run_to_end();
        if (stepping)
            tell(fmt::format("stopped at {} after {} instructions: {}", session.place(),
                             session.machine().instructions(), outcome.why));
        else if (session.silent() && outcome.code != ExitCode::ReaderGone)
            outcome.message = with_words(outcome.message, session);
    }
    return outcome;
}

} // namespace

bool sits_at_terminal() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0; }

Result<ExitCode> stopped_while_opening() {
    tell("stopped by Ctrl-C or a signal");
    return ExitCode::LimitReached;
}

Result<ExitCode> run_command(Options options, std::unique_ptr<Window> window) {
    std::optional<Interruption> interruption(std::in_place); // a recording or a snapshot takes its time to open
    const bool stepping = options.command == Command::Step;
    if (auto adopted = adopt_recording(options); !adopted.ok())
        return adopted.error();
    auto server = listen_for_gdb(options);
    if (!server.ok())
        return server.error();
    if (Interruption::requested())
        return stopped_while_opening();
    interruption.reset(); // window and terminal set handlers of their own, which hold from then on
    if (auto opened = open_window(options, window); !opened.ok())
        return opened.error();
    std::unique_ptr<Terminal> terminal;
    if (wants_terminal(options, window != nullptr)) {
        auto opened = open_terminal(options);
        if (!opened.ok())
            return opened.error();
        terminal = std::move(opened).value();
        if (stepping && steps_by_lines(options))
            return step_by_lines(std::move(options));
    }
    interruption.emplace();
    if (stepping) {
        options.machine.command_line = workload_command_line(options);
        if (options.until.empty() && options.recording == nullptr)
            options.until = "stop:1";
    }
    const bool has_face = window != nullptr || terminal != nullptr;
    if (!has_face && options.serial.empty())
        options.serial = "stdio";
    // What is saved inside a fork shall come back inside that fork.
    options.trace_forks =
        has_face || !options.screenshot_path.empty() || stepping || !options.save_path.empty() || *server;
    if (!options.given("--history") && (has_face || stepping || *server))
        options.history = TimelineLimits{}.bytes;
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    if (terminal != nullptr && options.history == 0) // a recording has one whatever is asked
        return Error{"the terminal steps both ways and needs a history; leave --history 0 away", ExitCode::Usage};
    if (Interruption::requested())
        return stopped_while_opening();
    if (has_face) // they have ways of their own
        interruption.reset();
    if (*server)
        serve_gdb(**server, session, options);
    Result<void> shown;
    const Outcome outcome =
        show_and_run(session, window, terminal.get(), stepping,
                     options.until.empty() && session.starts_paused() ? Starts::AtPlace : Starts::Runs, shown);
    if (shown.ok())
        shown = write_screenshot(session, options);
    if (shown.ok())
        shown = print_info(session, options);
    server->reset(); // it stops looking at the session before that goes
    return conclude(session, outcome, shown, stepping ? found_in(session.tracer()->forks()) : Found::Nothing);
}

Result<ExitCode> record_command(Options options) {
    // Whoever gives a command line or a kernel, and no workload, records that.
    const bool asked = options.given("--workload") || options.given("--pages") || options.given("--parent-pages");
    if (asked || (options.machine.command_line.empty() && options.kernel_path.empty()))
        options.machine.command_line = workload_command_line(options);
    if (options.serial.empty())
        options.serial = "none";
    const Interruption interruption; // a reader of the file may keep its beginning waiting
    auto created = Session::create(options);
    if (!created.ok())
        return created.error();
    Session& session = **created;
    const Outcome outcome = session.run_to_end();
    auto code = conclude(session, outcome, {}, Found::Nothing);
    if (code.ok())
        tell(fmt::format("{} instructions recorded in {}, with everything that was typed; see forkscope replay --help",
                         session.machine().instructions(), options.record_path));
    return code;
}

Result<ExitCode> replay_command(const Options& options) {
    const Interruption interruption;
    const auto recording = Recording::open(options.recording_path);
    if (!recording.ok())
        return recording.error();
    const auto result = replay(**recording, options.machine.engine);
    if (!result.ok())
        return result.error();
    if (const std::string& damage = (*recording)->damage(); !damage.empty())
        tell(fmt::format("the recording '{}' did not end in order: {}; the run is known up to instruction {}",
                         options.recording_path, damage, (*recording)->end().instructions));
    std::string text = fmt::format("{} instructions, {} hashes: equal\n", result->instructions, result->hashes);
    for (const std::string& line : result->differences)
        text += line + "\n";
    if (auto printed = print(text); !printed.ok())
        return printed.error();
    if (result->interrupted)
        tell("stopped by Ctrl-C or a signal");
    return !result->equal ? ExitCode::RuntimeError : result->interrupted ? ExitCode::LimitReached : ExitCode::Ok;
}

} // namespace forkscope
