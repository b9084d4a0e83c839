#include "emu/machine/machine.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "cpu/register_number.hpp"
#include "devices/cmos/cmos.hpp"
#include "devices/coprocessor_error.hpp"
#include "devices/debug_console.hpp"
#include "devices/dma/dma.hpp"
#include "devices/exit_port.hpp"
#include "devices/firmware_config.hpp"
#include "devices/keyboard/keyboard_controller.hpp"
#include "devices/keyboard/keymap.hpp"
#include "devices/pic/pic.hpp"
#include "devices/pit/pit.hpp"
#include "devices/port92.hpp"
#include "devices/uart/uart.hpp"
#include "emu/base/log.hpp"
#include "emu/machine/images.hpp"
#include "guest/abi/ports.h"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u64 kLeastRam = u64{2} << 20;
constexpr u64 kMostRam = u64{2} << 30;
constexpr u64 kRomStart = 0xF0000;
constexpr u64 kRomAlias = 0xFFFF0000; // where the processor starts

std::string size_text(u64 bytes) {
    return bytes % (1u << 20) == 0 ? fmt::format("{} MB", bytes >> 20) : fmt::format("{} bytes", bytes);
}

void append_word(std::vector<u8>& bytes, u64 value, u32 size) {
    for (u32 i = 0; i < size; ++i)
        bytes.push_back(static_cast<u8>(value >> (8 * i)));
}

// Whether the last argument of a tracepoint is a page directory that CR3 may not have held yet.
bool names_directory(u32 tracepoint) {
    using namespace trace_words;
    switch (tracepoint) {
#define TRACEPOINT(id, name, stop, arg0, arg1, arg2, text)                                                             \
    case id:                                                                                                           \
        return (arg2).type() == TraceType::NewDirectory;
#include "guest/abi/tracepoints.def"
    default:
        return false;
    }
}

// The firmware once more below 4 GB, as the processor sees it at reset.
class RomAlias final : public IoHandler {
  public:
    explicit RomAlias(std::span<const u8> image) : image_(image) {}
    u32 io_read(u32 address, u32) override { return address < image_.size() ? image_[address] : 0xFFu; }
    void io_write(u32, u32, u32) override {}

  private:
    std::span<const u8> image_;
};

} // namespace

Machine::Machine(MachineConfig config) : config_(std::move(config)) {}

Machine::~Machine() = default;

Result<std::unique_ptr<Machine>> Machine::create(MachineConfig config) {
    if (config.ram_bytes < kLeastRam || config.ram_bytes > kMostRam || config.ram_bytes % kPageSize != 0)
        return Error{
            fmt::format("a machine has 2 MB to 2 GB of RAM in whole pages, not {}; choose with -m, for example "
                        "-m 64M",
                        size_text(config.ram_bytes)),
            ExitCode::Usage};
    std::unique_ptr<Machine> machine(new Machine(std::move(config)));
    if (auto prepared = machine->prepare_boot(); !prepared.ok())
        return prepared.error();
    return machine;
}

// Boot in order: memory, translation, CPU, devices, firmware, kernel.
Result<void> Machine::prepare_boot() {
    if (!config_.kernel.empty()) {
        auto plan = plan_multiboot(config_.kernel, config_.kernel_name, config_.modules, config_.command_line,
                                   config_.ram_bytes);
        if (!plan.ok())
            return plan.error();
        boot_plan_ = std::move(plan).value();
        for (const std::string& warning : boot_plan_.warnings)
            log_warning_once(warning, warning);
    }
    memory_ = std::make_unique<PhysicalMemory>(config_.ram_bytes);
    mmu_ = std::make_unique<Mmu>(*memory_, bus_, tracer_);
    watchpoints_ = std::make_unique<OwnedWatchpoints>(*mmu_);
    cpu_ = std::make_unique<Cpu>(*mmu_, bus_, tracer_);
    cpu_->set_model(config_.cpu, config_.clock, config_.bus);
    mmu_->set_tlb_model(studied(model_of(config_.cpu).tlb, config_.tlb, config_.tlb_seed));
    const bool translates = config_.engine == EngineKind::Translator || config_.engine == EngineKind::Automatic;
    if (translates && config_.translator)
        cpu_->set_engine(config_.translator);
    else
        cpu_->set_engine(config_.engine);
    mmu_->set_fast_table(config_.fast_table);
    add_devices();
    const std::span<const u8> firmware = embedded_firmware();
    memory_->install_rom(PhysicalAddress(kRomStart), firmware);
    rom_alias_ = std::make_unique<RomAlias>(firmware);
    bus_.map_memory(PhysicalAddress(kRomAlias), firmware.size(), *rom_alias_);
    reset_everything();
    if (config_.direct)
        enter_kernel_directly();
    return {};
}

