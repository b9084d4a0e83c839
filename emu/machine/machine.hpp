// Owns: one whole machine: memory, bus, Mmu, Cpu, devices, events, inputs. Several can live in one process.
// Callers: cli, ui, debug, tests. Promises: deterministic: configuration and input log decide every bit; a snapshot
// taken anywhere, loaded, and run on gives the same hash; nothing a guest does ends the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "cpu/cpu.hpp"
#include "devices/device.hpp"
#include "devices/trace_port.hpp"
#include "devices/vga/vga.hpp"
#include "emu/base/checkpoint_part.hpp"
#include "emu/base/event_queue.hpp"
#include "emu/machine/breakpoints.hpp"
#include "emu/machine/config.hpp"
#include "emu/machine/input_log.hpp"
#include "emu/machine/multiboot.hpp"
#include "emu/machine/snapshot.hpp"
#include "emu/machine/stop.hpp"
#include "emu/machine/timeline/position.hpp"
#include "emu/machine/watchpoints.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

class FirmwareConfig;
class KeyboardController;
class Pic;
class Uart;

struct RunLimit {
    Cycles cycle = kNever;
    u64 instructions = ~u64{0};
};

// Keys for a text (US layout, '\n' = Enter) that wait for their turn. Error: a character that no key types.
Result<std::vector<InputEvent>> owed_keys(const std::string& text);

class Machine final : private Wiring {
  public:
    static Result<std::unique_ptr<Machine>> create(MachineConfig config);
    ~Machine() override;

    // Runs to the first instruction boundary at which a limit is reached, or something else stops it.
    StopReason run(RunLimit limit);
    // Ends run() at the next instruction boundary. `id` comes back in the reason; the first to ask is named.
    void request_stop(u32 id = 0);
    OwnedBreakpoints& breakpoints() { return breakpoints_; }
    // One that stops before the next instruction counts as met.
    void pass_breakpoint();
    OwnedWatchpoints& watchpoints() { return *watchpoints_; }
    // Executes exactly one instruction (or delivers one interrupt or fault).
    StopReason step();

    // Applies an input at the present instruction boundary and appends it, stamped, to the log.
    void inject(InputEvent event);
    // Injects owed_keys(), which are fed one by one as fast as the guest takes them.
    Result<void> type(const std::string& text);
    bool typing() const { return !pending_keys_.empty(); }
    // Inputs to be applied at their stamps from here on; inject() is refused while any is left. What is still to come
    // is no part of a snapshot: it is whoever knows it that goes on.
    void replay(InputLog log);
    bool replaying() const { return replay_at_ < replayed_.events().size(); }
    // Everything that came from outside so far. Keys that type() owes are in it once, where they were asked for.
    const InputLog& inputs() const { return inputs_; }

    Cycles now() const override { return cpu_->now(); }
    u64 instructions() const { return cpu_->instructions(); }
    Position position() const { return {instructions(), cpu_->deliveries_since(), now()}; }
    u64 cycles_per_second() const override { return config_.cycles_per_second; }
    u32 exit_status() const { return exit_status_; }
    const MachineConfig& config() const { return config_; }

    // XXH3 over the whole architectural state. Engines, fast tables and derived state do not enter it.
    u64 hash();

    // --- Snapshots (snapshot.cpp). What is saved is more than what is hashed: inputs, keys that type() still owes, who
    // filled each translation, observers' states.
    using SectionWriter = std::function<Result<void>(SnapshotSection)>;
    // Section by section, so that nobody needs to hold all of memory twice.
    Result<void> save(const SectionWriter& write);
    // The observers' sections alone.
    Result<void> save_parts(const SectionWriter& write);
    Snapshot snapshot();
    // All but memory and observers: 300 KB or so, and the inputs so far.
    enum class Inputs : u8 { With, Without };
    Snapshot state(Inputs inputs = Inputs::With);

    // --- Checkpoints (snapshot.cpp), which the timeline keeps: moments of this machine's own run, in memory.
    // All but memory, observers and the inputs so far, section by section; the bytes are good until the next one.
    void save_checkpoint(const std::function<void(std::span<const u8>)>& section);
    std::vector<std::shared_ptr<PartState>> part_states() const; // of observers, in the order of adding
    struct Past {
        std::function<std::span<const u8>()> next_section;
        std::function<void()> put_back_memory;                // the sections are back then
        const std::vector<std::shared_ptr<PartState>>& parts; // who came to watch later knew nothing yet
        std::size_t inputs;                                   // so many of those in inputs() came before
        const std::vector<std::string>& absent_parts;
    };
    void put_back(const Past& past);
    // What the machine puts out it has put out before: nobody outside is to get it again.
    void set_muted(bool muted) { muted_ = muted; }
    bool muted() const { return muted_; }
    // Error: the snapshot is of another machine, and which options it needs; or it is damaged. Then nothing has
    // changed.
    Result<void> restore(const SnapshotSource& source);
    // A line for each saved field that is not as it is now, "cpu.registers.eip: 00 -> 01"; observers apart.
    std::vector<std::string> differences(const Snapshot& saved);
    // An observer whose state goes into snapshots and comes back with them. Before restore().
    void add_checkpoint_part(CheckpointPart part) { parts_.push_back(std::move(part)); }
    void set_bus_listener(BusListener* listener) { bus_.set_listener(listener); }
    // The last restore() found nothing of this observer: what it shows began then.
    bool restored_without(std::string_view part) const;
    const std::vector<std::string>& absent_parts() const { return absent_parts_; }
    // Drops everything that can be recomputed. No hash may change.
    void forget_derived_state();

