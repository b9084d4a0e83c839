#include "emu/session/options/option_table.hpp"

#include "emu/base/log.hpp"
#include "emu/machine/images.hpp"
#include "emu/session/options/option_values.hpp"

namespace forkscope {

namespace {

using enum OptionGroup;

// Which commands have an option.
constexpr u32 kForks = of(Command::Fork) | of(Command::Step) | of(Command::Record);
constexpr u32 kOneMachine = kForks | of(Command::Run) | of(Command::Debug);
constexpr u32 kMachines = kOneMachine | of(Command::Compare);
constexpr u32 kShown = of(Command::Run) | of(Command::Step) | of(Command::Debug);
constexpr u32 kRecordings = of(Command::Run) | of(Command::Step) | of(Command::Fork);
constexpr u32 kReports = kShown | of(Command::Fork) | of(Command::Compare);
constexpr u32 kTraces =
    of(Command::TraceInfo) | of(Command::TraceDump) | of(Command::TraceQuery) | of(Command::TraceStat);

// Actions: options whose text is more than one value.
std::string set_memory(Options& options, const std::string& text) { return read_size(text, options.machine.ram_bytes); }

std::string set_history(Options& options, const std::string& text) {
    if (text == "0") {
        options.history = 0;
        return {};
    }
    constexpr u64 kLeast = u64{16} << 20;
    u64 bytes = 0;
    if (std::string trouble = read_size(text, bytes); !trouble.empty())
        return trouble;
    if (bytes < kLeast)
        return "16M at least, or 0 for no history";
    options.history = bytes;
    return {};
}

std::string set_bus(Options& options, const std::string& text) {
    if (text != "16" && text != "32")
        return choose({"16", "32"});
    options.machine.bus = text == "16" ? BusWidth::Bits16 : BusWidth::Bits32;
    return {};
}

std::string set_tlb(Options& options, const std::string& text) {
    return parse_study(text, options.machine.tlb, options.machine.tlb_seed)
               ? ""
               : choose({"model", "infinite", "tiny", "random:SEED", "fifo"});
}

std::string ignore_no_reboot(Options&, const std::string&) { return {}; }

std::string refuse_disk(Options&, const std::string&) {
    return "disks are not supported yet: boot a multiboot kernel with --kernel FILE";
}

std::string check_bus(const Options& options) {
    const bool fits = options.machine.cpu == CpuModel::I386 && options.machine.clock != CostModelKind::Flat;
    return !options.given("--bus") || fits
               ? ""
               : "--bus needs --cpu i386 and --clock model or cache: only they count bus cycles";
}

std::string check_workload(const Options& options) {
    const bool pages = options.given("--pages") || options.given("--parent-pages");
    if ((pages || !options.workload.empty()) && !options.kernel_path.empty())
        return "--workload, --pages and --parent-pages are for the built-in guest: with --kernel, tell the kernel what "
               "to "
               "run by --append or --type";
    if (pages && !options.workload.empty())
        return "--pages and --parent-pages are for forkdemo: leave them out, or --workload";
    if ((pages || !options.workload.empty()) && names_workload(options.machine.command_line))
        return "--append names a workload with run=: leave that out, or --workload, --pages and --parent-pages";
    return {};
}

// The recording has decided what makes the run.
std::string check_recording(const Options& options) {
    constexpr std::string_view kDecided[] = {"--os",   "--kernel", "--initrd",       "--append",  "-m,--memory",
                                             "--cpu",  "--clock",  "--bus",          "--tlb",     "--direct",
                                             "--load", "--pages",  "--parent-pages", "--workload"};
    for (const std::string_view name : kDecided)
        if (!options.recording_path.empty() && options.given(name))
            return fmt::format("{}: the recording '{}' has decided that; leave the option out", name,
                               options.recording_path);
    const bool types = !options.type_text.empty() && options.command != Command::Run;
    return types && !options.recording_path.empty()
               ? "--type: a recording holds what was typed; type in `run RECORDING`, which goes on from it"
               : "";
}

std::string check_place(const Options& options) {
    for (const char* const option : {"--from", "--at"})
        if (options.given(option) && options.recorded_place == kNoPlace)
            return fmt::format("{} '{}': no run is that long", option, kNoPlace);
    return options.recorded_place != kNoPlace && options.recording_path.empty()
               ? "--from and --at are places in a recording: name its file, too"
               : "";
}

std::string check_fork(const Options& options) {
    return options.given("--fork") && options.fork_number == 0 ? "--fork '0': forks are numbered from 1" : "";
}

template <class T> constexpr OptionRow::Kind kind_of() {
    return std::is_same_v<T, std::vector<std::string>> ? OptionRow::Kind::List : OptionRow::Kind::Value;
}

// Rows.
constexpr CommandRow kCommands[] = {
#define COMMAND(command, words, help) {Command::command, words, help},
#include "emu/session/options/options.def"
};

constexpr OptionRow kOptions[] = {
#define PART(type, path, name_, value_, group_, commands_, help_, ...)                                                 \
    {.kind = kind_of<type>(),                                                                                          \
     .set = [](Options& options, const std::string& text) { return read_value(text, options.path); },                  \
     .initial = [] { return show_value(Options{}.path); },                                                             \
     .type_words = forkscope::words_of<type>,                                                                          \
     .name = name_,                                                                                                    \
     .value = value_,                                                                                                  \
     .group = group_,                                                                                                  \
     .commands = commands_,                                                                                            \
     .help = help_,                                                                                                    \
     __VA_ARGS__},
#define OPTION(type, member, initial_value, ...) PART(type, member, __VA_ARGS__)
#define FLAG_OF(path, value_given, name_, group_, commands_, help_, ...)                                               \
    {.kind = OptionRow::Kind::Flag,                                                                                    \
     .set =                                                                                                            \
         [](Options& options, const std::string&) {                                                                    \
             options.path = value_given;                                                                               \
             return std::string();                                                                                     \
         },                                                                                                            \
     .name = name_,                                                                                                    \
     .group = group_,                                                                                                  \
     .commands = commands_,                                                                                            \
     .help = help_,                                                                                                    \
     __VA_ARGS__},
#define FLAG(member, ...) FLAG_OF(member, true, __VA_ARGS__)
#define ACTION(function, name_, value_, group_, commands_, help_, ...)                                                 \
    {.set = function,                                                                                                  \
     .name = name_,                                                                                                    \
     .value = value_,                                                                                                  \
     .group = group_,                                                                                                  \
     .commands = commands_,                                                                                            \
     .help = help_,                                                                                                    \
     __VA_ARGS__},
#include "emu/session/options/options.def"
};

} // namespace

std::span<const CommandRow> command_table() { return kCommands; }
std::span<const OptionRow> option_table() { return kOptions; }

const char* group_name(OptionGroup group) {
    constexpr std::array kNames = {
        "Guest", "Machine", "Display, keyboard and ports", "Run", "Stepper", "Workload", "Output", "Traces", ""};
    return kNames[static_cast<std::size_t>(group)];
}

bool is_flag(const OptionRow& row) { return row.kind == OptionRow::Kind::Flag || row.takes_none; }

bool is_operand(const OptionRow& row) { return row.name.empty() || row.name[0] != '-'; }

std::string_view long_name(const OptionRow& row) {
    const std::size_t comma = row.name.find(',');
    return comma == std::string_view::npos ? row.name : row.name.substr(comma + 1);
}

std::string_view first_name(const OptionRow& row) { return row.name.substr(0, row.name.find(',')); }

bool has_name(const OptionRow& row, std::string_view name) {
    return name == long_name(row) || name == first_name(row) || (!row.qemu.empty() && name == row.qemu);
}

std::vector<std::string> words_of(const OptionRow& row) {
    if (row.words != nullptr)
        return row.words();
    return row.type_words != nullptr ? row.type_words() : std::vector<std::string>();
}

std::string value_name(const OptionRow& row) {
    if (is_flag(row) || is_operand(row) || !row.value.empty())
        return std::string(row.value);
    return fmt::format("{}", fmt::join(words_of(row), "|"));
}

std::string default_text(const OptionRow& row) {
    if (!row.by_default.empty() || row.initial == nullptr)
        return std::string(row.by_default);
    return row.initial();
}

Result<void> set_option(Options& options, const OptionRow& row, const std::string& text) {
    const auto refuse = [&](const std::string& what) {
        return Error{fmt::format("{} '{}': {}", first_name(row), text.substr(0, 80), what), ExitCode::Usage};
    };
    if (text.empty() && !is_flag(row) && !row.may_be_empty)
        return refuse("give a value");
    if (const auto words = row.words != nullptr ? row.words() : std::vector<std::string>();
        !words.empty() && std::find(words.begin(), words.end(), text) == words.end())
        return refuse(choose(words));
    if (const std::string what = row.set(options, text); !what.empty())
        return refuse(what);
    options.given_names.push_back(row.name);
    return {};
}

Result<void> check_options(const Options& options) {
    for (const OptionRow& row : option_table())
        if (row.check != nullptr && (row.commands & of(options.command)) != 0)
            if (const std::string what = row.check(options); !what.empty())
                return Error{what, ExitCode::Usage};
    return {};
}

} // namespace forkscope