template <class T, class... Args> T& Machine::add(Args&&... args) {
    auto device = std::make_unique<T>(std::forward<Args>(args)...);
    T& reference = *device;
    reference.number = static_cast<u32>(devices_.size());
    devices_.push_back(std::move(device));
    return reference;
}

// The guest says which frames are directories from now on, and which are nothing any more: so a child's tables are
// known before any walk uses them, and a table's frame that is given out again is not taken for one.
void Machine::learn(u32 tracepoint, const TracePort::Arguments& arguments) {
    if (tracepoint == TP_FRAME_FREE)
        mmu_->unflag_frame(arguments[0] >> kPageShift, kFramePageTable);
    else if (names_directory(tracepoint) && arguments[2] != 0)
        mmu_->table_marks().mark_space(mmu_->control().space_of(arguments[2]));
}

void Machine::add_devices() {
    pic_ = &add<Pic>();
    add<Pit>();
    com1_ = &add<Uart>("com1", u16{0x3F8}, u8{4});
    keyboard_ = &add<KeyboardController>();
    add<Port92>();
    vga_ = &add<Vga>();
    CmosConfiguration cmos;
    cmos.start_unix_time = config_.rtc_start;
    cmos.ram_bytes = config_.ram_bytes;
    add<Cmos>(cmos);
    add<Dma>();
    auto& coprocessor_error = add<CoprocessorError>();
    add<DebugConsole>();
    add<ExitPort>();
    add<TracePort>([this](u32 id, const TracePort::Arguments& arguments) { learn(id, arguments); });
    firmware_config_ = &add<FirmwareConfig>();
    for (auto& device : devices_)
        device->attach(*this);
    pic_->set_output({cpu_.get(), 0});
    cpu_->set_interrupt_source(pic_);
    cpu_->set_float_error_line({&coprocessor_error, 0});
    coprocessor_error.set_ignore_line({cpu_.get(), 2});

    std::vector<u8> item;
    append_word(item, config_.ram_bytes, 8);
    firmware_config_->set_item(ABI_FIRMWARE_RAM_SIZE, item);
    item.clear();
    append_word(item, boot_plan_.entry, 4);
    firmware_config_->set_item(ABI_FIRMWARE_ENTRY, item);
    item.clear();
    append_word(item, boot_plan_.info_address, 4);
    append_word(item, boot_plan_.stack_top, 4);
    firmware_config_->set_item(ABI_FIRMWARE_BOOT_INFO, item);
    item.clear();
    append_word(item, boot_plan_.segments.size(), 4);
    std::vector<SharedBytes> data;
    for (const BootSegment& segment : boot_plan_.segments) {
        append_word(item, segment.address, 4);
        append_word(item, segment.bytes.size(), 4);
        append_word(item, segment.memory_bytes, 4);
        data.push_back(segment.bytes);
    }
    firmware_config_->set_item(ABI_FIRMWARE_SEGMENTS, item);
    firmware_config_->set_parts(ABI_FIRMWARE_SEGMENT_DATA, std::move(data));
}

void Machine::reset_everything() {
    events_.clear();
    cpu_->reset();
    for (auto& device : devices_)
        device->reset();
    reset_requested_ = false;
}

