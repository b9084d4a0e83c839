#include "emu/session/session.hpp"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <optional>

#include "cpu/engine/translator/translator_factory.hpp"
#include "emu/base/assert.hpp"
#include "emu/base/log.hpp"
#include "emu/files/code_memory.hpp"
#include "emu/files/cpu_time.hpp"
#include "emu/files/interruption.hpp"
#include "emu/files/large_pages.hpp"
#include "emu/files/read_file.hpp"
#include "emu/files/source_folders.hpp"
#include "emu/machine/images.hpp"
#include "emu/observe/forks/fork_workload.hpp"
#include "emu/session/boot_modules.hpp"
#include "emu/session/guest_words.hpp"
#include "emu/session/host_ends.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "emu/session/recording/recorded_run.hpp"
#include "emu/session/slice_length.hpp"
#include "emu/session/snapshot_file.hpp"
#include "emu/session/symbol_files.hpp"
#include "emu/symbols/tar.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

// The built-in guest's sources: the program shows them wherever it runs.
std::optional<std::string> embedded_source(const std::string& path) {
    const auto files = read_tar(embedded_guest_sources());
    EMU_ASSERT(files.ok(), "the archive of guest sources is damaged: {}", files.error().message);
    for (const TarEntry& file : files.value())
        if (file.name == path)
            return std::string(file.data.begin(), file.data.end());
    return std::nullopt;
}

} // namespace

namespace {

// Its RAM is what a machine takes most of: where the host does not give it, the person learns how much it was.
Result<std::unique_ptr<Machine>> create_machine(MachineConfig config, const Options& options) {
    const u64 megabytes = config.ram_bytes >> 20;
    try {
        auto machine = Machine::create(std::move(config));
        // Of the built-in guest only the memory's size can be wrong.
        const bool built_in = !options.own_kernel() && options.initrds.empty();
        if (!machine.ok() && built_in)
            return Error{machine.error().message, ExitCode::Usage};
        return machine;
    } catch (const std::bad_alloc&) {
        const bool loads = !options.load_path.empty();
        return Error{fmt::format("the machine{} wants {} MB of memory as its RAM, more than the host gives this "
                                 "program; close other programs, raise its limit (ulimit -v){}",
                                 loads ? fmt::format(" of the snapshot '{}'", options.load_path) : "", megabytes,
                                 loads ? "" : ", or give the machine less with -m")};
    }
}

} // namespace

ForkTracerOptions tracer_options_for(Machine& machine) {
    ForkTracerOptions options;
    options.watch = [&machine](u32 frame) { machine.mmu().flag_frame(frame >> kPageShift, kFramePageTable); };
    options.paging = [&machine] { return machine.mmu().control(); };
    options.begin_epoch = [&machine] { return machine.mmu().memory().begin_epoch(); };
    options.account = [&machine] { return machine.cpu().cycles_by_cause(); };
    options.frame_pointer = [&machine] { return machine.registers().reg<u32>(kEbp); };
    options.code_base = [&machine] { return machine.registers().segments[kCs].base; };
    options.stack_pointer = [&machine] { return machine.registers().linear_esp(); };
    return options;
}

Session::Session(Options options) : options_(std::move(options)) {}

Session::~Session() {
    if (assert_hook_ >= 0)
        remove_assert_hook(assert_hook_);
    if (machine_ != nullptr)
        machine_->set_trace_sink(nullptr);
}

Result<std::unique_ptr<Session>> Session::create(const Options& options) {
    std::unique_ptr<Session> session(new Session(options));
    MachineConfig config = options.machine;
    if (config.engine == EngineKind::Translator && !kHasTranslator)
        return Error{
            "--engine jit: this program was built for a host that has no translator; --engine block runs everywhere",
            ExitCode::Usage};
    config.translator = translator_factory(map_code_memory);
    std::optional<SnapshotFile> snapshot;
    if (!options.load_path.empty()) {
        auto opened = SnapshotFile::open(options.load_path, config.ram_bytes);
        if (!opened.ok())
            return opened.error();
        snapshot = std::move(opened).value();
        if (config.command_line.empty()) // nobody named another
            config.command_line = snapshot->command_line();
    }
    if (auto loaded = session->load_images(config); !loaded.ok())
        return loaded.error();
    auto machine = create_machine(std::move(config), options);
    if (!machine.ok())
        return machine.error();
    session->machine_ = std::move(machine).value();
    PhysicalMemory& memory = session->machine_->mmu().memory();
    prefer_large_pages({memory.host(PhysicalAddress()), memory.ram_bytes()});
    session->machine_->mmu().set_count_hits(options.count_hits);
    if (auto symbols = session->load_symbols(); !symbols.ok())
        return symbols.error();
    if (auto found = session->find_sources(); !found.ok())
        return found.error();
    if (auto opened = session->begin(snapshot ? &*snapshot : nullptr); !opened.ok())
        return opened.error();
    return session;
}

