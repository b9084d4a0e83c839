#include "emu/session/session.hpp"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

#include "emu/base/assert.hpp"
#include "emu/base/log.hpp"
#include "emu/files/whole_file.hpp"
#include "emu/machine/images.hpp"
#include "emu/session/host_terminal.hpp"
#include "emu/session/serial_port.hpp"
#include "emu/session/snapshot_file.hpp"
#include "emu/symbols/tar.hpp"
#include "emu/trace/trace_text.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kConsoleKept = 1u << 16;

// The built-in guest's sources: the program shows them wherever it runs.
std::optional<std::string> embedded_source(const std::string& path) {
    const auto files = read_tar(embedded_guest_sources());
    EMU_ASSERT(files.ok(), "the archive of guest sources is damaged: {}", files.error().message);
    for (const TarEntry& file : files.value())
        if (file.name == path)
            return std::string(file.data.begin(), file.data.end());
    return std::nullopt;
}

// What the end of the run writes must have a place before it starts.
Result<void> check_outputs(const Options& options) {
    Result<void> checked;
    if (!options.save_path.empty())
        checked = WholeFile::check(options.save_path, "the snapshot");
    if (checked.ok() && !options.screenshot_path.empty())
        checked = WholeFile::check(options.screenshot_path, "the screenshot");
    return checked;
}

} // namespace

Result<std::vector<u8>> read_file(const std::string& path, const std::string& what, u64 most) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
        return Error{fmt::format("cannot open {} '{}': {}; check the path", what, path, std::strerror(errno))};
    if (S_ISDIR(info.st_mode))
        return Error{fmt::format("{} '{}' is a directory; give a file", what, path)};
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return Error{fmt::format("cannot open {} '{}': {}; check its permissions", what, path, std::strerror(errno))};
    std::vector<u8> bytes;
    std::array<char, 65536> piece;
    while (file.read(piece.data(), piece.size()), file.gcount() > 0) {
        bytes.insert(bytes.end(), piece.begin(), piece.begin() + file.gcount());
        if (bytes.size() > most)
            return Error{
                fmt::format("{} '{}' is larger than {} MB; check that it is the right file", what, path, most >> 20)};
    }
    return bytes;
}

void PanicWatch::on_event(const TraceEvent& event) {
    seen |= event.kind == TraceKind::Tracepoint && event.a == TP_PANIC;
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
    MachineConfig config;
    config.ram_bytes = options.ram_bytes;
    config.engine = options.engine;
    config.cpu = options.cpu;
    config.clock = options.clock;
    config.bus = options.bus;
    config.fast_table = options.fast_table;
    config.tlb = options.tlb;
    config.tlb_seed = options.tlb_seed;
    config.direct = options.direct;
    config.command_line = options.append;
    if (auto loaded = session->load_images(config); !loaded.ok())
        return loaded.error();
    auto machine = Machine::create(std::move(config));
    if (!machine.ok())
        return machine.error();
    session->machine_ = std::move(machine).value();
    session->machine_->mmu().set_count_hits(options.count_hits);
    session->load_symbols();
    if (auto opened = session->open_host_ends(); !opened.ok())
        return opened.error();
    return session;
}

