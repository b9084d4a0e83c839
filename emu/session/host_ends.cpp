#include "emu/session/host_ends.hpp"

#include <algorithm>

#include <unistd.h>

#include "emu/files/file_place.hpp"
#include "emu/files/whole_file.hpp"
#include "emu/session/boot_modules.hpp"
#include "emu/session/conditions/query/trace_query.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "emu/session/snapshot_file.hpp"
#include "emu/session/symbol_files.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kKept = 1u << 16;

std::string serial_place(const Options& options) { return options.serial.empty() ? "none" : options.serial; }

Result<RecordedNames> names_for_recording(const Options& options) {
    RecordedNames names;
    auto symbols = read_symbol_files(options.symbol_files);
    if (!symbols.ok())
        return symbols.error();
    names.symbols = std::move(symbols).value();
    if (options.profile.empty())
        return names;
    auto profile = read_fork_profile(options.profile);
    if (profile.ok()) // before the machine starts, as where it is used at once
        if (auto parsed = parse_fork_profile(*profile, options.profile, options.profile); !parsed.ok())
            return parsed.error();
    if (!profile.ok())
        return profile.error();
    names.profile_name = options.profile;
    names.profile = std::move(profile).value();
    return names;
}

// What the run prints on standard output beside its files, in messages; empty: nothing.
std::string printed_by(const Options& options) {
    const bool steps = options.command == Command::Step;
    if (SerialPort::on_stdio(options.serial))
        return "the serial port";
    if (SerialPort::on_stdio(options.debug_console))
        return "the debug console";
    if (options.command == Command::Fork || (steps && !(options.step_commands + options.step_script).empty()))
        return "the report";
    if (options.hash || options.hash_every != 0)
        return "the hash";
    return options.info.kind != InfoKind::None ? "--info" : "";
}

std::vector<NamedFile> whole_files(const Options& options) {
    return {{"the trace", options.trace_path, true},
            {"the new recording", options.record_path, true},
            {"the snapshot", options.save_path, true},
            {"the screenshot", options.screenshot_path, true}};
}

// Where a whole file goes to a standard descriptor, with all else that is written there: with other words in between,
// or behind, it is no such file any more.
std::vector<NamedFile> on_standard_descriptors(const Options& options) {
    std::vector<NamedFile> files = whole_files(options);
    const auto any_on = [&](int descriptor) {
        return std::any_of(files.begin(), files.end(),
                           [&](const NamedFile& file) { return place_of(file.path).descriptor == descriptor; });
    };
    const std::string printed = printed_by(options);
    const bool on_output = any_on(STDOUT_FILENO);
    const bool on_either = on_output || any_on(STDERR_FILENO);
    if (on_either)
        files.push_back({"the messages", "/dev/stderr", true});
    if (on_output && !printed.empty())
        files.push_back({printed + " on", "/dev/stdout", true});
    return on_either ? files : std::vector<NamedFile>{};
}

std::vector<NamedFile> named_files(const Options& options) {
    const auto port = [](const std::string& where) { return where.starts_with("file:") ? where.substr(5) : ""; };
    std::vector<NamedFile> files = {{"standard input", "/dev/stdin"},
                                    {"the kernel", options.kernel_path},
                                    {"the loaded snapshot", options.load_path},
                                    {"the recording", options.recording_path},
                                    {"the script", options.step_script == "-" ? "" : options.step_script}};
    for (NamedFile& file : whole_files(options))
        files.push_back(std::move(file));
    files.push_back({"the serial port's file", port(options.serial), true});
    files.push_back({"the debug console's file", port(options.debug_console), true});
    files.push_back({"the fork profile", find_fork_profile(options.profile) != nullptr ? "" : options.profile});
    for (const std::string& text : options.symbol_files)
        if (const auto symbols = parse_symbol_file(text); symbols.ok())
            files.push_back({"the symbols", symbols->path});
    for (const std::string& modules : options.initrds)
        for (const ModuleRequest& module : parse_modules(modules))
            files.push_back({"the initrd", module.path});
    return files;
}

} // namespace

Result<void> HostEnds::check(const Options& options) {
    Result<void> checked = SerialPort::check(serial_place(options), "--serial");
    if (checked.ok())
        checked = SerialPort::check(options.debug_console, "--debugcon");
    for (const auto& [path, what] : {std::pair{&options.trace_path, "the trace"},
                                     {&options.record_path, "the recording"},
                                     {&options.save_path, "the snapshot"},
                                     {&options.screenshot_path, "the screenshot"}})
        if (checked.ok() && !path->empty())
            checked = WholeFile::check(*path, what);
    if (checked.ok())
        checked = check_distinct(on_standard_descriptors(options));
    return checked.ok() ? check_distinct(named_files(options)) : checked;
}

