#include "emu/cli/options.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include <CLI/CLI.hpp>

#include "emu/machine/images.hpp"

namespace forkscope {

namespace {

// QEMU spells long options with one dash.
std::vector<std::string> normalise(int argc, char** argv) {
    static const std::map<std::string, std::string> kQemu = {
        {"-kernel", "--kernel"},       {"-initrd", "--initrd"},     {"-append", "--append"},
        {"-serial", "--serial"},       {"-debugcon", "--debugcon"}, {"-display", "--display"},
        {"-nographic", "--headless"},  {"-hda", "--hda"},           {"-cdrom", "--cdrom"},
        {"-no-reboot", "--no-reboot"}, {"-accel", "--accel"},       {"-cpu", "--cpu"}};
    std::vector<std::string> words;
    for (int i = 1; i < argc; ++i) {
        const auto known = kQemu.find(argv[i]);
        words.push_back(known != kQemu.end() ? known->second : argv[i]);
    }
    // Options alone, as QEMU is called, mean `run`.
    const bool only_options = !words.empty() && words[0].size() > 1 && words[0][0] == '-' && words[0] != "--help" &&
                              words[0] != "-h" && words[0] != "--version";
    if (only_options)
        words.insert(words.begin(), "run");
    return words;
}

// An empty word is a slip of the shell, never a choice.
const CLI::Validator
    kNotEmpty([](std::string& word) { return word.empty() ? std::string("is '': give a value") : std::string(); }, "",
              "not empty");

struct RawOptions {
    std::string memory = "64M";
    std::string engine = "block";
    std::string display = "auto";
    std::string limit;
    std::string tlb = "model";
    std::string clock = "flat";
    std::string bus;
    std::string cpu = std::string(model_of(kDefaultCpuModel).name);
    bool headless = false;
    bool no_fast_table = false;
    bool no_reboot = false;
    std::string disk, cdrom;
};

void add_image_options(CLI::App& app, Options& options, RawOptions& raw) {
    app.add_option("--os", options.os, "built-in guest kernel")->capture_default_str();
    app.add_option("--kernel", options.kernel_path, "boot this multiboot kernel instead")->type_name("FILE");
    app.add_option("--initrd", options.initrds, "pass it this module; \"FILE WORDS,FILE\" or the option again: several")
        ->type_name("FILE")
        ->allow_extra_args(false);
    app.add_option("--hda", raw.disk, "hard disk image")->type_name("FILE");
    app.add_option("--cdrom", raw.cdrom, "CD image")->type_name("FILE");
    app.add_flag("--no-reboot", raw.no_reboot,
                 "accepted, as in QEMU, but without effect: a reset always restarts the machine");
    app.add_option("--seed", options.seed, "a number to store in recordings")->type_name("N");
}

void add_machine_options(CLI::App& app, Options& options, RawOptions& raw) {
    app.add_option("--append", options.append, "kernel command line")->type_name("STR");
    app.add_option("-m,--memory", raw.memory, "RAM: 64M, 1G; a plain number is MiB")->type_name("SIZE");
    app.add_option("--engine", raw.engine, "interp: one instruction at a time (the reference); block: decoded blocks")
        ->type_name("interp|block");
    app.add_option("--cpu", raw.cpu, "processor model")->type_name(model_names("|"));
    app.add_option("--clock", raw.clock, "what instructions cost: flat, model or cache (docs/clock-models.md)")
        ->type_name("flat|model|cache");
    app.add_option("--bus", raw.bus, "width of the 386's data bus in bits: 32 (386 DX, default) or 16 (386EX)")
        ->type_name("16|32")
        ->check(kNotEmpty);
    app.add_option("--tlb", raw.tlb,
                   "model: the processor's TLB (default); to study others: infinite; tiny: two entries per array; "
                   "random:SEED or fifo: other replacement policies")
        ->type_name("model|infinite|tiny|random:SEED|fifo");
    app.add_flag("--no-fast-table", raw.no_fast_table, "send every access through the full TLB model");
    app.add_flag("--direct", options.direct, "start at the kernel's entry, without the firmware");
    app.add_option("--limit", raw.limit, "stop after 30000000i (instructions), 1e9c (cycles), 10s (simulated time)")
        ->type_name("N")
        ->check(kNotEmpty);
}

void add_run_options(CLI::App& app, Options& options, RawOptions& raw) {
    app.add_option("--display", raw.display, "sdl: window; tui: terminal; none; auto: window if there is a display")
        ->type_name("sdl|tui|none");
    app.add_flag("--headless", raw.headless, "the same as --display none");
    app.add_option("--serial", options.serial, "where COM1 goes: stdio, file:F, pty, none")->type_name("WHERE");
    app.add_option("--debugcon", options.debug_console, "where bytes for port E9h go: stdio, file:F, pty, none")
        ->type_name("WHERE")
        ->check(kNotEmpty);
    app.add_option("--type", options.type_text, "type this text on the keyboard; \\n is Enter")->type_name("TEXT");
    app.add_option("--until", options.until,
                   "stop at: serial:TEXT, screen:TEXT, symbol:NAME, address:HEX, tracepoint:NAME, fork, stop:N")
        ->type_name("EXPR")
        ->check(kNotEmpty);
    app.add_option("--trace", options.trace_path, "record every event to this file")->type_name("FILE");
    app.add_flag("--all-events", options.all_events,
                 "with --trace or record: also every translation that enters or leaves the TLB");
    app.add_option("--screenshot", options.screenshot_path, "write a screenshot when the run ends")->type_name("F.png");
    app.add_option("--load", options.load_path, "start from this snapshot")->type_name("FILE");
    app.add_option("--save", options.save_path, "write a snapshot when the run ends")->type_name("FILE");
    app.add_option("--info", options.info, "when the run ends, print the TLB or the counters")
        ->type_name("tlb|counters");
    app.add_flag("--count-hits", options.count_hits, "count the hits of each TLB entry, for --info tlb (slow)");
    app.add_flag("--hash", options.hash, "print the state's hash as the last line");
    app.add_option("--hash-every", options.hash_every, "print the hash every N instructions")->type_name("N");
}

void add_fork_options(CLI::App& app, Options& options) {
    app.add_option("--pages", options.pages, "pages that the child writes")->type_name("N")->check(kNotEmpty);
    app.add_option("--parent-pages", options.parent_pages, "pages that the parent writes")
        ->type_name("N")
        ->check(kNotEmpty);
    app.add_option("--workload", options.workload, "run this guest command line instead of forkdemo")->type_name("CMD");
    app.add_flag("--json", options.json, "print one JSON object (docs/fork-report.md)");
    app.add_flag("--functions", options.functions, "also report the cycles of each function (slower)");
}

void add_compare_options(CLI::App& app, Options& options) {
    options.systems = embedded_kernel_names();
    app.add_option("--os", options.systems, "built-in guest kernels, a column each; default: all")
        ->delimiter(',')
        ->type_name("A,B,…")
        ->check(kNotEmpty);
    app.add_option("--workload", options.workload,
                   "fork-exit (default), fork-exec, child-writes-0, -10, -50, -100 (per cent), parent-writes, chain, "
                   "regions, forkstorm; or a command line for the guest's shell")
        ->type_name("W")
        ->check(kNotEmpty);
    app.add_flag("--json", options.json, "print one JSON object (docs/compare.md)");
}

void add_trace_commands(CLI::App& app, Options& options) {
    CLI::App* trace = app.add_subcommand("trace", "read traces");
    trace->require_subcommand(1);
    const auto trace_command = [&](const char* name, const char* text, Command value) {
        CLI::App* sub = trace->add_subcommand(name, text);
        sub->callback([&options, value] { options.command = value; });
        sub->add_option("FILE", options.trace_file, "a trace file")->required();
        sub->add_option("--kind", options.kinds, "only these kinds of event")->type_name("KIND");
        sub->add_option("--lines", options.most_lines, "print at most this many lines")->type_name("N");
    };
    trace_command("info", "print the header", Command::TraceInfo);
    trace_command("dump", "print the events, one per line", Command::TraceDump);
    trace_command("stat", "print counts by kind, reason, class and address", Command::TraceStat);
}

Result<void> finish(Options& options, const RawOptions& raw) {
    const auto usage = [](std::string text) { return Error{std::move(text), ExitCode::Usage}; };
    auto size = parse_size(raw.memory);
    if (!size.ok())
        return size.error();
    options.ram_bytes = *size;
    if (raw.engine == "interp")
        options.engine = EngineKind::Interpreter;
    else if (raw.engine != "block")
        return usage(fmt::format("--engine: choose interp or block, not '{}'", raw.engine));
    if (!parse_study(raw.tlb, options.tlb, options.tlb_seed))
        return usage(fmt::format("--tlb: choose model, infinite, tiny, random:SEED or fifo, not '{}'", raw.tlb));
    if (!options.info.empty() && options.info != "tlb" && options.info != "counters")
        return usage(fmt::format("--info: choose tlb or counters, not '{}'", options.info));
    const Model* model = find_model(raw.cpu);
    if (model == nullptr)
        return usage(fmt::format("--cpu: choose one of {}, not '{}'", model_names(", "), raw.cpu));
    options.cpu = model->number;
    static const std::map<std::string, CostModelKind> kClocks = {
        {"flat", CostModelKind::Flat}, {"model", CostModelKind::Model}, {"cache", CostModelKind::Cache}};
    const auto clock = kClocks.find(raw.clock);
    if (clock == kClocks.end())
        return usage(fmt::format("--clock: choose flat, model or cache, not '{}'", raw.clock));
    options.clock = clock->second;
    if (!raw.bus.empty() && raw.bus != "16" && raw.bus != "32")
        return usage(fmt::format("--bus: choose 16 or 32, not '{}'", raw.bus));
    if (!raw.bus.empty() && (model->cost.pipeline != Pipeline::PrefetchQueue || options.clock == CostModelKind::Flat))
        return usage("--bus needs --cpu i386 and --clock model or cache: only they count bus cycles");
    options.bus = raw.bus == "16" ? BusWidth::Bits16 : BusWidth::Bits32;
    if (!raw.disk.empty() || !raw.cdrom.empty())
        return usage("disks are not supported yet: boot a multiboot kernel with --kernel FILE");
    options.fast_table = !raw.no_fast_table;
    static const std::map<std::string, Display> kDisplays = {
        {"auto", Display::Automatic}, {"sdl", Display::Window}, {"tui", Display::Terminal}, {"none", Display::None}};
    const auto display = kDisplays.find(raw.display);
    if (display == kDisplays.end())
        return usage(fmt::format("--display: choose sdl, tui or none, not '{}'", raw.display));
    options.display = raw.headless ? Display::None : display->second;
    if (!raw.limit.empty()) {
        auto limit = parse_limit(raw.limit, MachineConfig{}.cycles_per_second);
        if (!limit.ok())
            return limit.error();
        options.limit = *limit;
    }
    const std::vector<std::string> named =
        options.command == Command::Compare ? options.systems : std::vector<std::string>{options.os};
    for (const std::string& os : named)
        if (options.kernel_path.empty() && !embedded_kernel(os))
            return usage(
                fmt::format("--os: choose one of {1}, not '{0}'", os, fmt::join(embedded_kernel_names(), ", ")));
    return {};
}

} // namespace

Result<u64> parse_size(const std::string& text) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    std::string unit(end);
    std::transform(unit.begin(), unit.end(), unit.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
    if (unit.size() > 1 && unit.back() == 'B')
        unit.pop_back();
    static const std::map<std::string, double> kUnits = {
        {"", 1},           {"K", 1024.0},       {"KI", 1024.0},      {"M", 1048576.0},
        {"MI", 1048576.0}, {"G", 1073741824.0}, {"GI", 1073741824.0}};
    const auto factor = kUnits.find(unit);
    if (end == text.c_str() || factor == kUnits.end() || !std::isfinite(number) || number <= 0 || number > 1e12)
        return Error{fmt::format("'{}' is not a memory size: give -m 64M, 1G or a number of MiB", text),
                     ExitCode::Usage};
    constexpr double kSmallestPlainBytes = 65536;
    const double bytes = unit.empty() && number < kSmallestPlainBytes ? number * 1048576.0 : number * factor->second;
    return static_cast<u64>(bytes) & ~u64{kPageMask};
}

Result<RunLimit> parse_limit(const std::string& text, u64 cycles_per_second) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    const std::string unit(end);
    if (end != text.c_str() && std::isfinite(number) && number >= 0 && number < 1e18) {
        RunLimit limit;
        if (unit == "i") {
            limit.instructions = static_cast<u64>(number);
            return limit;
        }
        const double rate = static_cast<double>(cycles_per_second);
        const double cycles = unit == "c"    ? number
                              : unit == "s"  ? number * rate
                              : unit == "ms" ? number * rate / 1e3
                                             : -1;
        if (cycles >= 0 && cycles < 1e19) {
            limit.cycle = static_cast<u64>(cycles);
            return limit;
        }
    }
    return Error{
        fmt::format("--limit '{}': write 30000000i (instructions), 1e9c (cycles) or 10s (simulated time)", text),
        ExitCode::Usage};
}