Result<void> Session::load_images(MachineConfig& config) {
    constexpr u64 kMostKernel = u64{256} << 20;
    if (options_.kernel_path.empty()) {
        const auto kernel = *embedded_kernel(options_.os);
        config.kernel.assign(kernel.begin(), kernel.end());
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
    if (!options_.initrd_path.empty()) {
        auto initrd = read_file(options_.initrd_path, "the initrd", kMostKernel);
        if (!initrd.ok())
            return initrd.error();
        config.initrd = std::move(initrd).value();
        config.initrd_name = options_.initrd_path;
        if (config.initrd.size() > options_.ram_bytes / 2)
            return Error{
                fmt::format("the initrd '{}' of {} MB does not fit beside the kernel in {} MB of RAM; give the "
                            "machine more with -m",
                            options_.initrd_path, config.initrd.size() >> 20, options_.ram_bytes >> 20)};
    } else if (options_.kernel_path.empty()) {
        const auto initrd = embedded_initrd();
        config.initrd.assign(initrd.begin(), initrd.end());
        config.initrd_name = "initrd.tar";
    }
    return {};
}

// Symbols are a help, never a condition: an image without them runs all the same.
void Session::load_symbols() {
    const MachineConfig& config = machine_->config();
    auto kernel = ElfImage::from_bytes(config.kernel_name, config.kernel);
    if (kernel.ok()) {
        if (!options_.kernel_path.empty())
            symbols_.set_layout(GuestLayout::of_kernel(**kernel));
        symbols_.add_kernel(std::move(kernel).value());
    }
    symbols_.set_source_fallback(embedded_source);
    if (!config.initrd.empty())
        static_cast<void>(symbols_.add_programs_of_initrd(config.initrd));
}

Result<void> Session::open_host_ends() {
    sinks_.add(last_events_);
    sinks_.add(panic_);
    assert_hook_ = add_assert_hook([this] { std::fputs(last_events_.text().c_str(), stderr); });
    if (!options_.until.empty()) {
        auto until = UntilCondition::parse(options_.until, symbols_);
        if (!until.ok())
            return until.error();
        until_ = std::move(until).value();
        until_->arm(*machine_);
        // forkdemo says where its own fork begins; those of init and the shell before it are not meant.
        const bool workload = options_.command == Command::Step || options_.command == Command::Fork;
        if (workload && options_.workload.empty() && options_.kernel_path.empty())
            until_->count_only_workload_forks();
        sinks_.add(*until_);
    }
    auto serial = SerialPort::open(options_.serial.empty() ? "none" : options_.serial);
    if (!serial.ok())
        return serial.error();
    serial_ = std::move(serial).value();
    auto debug_console = SerialPort::open(options_.debug_console, "--debugcon");
    if (!debug_console.ok())
        return debug_console.error();
    debug_console_ = std::move(debug_console).value();
    if (auto checked = check_outputs(options_); !checked.ok())
        return checked;
    if (!options_.load_path.empty())
        if (auto loaded = load_snapshot(*machine_, options_.load_path); !loaded.ok())
            return loaded;
    if (!options_.trace_path.empty()) {
        TraceHeader header;
        header.set("machine", fmt::format("{} {} MB {} Hz", model_of(options_.cpu).name, options_.ram_bytes >> 20,
                                          machine_->cycles_per_second()));
        header.set("tlb", study_text(options_.tlb, options_.tlb_seed));
        header.set("events", options_.all_events ? "all" : "all but tlb_fill and tlb_evict");
        header.set("seed", fmt::format("{}", options_.seed));
        header.set("command_line", options_.append);
        header.set("image.kernel",
                   fmt::format("{} xxh3:{:016x}", machine_->config().kernel_name, checksum(machine_->config().kernel)));
        header.set("image.initrd",
                   fmt::format("{} xxh3:{:016x}", machine_->config().initrd_name, checksum(machine_->config().initrd)));
        auto recording = TraceFileWriter::create(options_.trace_path, header,
                                                 options_.all_events ? kAllTraceKinds : ~kTranslationKinds);
        if (!recording.ok())
            return recording.error();
        recording_ = std::move(recording).value();
        sinks_.add(*recording_);
    }
    machine_->set_output([this](std::string_view channel, u8 byte) { on_output(channel, byte); });
    machine_->set_trace_sink(&sinks_);
    if (!options_.type_text.empty())
        if (auto typed = machine_->type(unescape(options_.type_text)); !typed.ok())
            return Error{"--type: " + typed.error().message, ExitCode::Usage};
    next_hash_ = options_.hash_every;
    return {};
}

ForkTracer& Session::trace_forks(std::size_t keep_whole) {
    if (tracer_ == nullptr) {
        ForkTracerOptions options;
        options.layout = symbols_.layout();
        options.keep_whole = keep_whole;
        options.watch = [this](u32 frame) { machine_->mmu().flag_frame(frame >> kPageShift, kFramePageTable); };
        options.paging = machine_->mmu().control();
        options.account = [this] { return machine_->cpu().cycles_by_cause(); };
        options.frame_pointer = [this] { return machine_->registers().reg<u32>(kEbp); };
        tracer_ = std::make_unique<ForkTracer>(machine_->mmu().memory(), &symbols_, options);
        sinks_.add(*tracer_);
        machine_->set_trace_sink(&sinks_);
    }
    return *tracer_;
}

void Session::on_output(std::string_view channel, u8 byte) {
    if (channel == "debug") {
        debug_console_->write(byte);
        return;
    }
    serial_->write(byte);
    if (byte == '\r')
        return;
    console_ += static_cast<char>(byte);
    if (console_.size() > 2 * kConsoleKept)
        console_.erase(0, kConsoleKept);
    if (until_ != nullptr)
        until_->on_console(console_);
}

void Session::poll_input() {
    for (const u8 byte : serial_->read()) {
        InputEvent event;
        event.kind = InputKind::SerialByte;
        event.data = byte;
        machine_->inject(event);
    }
}

void Session::print_hash() {
    // The guest may have left a line unfinished on the same output.
    if (options_.serial == "stdio" && !console_.empty() && console_.back() != '\n')
        std::printf("\n");
    std::printf("hash %llu %016llx\n", static_cast<unsigned long long>(machine_->instructions()),
                static_cast<unsigned long long>(machine_->hash()));
}

Outcome Session::shutdown_outcome() {
    const CpuState& r = machine_->registers();
    std::string text =
        fmt::format("triple fault: the guest's CPU shut down after {} instructions\n"
                    "  eip {:08x}  eax {:08x}  ebx {:08x}  ecx {:08x}  edx {:08x}\n"
                    "  esp {:08x}  ebp {:08x}  esi {:08x}  edi {:08x}  eflags {:08x}\n"
                    "  cr0 {:08x}  cr2 {:08x}  cr3 {:08x}  cr4 {:08x}  cs {:04x}  ss {:04x}  {}\n  last events:\n",
                    machine_->instructions(), r.eip, r.reg<u32>(kEax), r.reg<u32>(kEbx), r.reg<u32>(kEcx),
                    r.reg<u32>(kEdx), r.reg<u32>(kEsp), r.reg<u32>(kEbp), r.reg<u32>(kEsi), r.reg<u32>(kEdi),
                    r.eflags(), r.cr0, r.cr2, r.cr3, r.cr4, r.segments[kCs].selector, r.segments[kSs].selector,
                    symbols_.lookup(r.cr3 & 0xFFFFF000u, machine_->cpu().linear_eip()).text());
    constexpr std::size_t kShown = 8;
    const auto events = last_events_.events();
    for (std::size_t i = events.size() > kShown ? events.size() - kShown : 0; i < events.size(); ++i)
        text += "  " + trace_event_line(events[i]) + "\n";
    return {ExitCode::GuestPanic, text};
}

// The guest's own status: 0 is well, what a kernel writes on panic is not.
bool Session::ended(StopKind kind) {
    switch (kind) {
    case StopKind::Limit:
        if (machine_->instructions() < options_.limit.instructions && machine_->now() < options_.limit.cycle)
            return false;
        outcome_ = {ExitCode::LimitReached, ""};
        return true;
    case StopKind::Exit:
        outcome_ = {};
        if (machine_->exit_status() != 0)
            outcome_ = {ExitCode::GuestPanic, fmt::format("the guest ended with status {}", machine_->exit_status())};
        return true;
    case StopKind::Shutdown:
        outcome_ = shutdown_outcome();
        return true;
    case StopKind::Halted:
        outcome_ = {ExitCode::Ok, "the guest halted with interrupts off: nothing can wake it"};
        if (panic_.seen)
            outcome_ = {ExitCode::GuestPanic,
                        "the guest's kernel panicked; what it said is on the serial port and the screen"};
        return true;
    case StopKind::Requested:
    case StopKind::Breakpoint:
        if (until_ != nullptr)
            until_->on_stop(*machine_);
        break;
    }
    return false;
}

bool Session::run_slice(Cycles cycles) {
    until_met_ = false;
    RunLimit limit = options_.limit;
    limit.cycle = std::min(limit.cycle, machine_->now() + cycles);
    if (next_hash_ != 0)
        limit.instructions = std::min(limit.instructions, next_hash_);
    poll_input();
    const StopKind kind = (options_.functions && tracer_ != nullptr ? run_counting(limit) : machine_->run(limit)).kind;
    serial_->flush();
    debug_console_->flush();
    if (next_hash_ != 0 && machine_->instructions() >= next_hash_) {
        print_hash();
        next_hash_ += options_.hash_every;
    }
    if (until_ != nullptr)
        until_->on_slice(*machine_);
    if (ended(kind))
        return false;
    if (until_ != nullptr && until_->met()) {
        outcome_ = {};
        until_met_ = true;
        // Once only: a window goes on past it.
        sinks_.remove(*until_);
        until_.reset();
        return false;
    }
    if (recording_ != nullptr && recording_->failed()) {
        outcome_ = {ExitCode::RuntimeError, ""};
        return false;
    }
    return true;
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

Outcome Session::run_to_end() {
    // Only how often the host's ends are looked at: the guest cannot tell.
    constexpr int kSlicesPerSecond = 20;
    const Cycles slice = machine_->cycles_per_second() / kSlicesPerSecond;
    const Interruption interruption;
    std::optional<KeysUnechoed> keys;
    if (options_.serial == "stdio")
        keys.emplace(STDIN_FILENO);
    for (u64 before = machine_->instructions(); run_slice(slice); before = machine_->instructions()) {
        if (Interruption::requested()) {
            outcome_ = {ExitCode::LimitReached, "stopped by Ctrl-C or a signal"};
            break;
        }
        // A guest that waits for somebody at the terminal does so at the pace of the room, and costs the host nothing.
        if (keys.has_value() && keys->interactive() && machine_->instructions() - before < slice / 50)
            keys->wait_for_key(1000 / kSlicesPerSecond);
    }
    return outcome_;
}

Result<void> Session::finish() {
    Result<void> result;
    if (recording_ != nullptr)
        result = recording_->finish();
    if (!options_.save_path.empty() && result.ok())
        result = save_snapshot(*machine_, options_.save_path);
    for (const auto& port : {serial_.get(), debug_console_.get()}) {
        port->flush();
        if (!port->error().empty() && result.ok())
            result = Error{port->error()};
    }
    if (options_.hash)
        print_hash();
    return result;
}

} // namespace forkscope