// Multiboot Specification 3.2, machine state.
void Machine::enter_kernel_directly() {
    if (boot_plan_.segments.empty())
        return;
    for (const BootSegment& segment : boot_plan_.segments) {
        bool written = memory_->write(PhysicalAddress(segment.address), segment.bytes);
        constexpr std::array<u8, kPageSize> kZeros{};
        for (u64 at = segment.bytes.size(); written && at < segment.memory_bytes; at += kPageSize)
            written = memory_->write(PhysicalAddress(segment.address + at),
                                     std::span(kZeros).first(std::min<u64>(kPageSize, segment.memory_bytes - at)));
        EMU_ASSERT(written, "boot segment at {:#x} is outside RAM", segment.address);
    }
    CpuState state = cpu_->state();
    const SegmentCache data = SegmentCache::from(0x10, {0x00CF93000000FFFF, {}});
    for (SegmentCache& segment : state.segments)
        segment = data;
    state.segments[kCs] = SegmentCache::from(0x08, {0x00CF9B000000FFFF, {}});
    state.cr0 = kCr0Pe | kCr0Et;
    state.eip = boot_plan_.entry;
    state.gpr.fill(0);
    state.set_reg<u32>(kEax, kMultibootLoaderMagic);
    state.set_reg<u32>(kEbx, boot_plan_.info_address);
    state.set_reg<u32>(kEsp, boot_plan_.stack_top);
    state.x87.initialise();
    mmu_->set_a20(true);
    cpu_->set_state(state);
}

bool Machine::replayed_due() const {
    if (!replaying())
        return false;
    const InputEvent& next = replayed_.events()[replay_at_];
    return next.instructions < instructions() || (next.instructions == instructions() && next.cycle <= now());
}

// Where the next input comes that is known already. At one count of instructions time tells moments apart.
RunLimit Machine::until_input(RunLimit limit) const {
    if (!pending_keys_.empty())
        limit.cycle = std::min(limit.cycle, next_key_);
    if (!replaying())
        return limit;
    const InputEvent& next = replayed_.events()[replay_at_];
    if (instructions() < next.instructions)
        limit.instructions = std::min(limit.instructions, next.instructions);
    else
        limit.cycle = std::min(limit.cycle, next.cycle);
    return limit;
}

StopReason Machine::run(RunLimit limit) {
    const StopReason reason = run_on(limit);
    paused_ = true;
    return reason;
}

// An input of a replay comes where the live one did: behind what was due at its boundary, before what it makes due.
StopReason Machine::run_on(RunLimit limit) {
    for (;;) {
        if (!pending_keys_.empty() && next_key_ <= now())
            feed_keys();
        Event event;
        while (events_.pop_due(now(), event))
            devices_[event.owner]->on_event(event.what);
        if (exit_requested_) {
            exit_requested_ = false;
            stop_requested_.reset();
            return {StopKind::Exit};
        }
        if (reset_requested_) {
            reset_everything();
            if (stop_requested_)
                return {StopKind::Requested, *std::exchange(stop_requested_, std::nullopt)};
        }
        if (replayed_due()) {
            apply_replayed();
            continue;
        }
        if (now() >= limit.cycle || instructions() >= limit.instructions)
            return {StopKind::Limit};
        const RunLimit next = until_input(limit);
        switch (cpu_->run_until(std::min(next.cycle, events_.next()), next.instructions)) {
        case CpuStop::Deadline:
        case CpuStop::Instructions:
            break;
        case CpuStop::Halted:
            return {StopKind::Halted};
        case CpuStop::Shutdown:
            return {StopKind::Shutdown};
        case CpuStop::Requested:
            if (!exit_requested_ && !reset_requested_)
                return {StopKind::Requested, std::exchange(stop_requested_, std::nullopt).value_or(kNobody)};
            break;
        case CpuStop::Breakpoint:
            if (breakpoints_.meet(cpu_->linear_eip()))
                return {StopKind::Breakpoint, breakpoints_.first_at(cpu_->linear_eip())};
            break;
        }
    }
}

void Machine::request_stop(u32 id) {
    if (!stop_requested_)
        stop_requested_ = id;
    cpu_->request_stop();
}

void Machine::pass_breakpoint() {
    if (breakpoints_.first_at(cpu_->linear_eip()) != 0 && cpu_->pass_breakpoint())
        breakpoints_.meet(cpu_->linear_eip());
}

StopReason Machine::step() {
    const u64 before = instructions();
    const u32 eip = cpu_->linear_eip();
    for (;;) {
        const StopReason reason = run({now() + 1, before + 1});
        // A repeated instruction retires late, a delivery retires nothing: any visible move counts as a step.
        const bool moved = instructions() != before || cpu_->linear_eip() != eip || cpu_->halted();
        // A breakpoint where the step begins was met, or set, while the machine stood there.
        if (moved || (reason.kind != StopKind::Limit && reason.kind != StopKind::Breakpoint))
            return reason;
    }
}