Result<std::unique_ptr<HostEnds>> HostEnds::open(const Options& options, Machine& machine) {
    std::unique_ptr<HostEnds> ends(new HostEnds(machine));
    // A trace takes its name late; the others empty their files at once, so they come last.
    if (auto opened = ends->open_recording(options); !opened.ok())
        return opened.error();
    auto serial = SerialPort::open(serial_place(options), "--serial", ends->standard_);
    if (!serial.ok())
        return serial.error();
    ends->serial_ = std::move(serial).value();
    auto debug_console = SerialPort::open(options.debug_console, "--debugcon", ends->standard_);
    if (!debug_console.ok())
        return debug_console.error();
    ends->debug_console_ = std::move(debug_console).value();
    ends->on_stdout_ = SerialPort::on_stdio(options.serial);
    machine.add_checkpoint_part(checkpoint_part("console", 1, *ends));
    machine.set_output([self = ends.get()](std::string_view channel, u8 byte) { self->on_output(channel, byte); });
    return ends;
}

HostEnds::HostEnds(Machine& machine)
    : machine_(machine), standard_(STDOUT_FILENO, "standard output", "choose another place") {}

HostEnds::~HostEnds() { machine_.set_output({}); }

Result<void> HostEnds::open_recording(const Options& options) {
    if (options.trace_path.empty() && options.record_path.empty())
        return {};
    const TraceKinds kinds = options.all_events ? kAllTraceKinds : ~kTranslationKinds;
    TraceHeader header = machine_header(machine_.config());
    header.set("events", options.all_events ? "all" : "all but tlb_fill and tlb_evict");
    header.set("seed", fmt::format("{}", options.seed));
    const CpuState& registers = machine_.registers();
    set_trace_registers(header, registers.cr0, registers.cr3, registers.cr4);
    if (!options.record_path.empty()) {
        auto names = names_for_recording(options);
        if (!names.ok())
            return names.error();
        const auto run = RecordedRun::of(machine_.config(), options.own_kernel() ? "" : options.os, kinds);
        auto recorder = RecordingWriter::create(options.record_path, std::move(header), run, *names, machine_);
        if (!recorder.ok())
            return recorder.error();
        recorder_ = std::move(recorder).value();
        return {};
    }
    auto trace = TraceFileWriter::create(options.trace_path, std::move(header), kinds);
    if (!trace.ok())
        return trace.error();
    trace_ = std::move(trace).value();
    return {};
}

TraceFileWriter* HostEnds::recording() { return recorder_ != nullptr ? &recorder_->events() : trace_.get(); }

void HostEnds::on_output(std::string_view channel, u8 byte) {
    const bool anew = !machine_.muted();
    if (channel == "debug") {
        if (anew)
            debug_console_->write(byte);
        return;
    }
    if (anew)
        serial_->write(byte);
    if (anew && hear_byte_)
        hear_byte_(byte);
    if (byte == '\r')
        return;
    said_ += static_cast<char>(byte);
    if (said_.size() > 2 * kKept)
        said_.erase(0, kKept);
    if (listener_)
        listener_(said_);
}

void HostEnds::poll() {
    for (const u8 byte : serial_->read())
        machine_.inject({.kind = InputKind::SerialByte, .data = byte});
}

void HostEnds::flush() {
    serial_->flush();
    debug_console_->flush();
}

void HostEnds::take_terminal() {
    if (on_stdout_)
        keys_.emplace(STDIN_FILENO);
}

// What we say next on a terminal begins a line of its own.
void HostEnds::leave_terminal() {
    keys_.reset();
    if (!on_stdout_ || said_.empty() || said_.back() == '\n' || ::isatty(STDOUT_FILENO) == 0)
        return;
    said_ += '\n';
    standard_.write("\n");
}

void HostEnds::wait_for_key(int milliseconds) const {
    if (keys_ && keys_->interactive())
        keys_->wait_for_key(milliseconds);
}

void HostEnds::print(const std::string& line) {
    const bool unfinished = on_stdout_ && !said_.empty() && said_.back() != '\n';
    standard_.write((unfinished ? "\n" : "") + line + "\n");
}

Result<void> HostEnds::finish() {
    Result<void> result;
    if (recorder_ != nullptr)
        result = recorder_->finish();
    else if (trace_ != nullptr)
        result = trace_->finish();
    drain();
    for (SerialPort* port : {serial_.get(), debug_console_.get()})
        if (auto finished = port->finish(); result.ok())
            result = finished;
    if (result.ok() && !standard_.error().empty())
        result = Error{standard_.error()};
    return result;
}

} // namespace forkscope