Result<void> Session::load_images(MachineConfig& config) {
    constexpr u64 kMostKernel = u64{256} << 20;
    if (options_.recording != nullptr) // it holds them
        return {};
    if (options_.kernel_path.empty()) {
        const auto kernel = *embedded_kernel(options_.os);
        config.kernel = SharedBytes::copy_of(kernel);
        config.kernel_name = options_.os;
    } else {
        auto kernel = read_file(options_.kernel_path, "the kernel", kMostKernel);
        if (!kernel.ok())
            return kernel.error();
        config.kernel = std::move(kernel).value();
        if (config.kernel.empty())
            return Error{fmt::format("the kernel '{}' is empty; give a multiboot kernel", options_.kernel_path)};
        config.kernel_name = options_.kernel_path;
    }
    if (!options_.initrds.empty()) {
        auto modules = read_modules(options_.initrds, config.ram_bytes);
        if (!modules.ok())
            return modules.error();
        config.modules = std::move(modules).value();
    } else if (options_.kernel_path.empty()) {
        const auto initrd = embedded_initrd();
        config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
    }
    return {};
}

// What a person gives comes first, then what lies beside the kernel, then the built-in guest's.
Result<void> Session::find_sources() {
    SourceFolders folders;
    for (const std::string& folder : options_.source_folders)
        if (!folders.add(folder))
            return Error{fmt::format("--source '{}' is not a folder; give one that holds source files", folder)};
    // Beside a kernel in the root folder lies everything.
    std::error_code error;
    const auto beside = std::filesystem::canonical(options_.kernel_path, error).parent_path();
    if (!options_.kernel_path.empty() && beside != beside.root_path())
        folders.add(beside);
    symbols_.set_source_reader([folders = std::move(folders)](const std::string& path) {
        auto text = folders.read(path);
        return text ? std::move(text) : embedded_source(path);
    });
    return {};
}

// The images' own symbols are a help, never a condition: one without them runs all the same.
Result<void> Session::load_symbols() {
    const MachineConfig& config = machine_->config();
    auto kernel = ElfImage::of(config.kernel_name, config.kernel);
    if (kernel.ok())
        symbols_.add_kernel(std::move(kernel).value());
    if (!config.modules.empty())
        static_cast<void>(symbols_.add_programs_of_initrd(config.modules.front().bytes));
    if (options_.recording == nullptr || !options_.symbol_files.empty())
        return add_symbol_files(symbols_, options_.symbol_files);
    auto recorded = options_.recording->names();
    return recorded.ok() ? add_recorded_symbols(symbols_, std::move(recorded->symbols)) : recorded.error();
}