    // Observers. The sink gets every event from now on; nullptr: none.
    void set_trace_sink(TraceSink* sink) { tracer_.set_sink(sink); }
    // A sink wants other kinds than when it was attached.
    void trace_kinds_changed() { tracer_.set_sink(tracer_.sink()); }
    // Host ends of what leaves the machine; channels "com1" and "debug".
    using Output = std::function<void(std::string_view channel, u8 byte)>;
    void set_output(Output output) { output_ = std::move(output); }

    const CpuState& registers() const { return cpu_->state(); }
    Cpu& cpu() { return *cpu_; }
    const Cpu& cpu() const { return *cpu_; }
    const Mmu& mmu() const { return *mmu_; }
    Mmu& mmu() { return *mmu_; }
    const Vga& vga() const { return *vga_; }
    // A byte of a device's memory, if that device lets itself be looked at.
    std::optional<u8> peek_device(PhysicalAddress address) const { return bus_.peek_memory(address); }
    const BootPlan& boot_plan() const { return boot_plan_; }

  private:
    // One part of what a snapshot holds. Hashed: it is also part of the hash, in this order. Memory goes by pieces.
    enum class SectionKind : u8 { Configuration, Hashed, Memory, Saved, Inputs };
    struct Section {
        std::string name;
        u32 version;
        SectionKind kind;
        std::function<void(Archive&)> serialize;
    };
    static bool in_checkpoints(const Section& section) {
        return section.kind == SectionKind::Hashed || section.kind == SectionKind::Saved;
    }
    static constexpr const char* kPartPrefix = "part.";

    explicit Machine(MachineConfig config);
    Result<void> prepare_boot();
    void enter_kernel_directly();
    void add_devices();
    void learn(u32 tracepoint, const TracePort::Arguments& arguments);
    template <class T, class... Args> T& add(Args&&... args);
    void apply(const InputEvent& event);
    void hand_over(const InputEvent& event);
    void feed_keys();
    void reset_everything();
    RunLimit until_input(RunLimit limit) const;
    bool replayed_due() const;
    std::vector<Section> sections();
    SaveArchive checkpoint_archive_; // its memory is used again
    void serialize_configuration(Archive& ar);
    void serialize_events(Archive& ar);
    void serialize_requests(Archive& ar);
    void serialize_typing(Archive& ar);
    StopReason run_on(RunLimit limit);
    void apply_replayed();
    void poke(const InputEvent& event);
    Result<void> check_sections(const SnapshotSource& source);
    Result<void> load_state(const SnapshotSource& source);
    Result<std::vector<std::shared_ptr<PartState>>> read_parts(const SnapshotSource& source) const;

    // Wiring, for the devices.
    Bus& bus() override { return bus_; }
    Tracer& tracer() override { return tracer_; }
    void schedule(Device& device, Cycles when, u32 what) override;
    void cancel(Device& device, u32 what) override { events_.cancel(device.number, what); }
    IrqLine irq(u8 line) override;
    void output(std::string_view channel, u8 byte) override;
    void request_exit(u32 status) override;
    void request_reset() override;
    void set_a20(bool enabled) override { mmu_->set_a20(enabled); }
    bool a20() const override { return mmu_->paging().a20(); }

    MachineConfig config_;
    BootPlan boot_plan_;
    Tracer tracer_;
    EventQueue events_;
    Bus bus_;
    std::unique_ptr<IoHandler> rom_alias_;
    std::unique_ptr<PhysicalMemory> memory_;
    std::unique_ptr<Mmu> mmu_;
    std::unique_ptr<OwnedWatchpoints> watchpoints_;
    std::unique_ptr<Cpu> cpu_;
    std::vector<std::unique_ptr<Device>> devices_;
    Pic* pic_ = nullptr;
    Uart* com1_ = nullptr;
    KeyboardController* keyboard_ = nullptr;
    Vga* vga_ = nullptr;
    FirmwareConfig* firmware_config_ = nullptr;
    Output output_;

    InputLog inputs_;
    InputLog replayed_;
    std::size_t replay_at_ = 0;
    std::vector<InputEvent> pending_keys_; // of --type, in order
    Cycles next_key_ = kNever;
    bool touched_ = false; // a key or byte has reached a device
    bool paused_ = true;   // run() has returned, and nothing was injected since
    bool muted_ = false;

    std::vector<CheckpointPart> parts_;
    std::vector<std::string> absent_parts_; // of the last restore() or put_back()

    OwnedBreakpoints breakpoints_{[this](std::vector<u32> addresses) { cpu_->set_breakpoints(std::move(addresses)); }};
    std::optional<u32> stop_requested_; // with the id given
    bool exit_requested_ = false;
    bool reset_requested_ = false;
    u32 exit_status_ = 0;
};

} // namespace forkscope