void Machine::inject(InputEvent event) {
    if (replaying()) {
        log_warning_once("inject-in-replay", "an input was ignored: a recorded run is being replayed");
        return;
    }
    event.order = paused_ ? InputOrder::First : InputOrder::Next;
    event.cycle = now();
    event.instructions = instructions();
    paused_ = false;
    apply(event);
}

void Machine::replay(InputLog log) {
    replayed_ = std::move(log);
    replay_at_ = 0;
}

void Machine::apply_replayed() {
    const auto& events = replayed_.events();
    do
        apply(events[replay_at_++]);
    while (replayed_due() && events[replay_at_].order == InputOrder::Next);
}

// Logged before it is used, so that a crash in between still leaves a log that reproduces it.
void Machine::apply(const InputEvent& event) {
    inputs_.append(event);
    switch (event.kind) {
    case InputKind::Key:
    case InputKind::SerialByte:
        return hand_over(event);
    case InputKind::OwedKey:
        pending_keys_.push_back({.kind = InputKind::Key, .size = event.size, .data = event.data});
        if (next_key_ == kNever)
            next_key_ = now();
        return;
    case InputKind::Memory:
    case InputKind::Register:
        return poke(event);
    }
}

void Machine::hand_over(const InputEvent& event) {
    touched_ = true;
    tracer_.emit(TraceKind::Input, static_cast<u64>(event.kind), event.data);
    if (event.kind == InputKind::Key)
        keyboard_->key(event.data, event.size);
    else
        com1_->receive(static_cast<u8>(event.data));
}

// What lies outside of memory, or is no register, changes nothing: a log may be anybody's.
void Machine::poke(const InputEvent& event) {
    if (event.kind == InputKind::Memory) {
        std::array<u8, sizeof event.data> bytes{};
        std::memcpy(bytes.data(), &event.data, bytes.size());
        mmu_->poke_physical(PhysicalAddress(event.address),
                            std::span(bytes).first(std::min<std::size_t>(event.size, bytes.size())));
        return;
    }
    static_cast<void>(write_register(*cpu_, mmu_->paging(), static_cast<RegisterNumber>(event.address), event.data));
}

Result<std::vector<InputEvent>> owed_keys(const std::string& text) {
    const auto keys = keys_for_text(text);
    if (!keys.ok())
        return keys.error();
    std::vector<InputEvent> inputs;
    for (const KeyTransition& key : *keys)
        inputs.push_back({.kind = InputKind::OwedKey, .size = key.size, .data = key.bytes});
    return inputs;
}

Result<void> Machine::type(const std::string& text) {
    const auto keys = owed_keys(text);
    if (!keys.ok())
        return keys.error();
    for (const InputEvent& key : *keys)
        inject(key);
    return {};
}

// One key at a time, when the guest listens: interrupt 1 unmasked and the controller's buffer empty. The first one
// waits for interrupts, too: the firmware hands over with line 1 unmasked. A person types slower; a kernel's line
// discipline is given 2 ms a key.
void Machine::feed_keys() {
    next_key_ = now() + config_.cycles_per_second / 500;
    if (!pic_->unmasked(1) || !keyboard_->ready_for_key() || (!touched_ && !cpu_->state().flag(kFlagI)))
        return;
    const InputEvent event = pending_keys_.front();
    pending_keys_.erase(pending_keys_.begin());
    hand_over(event);
    if (pending_keys_.empty())
        next_key_ = kNever;
}

void Machine::schedule(Device& device, Cycles when, u32 what) {
    events_.schedule(when, device.number, what);
    cpu_->shorten_deadline(when);
}

IrqLine Machine::irq(u8 line) { return {pic_, line}; }

void Machine::output(std::string_view channel, u8 byte) {
    if (output_)
        output_(channel, byte);
}

void Machine::request_exit(u32 status) {
    exit_status_ = status;
    exit_requested_ = true;
    cpu_->request_stop();
}

void Machine::request_reset() {
    reset_requested_ = true;
    cpu_->request_stop();
}

void Machine::forget_derived_state() {
    cpu_->forget_derived_state();
    mmu_->forget_derived_state();
}

} // namespace forkscope