// Checks first; then files, which a mistake must leave as they were.
Result<void> Session::begin(const SnapshotFile* snapshot) {
    attach(last_events_);
    assert_hook_ = add_assert_hook([this] { std::fputs(last_events_.text().c_str(), stderr); });
    stops_ = std::make_unique<StopConditions>(*machine_, symbols_);
    stops_->set_limit(options_.limit);
    if (auto added = add_until(); !added.ok())
        return added;
    attach(*stops_);
    if (auto checked = HostEnds::check(options_); !checked.ok())
        return checked;
    machine_->add_checkpoint_part(symbols_.checkpoint_part());
    machine_->add_checkpoint_part(stops_->checkpoint_part());
    // A recording keeps the profile for those who open it.
    const bool by_profile =
        !options_.profile.empty() && (options_.command != Command::Record || !options_.until.empty());
    if (options_.trace_forks || by_profile)
        if (auto traced = trace_forks(); !traced.ok())
            return traced;
    if (options_.command == Command::Record && !by_profile && !options_.profile.empty())
        if (auto fits = check_profile(); !fits.ok())
            return fits;
    if (options_.info.kind == InfoKind::Unmapped)
        watch_unmapped();
    if (snapshot != nullptr)
        if (auto loaded = snapshot->load(*machine_); !loaded.ok())
            return loaded;
    if (auto typed = options_.recording == nullptr ? type_text() : Result<void>(); !typed.ok())
        return typed;
    auto ends = HostEnds::open(options_, *machine_);
    if (!ends.ok())
        return ends.error();
    ends_ = std::move(ends).value();
    ends_->set_listener([this](const std::string& text) { stops_->on_console(text); });
    if (ends_->recording() != nullptr)
        attach_to_present(*ends_->recording());
    next_hash_ = options_.hash_every;
    if (options_.recording != nullptr)
        return open_recording();
    if (options_.history != 0)
        keep_past();
    return {};
}

Result<void> Session::type_text() {
    if (options_.type_text.empty())
        return {};
    if (auto typed = machine_->type(unescape(options_.type_text)); !typed.ok())
        return Error{"--type: " + typed.error().message, ExitCode::Usage};
    return {};
}

// Behind all observers, who go back with the machine.
Result<void> Session::open_recording() {
    if (!options_.recording->run().refusal().empty())
        return open_recorded_checkpoint(*machine_, options_);
    if (auto begun = begin_recorded(*machine_, *options_.recording); !begun.ok())
        return begun;
    shelf_ = std::make_unique<RecordingShelf>(options_.recording);
    keep_past();
    if (auto opened = open_recorded_place(*timeline_, *shelf_, options_); !opened.ok())
        return opened;
    return type_text();
}

bool Session::starts_paused() const { return options_.recording != nullptr && options_.command == Command::Step; }

Result<void> Session::add_until() {
    if (options_.until.empty())
        return {};
    auto until = compile_condition(options_.until, symbols_);
    if (!until.ok())
        return Error{"--until: " + until.error().message, until.error().code};
    if (const std::string note = until->note(); !note.empty())
        log_warning_once("until", "--until: " + note);
    options_.trace_forks = options_.trace_forks || until->has(NodeKind::Fork);
    // The forks of init and the shell before the workload are not meant.
    const bool workload = options_.command == Command::Step || options_.command == Command::Fork;
    stops_->add(std::move(until).value(),
                {.in_workload = workload && !options_.own_kernel(), .asked_as = "--until " + options_.until});
    return {};
}

void Session::attach(TraceSink& sink) {
    sinks_.add(sink);
    machine_->set_trace_sink(&sinks_);
}

void Session::detach(TraceSink& sink) {
    sinks_.remove(sink);
    machine_->set_trace_sink(&sinks_);
}

// For who has no part in checkpoints: it has been told of the past already.
void Session::attach_to_present(TraceSink& sink) {
    filters_.push_back(std::make_unique<FilteredSink>(sink, kAllTraceKinds, [this] { return !in_past(); }));
    attach(*filters_.back());
}

// What the guest states is not listened to: a profile stands in for it.
void Session::attach_without_tracepoints(TraceSink& sink) {
    filters_.push_back(std::make_unique<FilteredSink>(sink, ~trace_kinds({TraceKind::Tracepoint})));
    attach(*filters_.back());
}

bool Session::in_past() const { return timeline_ != nullptr && (timeline_->in_past() || timeline_->seeking()); }

const ForkProfile* Session::profile() const {
    if (profile_stops_ != nullptr)
        return &profile_stops_->profile();
    return options_.own_kernel() ? nullptr : find_fork_profile(options_.os);
}