Result<Options> parse_options(int argc, char** argv) {
    Options options;
    RawOptions raw;
    CLI::App app("Forkscope: a full-system x86 emulator in which one can see a fork happen", "forkscope");
    app.set_version_flag("--version", "forkscope 0.1.0");
    app.require_subcommand(0, 1);
    const auto command = [&](const char* name, const char* text, Command value) {
        CLI::App* sub = app.add_subcommand(name, text);
        sub->callback([&options, value] { options.command = value; });
        return sub;
    };
    CLI::App* run = command("run", "boot the guest kernel in the window", Command::Run);
    CLI::App* fork = command("fork", "boot, run a fork workload, print what the fork did", Command::Fork);
    CLI::App* step = command("step", "the stepper: the window, paused at the first fork", Command::Step);
    CLI::App* record = command("record", "run and record every event", Command::Record);
    for (CLI::App* sub : {run, fork, step, record}) {
        add_image_options(*sub, options, raw);
        add_machine_options(*sub, options, raw);
        add_run_options(*sub, options, raw);
    }
    CLI::App* compare =
        command("compare", "run one workload on several guest kernels and compare them", Command::Compare);
    add_machine_options(*compare, options, raw);
    add_compare_options(*compare, options);
    for (CLI::App* sub : {fork, step, record})
        add_fork_options(*sub, options);
    run->add_flag("--json", options.json, "print --info as one JSON object");
    record->add_option("-o,--output", options.trace_path, "the trace file")->type_name("FILE")->required();
    add_trace_commands(app, options);

    std::vector<std::string> words = normalise(argc, argv);
    std::reverse(words.begin(), words.end()); // CLI11 takes them from the back
    try {
        app.parse(words);
    } catch (const CLI::CallForHelp&) {
        options.command = Command::Help;
        const CLI::App* shown = &app;
        while (!shown->get_subcommands().empty())
            shown = shown->get_subcommands().front();
        options.help_text = shown->help();
        return options;
    } catch (const CLI::CallForVersion&) {
        options.command = Command::Version;
        options.help_text = "forkscope 0.1.0\n";
        return options;
    } catch (const CLI::ParseError& error) {
        return Error{fmt::format("{}; see forkscope --help", error.what()), ExitCode::Usage};
    }
    options.pages_given = fork->count("--pages") + step->count("--pages") > 0;
    if (auto finished = finish(options, raw); !finished.ok())
        return finished.error();
    return options;
}

} // namespace forkscope