// The person's, else the recording's.
static Result<std::optional<ForkProfile>> chosen_profile(const Options& options) {
    if (options.profile.empty() && options.recording == nullptr)
        return std::optional<ForkProfile>();
    Result<ForkProfile> profile = Error{""};
    if (!options.profile.empty()) {
        profile = open_fork_profile(options.profile);
    } else {
        const auto names = options.recording->names();
        if (!names.ok())
            return names.error();
        if (names->profile_name.empty())
            return std::optional<ForkProfile>();
        profile = parse_fork_profile(names->profile, names->profile_name, names->profile_name);
    }
    return profile.ok() ? Result<std::optional<ForkProfile>>(std::move(profile).value()) : profile.error();
}

// Whether its names are this kernel's.
Result<void> Session::check_profile() {
    auto profile = open_fork_profile(options_.profile);
    if (!profile.ok())
        return profile.error();
    const auto stops = ProfileStops::create(std::move(profile).value(), *machine_, symbols_, [](const TraceEvent&) {});
    return stops.ok() ? Result<void>() : stops.error();
}

Result<void> Session::use_profile() {
    auto profile = chosen_profile(options_);
    if (!profile.ok())
        return profile.error();
    if (!*profile)
        return {};
    auto stops = ProfileStops::create(**std::move(profile), *machine_, symbols_, [this](const TraceEvent& event) {
        tracer_->on_profile_stop(event);
        stops_->on_profile_stop(event);
    });
    if (!stops.ok())
        return stops.error();
    profile_stops_ = std::move(stops).value();
    if (const std::string program = profile_stops_->first_program(); !program.empty())
        tell(fmt::format("--profile {}: stops lie in the program {}, in system calls of its own, and a profile "
                         "cannot tell for whom it works: forks made so are not seen; without --profile they are "
                         "where the kernel states them by tracepoints",
                         options_.profile, program));
    stops_->take_stops_from_profile();
    return {};
}

// Before a snapshot is loaded, which may hold what a tracer knew.
Result<void> Session::trace_forks() {
    if (auto used = use_profile(); !used.ok())
        return used;
    ForkTracerOptions options = tracer_options_for(*machine_);
    options.keep.whole = options_.forks_kept_whole;
    options.keep.chosen = options_.fork_number;
    if (profile_stops_ != nullptr)
        options.current_pid = [this] { return profile_stops_->current_pid(); };
    tracer_ = std::make_unique<ForkTracer>(machine_->mmu().memory(), &symbols_, options);
    tracer_->set_fork_listener([this](const ForkRecord& fork) { stops_->on_fork(fork); });
    machine_->add_checkpoint_part(tracer_->checkpoint_part());
    if (profile_stops_ != nullptr) {
        attach_without_tracepoints(*tracer_);
        return {};
    }
    stops_->set_workload(
        [this](u32 pid) { return machine_->restored_without("forks") || in_command(tracer_->forks(), pid); });
    attach(*tracer_);
    return {};
}

// Before a snapshot is loaded, as above.
void Session::watch_unmapped() {
    unmapped_ = std::make_unique<UnmappedTouches>([this] { return machine_->cpu().moment(); });
    machine_->add_checkpoint_part(unmapped_->checkpoint_part());
    machine_->set_bus_listener(unmapped_.get());
}

void Session::print_hash() { ends_->print(fmt::format("hash {} {:016x}", machine_->instructions(), machine_->hash())); }

std::string Session::place() const {
    const u32 eip = machine_->cpu().linear_eip();
    const Location location = symbols_.lookup(machine_->mmu().control().space_of(machine_->registers().cr3).root, eip);
    return location.known() ? location.text() : fmt::format("{:08x}", eip);
}

std::string Session::shutdown_report() const {
    const CpuState& r = machine_->registers();
    std::string text =
        fmt::format("\n"
                    "  eip {:08x}  eax {:08x}  ebx {:08x}  ecx {:08x}  edx {:08x}\n"
                    "  esp {:08x}  ebp {:08x}  esi {:08x}  edi {:08x}  eflags {:08x}\n"
                    "  cr0 {:08x}  cr2 {:08x}  cr3 {:08x}  cr4 {:08x}  cs {:04x}  ss {:04x}  {}\n  last events:\n",
                    r.eip, r.reg<u32>(kEax), r.reg<u32>(kEbx), r.reg<u32>(kEcx), r.reg<u32>(kEdx), r.reg<u32>(kEsp),
                    r.reg<u32>(kEbp), r.reg<u32>(kEsi), r.reg<u32>(kEdi), r.eflags(), r.cr0, r.cr2, r.cr3, r.cr4,
                    r.segments[kCs].selector, r.segments[kSs].selector,
                    symbols_.lookup(r.cr3 & 0xFFFFF000u, machine_->cpu().linear_eip()).text());
    constexpr std::size_t kShown = 8;
    const auto events = last_events_.events();
    for (std::size_t i = events.size() > kShown ? events.size() - kShown : 0; i < events.size(); ++i)
        text += "  " + trace_event_line(events[i]) + "\n";
    return text;
}

bool Session::ended(const StopReason& reason, StopConditions::After after) {
    const bool asked = stops_->end_asked();
    auto outcome = stops_->ended(reason, after);
    if (!asked && debugger_ != nullptr && debugger_->stopped(reason, outcome))
        return false;
    if (!outcome)
        return false;
    outcome_ = *std::move(outcome);
    ended_at_ = machine_->position();
    const bool by_guest =
        reason.kind == StopKind::Exit || reason.kind == StopKind::Halted || reason.kind == StopKind::Shutdown;
    if (by_guest && tracer_ != nullptr)
        tracer_->guest_ended();
    if (reason.kind == StopKind::Shutdown)
        outcome_.message += shutdown_report();
    return true;
}

// In the past nobody is heard: a key would change what came next.
void Session::poll_host() {
    if (!in_past())
        ends_->poll();
}

StopReason Session::move(Debugger::Wants wants, const RunLimit& limit) {
    if (wants == Debugger::Wants::Step && !machine_->cpu().halted())
        return step_machine();
    return options_.functions && tracer_ != nullptr ? run_counting(limit) : run_machine(limit);
}

void Session::keep_past() {
    if (timeline_ != nullptr)
        return;
    TimelineLimits limits;
    limits.bytes = options_.history != 0 ? options_.history : limits.bytes;
    limits.clock = cpu_time;
    timeline_ = std::make_unique<Timeline>(*machine_, limits);
    timeline_->set_pass([this](const RunLimit& limit) {
        const StopReason reason = stops_->run(limit, [this](const RunLimit& next) { return machine_->run(next); });
        stops_->pass_over(reason);
        return reason;
    });
}

void Session::inject(const InputEvent& event) {
    if (timeline_ != nullptr)
        timeline_->inject(event);
    else
        machine_->inject(event);
}

Result<void> Session::type(const std::string& text) {
    const auto keys = owed_keys(text);
    if (!keys.ok())
        return keys.error();
    for (const InputEvent& key : *keys)
        inject(key);
    return {};
}

bool Session::run_slice(Cycles cycles) {
    const Debugger::Wants wants = debugger_ != nullptr ? debugger_->poll() : Debugger::Wants::Run;
    if (wants == Debugger::Wants::Back)
        debugger_->go_back();
    if (wants == Debugger::Wants::Back || wants == Debugger::Wants::Hold || wants == Debugger::Wants::End)
        return !stops_->end_asked() || !ended({StopKind::Limit}, StopConditions::After::Step);
    RunLimit limit = stops_->limit_of_slice(cycles);
    if (next_hash_ != 0)
        limit.instructions = std::min(limit.instructions, next_hash_);
    poll_host();
    // What has come is in the file before it is used; a hash is of the moment behind it, as in a replay.
    if (RecordingWriter* recorder = ends_->recorder(); recorder != nullptr) {
        recorder->noted();
        limit.instructions = std::min(limit.instructions, recorder->next_stop());
    }
    const bool steps = wants == Debugger::Wants::Step; // one at a time; whoever steps hears of each
    const StopReason reason =
        steps ? move(wants, limit) : stops_->run(limit, [&](const RunLimit& next) { return move(wants, next); });
    ends_->flush();
    if (next_hash_ != 0 && machine_->instructions() >= next_hash_) {
        print_hash();
        next_hash_ += options_.hash_every;
    }
    if (ends_->recording() != nullptr && ends_->recording()->failed())
        stops_->end_run({ExitCode::RuntimeError, "the trace cannot be written", ""}); // finish() says why
    if (ends_->reader_gone())
        stops_->end_run({ExitCode::ReaderGone, "nobody reads standard output any more", ""});
    return !ended(reason, StopConditions::After::Slice);
}

bool Session::step() {
    poll_host();
    const StopReason reason = step_machine();
    ends_->flush();
    return !ended(reason, StopConditions::After::Step);
}

// One instruction at a time, so that each one's cost is known. Steps change nothing that the guest could tell.
StopReason Session::run_counting(const RunLimit& limit) {
    const auto spent = [this] {
        return RunTime{machine_->instructions(), machine_->now(), machine_->cpu().cycles_by_cause()};
    };
    RunTime before = spent();
    while (machine_->now() < limit.cycle && machine_->instructions() < limit.instructions) {
        const u32 eip = machine_->cpu().linear_eip();
        const u32 space = machine_->mmu().control().space_of(machine_->registers().cr3).root;
        const StopReason reason = machine_->step();
        if (reason.kind != StopKind::Limit)
            return reason;
        const RunTime after = spent();
        // A tracepoint is stamped with the moment before its OUT costs: that cost belongs to what it begins.
        tracer_->on_instruction(space, eip, before, after);
        before = after;
    }
    return {StopKind::Limit};
}

// HLT with interrupts on, and no device has woken the CPU for so long: without somebody who types, nobody will.
void Session::end_if_asleep(Cycles awake) {
    constexpr u64 kSeconds = 60; // the real-time clock's interrupts come each second
    const bool someone = ends_->may_speak() || (debugger_ != nullptr && debugger_->attached()) || machine_->typing() ||
                         options_.limit.cycle != kNever;
    if (someone || machine_->now() - awake < kSeconds * machine_->cycles_per_second())
        return;
    const std::string why =
        fmt::format("the guest is halted and nothing can wake it: nothing has for {} seconds", kSeconds);
    const bool limited = options_.limit.instructions != RunLimit{}.instructions;
    stops_->end_run({limited ? ExitCode::LimitReached : ExitCode::Ok, why, why});
}

Outcome Session::run_to_end() {
    constexpr int kSlicesPerSecond = 20; // at least
    SliceLength slice(machine_->cycles_per_second() / kSlicesPerSecond);
    const Interruption interruption;
    ends_->take_terminal();
    Cycles awake = machine_->now();
    for (;;) {
        const u64 instructions = machine_->instructions();
        const Cycles start = machine_->now();
        const auto began = std::chrono::steady_clock::now();
        if (!run_slice(slice.cycles()))
            break;
        slice.took(std::chrono::steady_clock::now() - began);
        if (Interruption::requested()) {
            stops_->end_run({ExitCode::LimitReached, "stopped by Ctrl-C or a signal", "stopped by Ctrl-C or a signal"});
            static_cast<void>(ended({}, StopConditions::After::Slice));
            break;
        }
        if (debugger_ != nullptr && debugger_->wants() == Debugger::Wants::Hold) {
            constexpr int kPatience = 100; // milliseconds; Ctrl-C comes at once
            debugger_->wait(kPatience);
            continue;
        }
        if (machine_->now() < start) {
            awake = machine_->now();
            continue;
        }
        awake = machine_->instructions() == instructions ? awake : machine_->now();
        end_if_asleep(awake);
        // A guest that waits for somebody at the terminal does so at the pace of the room, and costs the host nothing.
        const Cycles spent = machine_->now() - start;
        if (machine_->instructions() - instructions < spent / 50)
            ends_->wait_for_key(static_cast<int>(spent * 1000 / machine_->cycles_per_second()));
    }
    ends_->leave_terminal();
    ends_->drain();
    return outcome_;
}

std::string Session::last_words() const { return forkscope::last_words(ends_->said(), *machine_); }
void Session::hear_console(std::function<void(u8 byte)> hear) { ends_->hear_bytes(std::move(hear)); }
bool Session::silent() const { return ends_->said().empty(); }

Result<void> Session::finish() {
    Result<void> saved;
    if (!options_.save_path.empty())
        saved = save_snapshot(*machine_, options_.save_path);
    if (options_.hash)
        print_hash();
    Result<void> result = ends_->finish();
    return result.ok() ? saved : result;
}

} // namespace forkscope
