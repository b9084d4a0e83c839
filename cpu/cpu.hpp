// Owns: the CPU: registers, the run loop, fault and interrupt delivery, segment loading, `attention`.
// Callers: the Machine runs it; handlers (cpu/execute) use its lower half; others read state().
// Promises: a handler that returns Step::Fault has changed nothing that the guest can see; every engine reaches the
// same state at every instruction count.
#pragma once

#include <concepts>
#include <optional>

#include "cpu/cost/branch_predictor.hpp"
#include "cpu/cost/cost_model.hpp"
#include "cpu/cost/first_level_cache.hpp"
#include "cpu/engine/block.hpp"
#include "cpu/models/model.hpp"
#include "cpu/models/performance_counters.hpp"
#include "cpu/state.hpp"
#include "emu/base/access.hpp"
#include "emu/base/event_queue.hpp"
#include "emu/base/interrupt.hpp"
#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

enum class EngineKind : u8 { Interpreter, Block };

enum class CpuStop : u8 {
    Deadline,     // the cycle asked for is reached
    Instructions, // the instruction count asked for is reached
    Halted,       // HLT with interrupts disabled and nothing that could wake it but the clock moved to the deadline
    Shutdown,     // triple fault: the state is kept for looking
    Requested,    // somebody called request_stop()
};

enum Vector : u8 {
    kDivideError = 0,
    kDebugException = 1,
    kNmi = 2,
    kBreakpoint = 3,
    kOverflow = 4,
    kBoundRange = 5,
    kInvalidOpcode = 6,
    kDeviceNotAvailable = 7,
    kDoubleFault = 8,
    kInvalidTss = 10,
    kSegmentNotPresent = 11,
    kStackFault = 12,
    kGeneralProtection = 13,
    kPageFault = 14,
    kFloatingPoint = 16,
    kAlignmentCheck = 17,
    kSimdFloatingPoint = 19,
};

// What a function returns that has recorded a fault: false, Step::Fault, or an Access that is not ok.
class [[nodiscard]] Faulted {
  public:
    template <std::same_as<bool> T> constexpr operator T() const { return false; }
    constexpr operator Step() const { return Step::Fault; }
    template <class T> constexpr operator Access<T>() const { return Access<T>::fault(); }
};

struct PendingException {
    u8 vector = 0;
    bool has_error = false;
    u32 error = 0;
};

// What delivery needs to know of where a vector came from.
struct InterruptRequest {
    u8 vector = 0;
    InterruptCause cause = InterruptCause::Hardware;
    bool has_error = false;
    u32 error = 0;

    // EXT of an error code that arises while the vector is delivered (SDM 3A 6.13).
    u32 ext() const { return cause == InterruptCause::Software ? 0 : 1; }
    // EFLAGS as the interrupted program's image holds them (SDM 3B 17.3.1.1): faults restart their instruction, and RF
    // keeps an instruction breakpoint from firing again; INT n has ended, and so has its RF.
    u32 saved_flags(u32 eflags) const {
        if (cause == InterruptCause::Fault)
            return eflags | kFlagR;
        return cause == InterruptCause::Software ? eflags & ~u32{kFlagR} : eflags;
    }
};

enum class InterruptFlag : u8 { Real, Virtual, Neither };
enum class Redirection : u8 { No, Done };

// What the instruction after this one is shielded from.
enum class Shadow : u8 { Interrupts, InterruptsAndDebug };

// A far transfer by JMP or by CALL, and the ring that its gate leads to.
enum class FarTransfer : u8 { Jump, Call };
enum class Ring : u8 { Same, Inner };

// How a task switch came about, and what named the task.
enum class TaskSwitch : u8 { Jump, Call, Return };
enum class TaskName : u8 { Tss, TaskGate };

class Cpu final : public MomentSource, public InterruptInput, public AccessListener {
  public:
    Cpu(Mmu& mmu, Bus& bus, Tracer& tracer);
    ~Cpu() override;

    void reset();
    // Runs until the clock is at or after `deadline`, or `instruction_limit` instructions have retired since power-on,
    // whichever comes first. Events of devices must not be due before `deadline`.
    CpuStop run_until(Cycles deadline, u64 instruction_limit);
    // Ends run_until at the next instruction boundary.
    void request_stop() { raise_attention(kAttentionStop); }
    // A device scheduled something earlier than the deadline in force.
    void shorten_deadline(Cycles deadline);

    Moment moment() const override;
    Cycles now() const { return cycle_ + (current_ != nullptr ? current_->cost_before : 0); }
    u64 instructions() const { return instructions_ + (current_ != nullptr ? current_->number : 0); }
    bool halted() const { return halted_; }
    bool shut_down() const { return shutdown_; }

    // Line 0 is INTR, line 1 is NMI, line 2 is IGNNE#.
    void set_line(u8 line, bool level) override;
    void set_interrupt_source(InterruptSource* source) { interrupt_source_ = source; }
    // Where FERR# leads: high while an unmasked x87 exception is flagged and CR0.NE is 0.
    void set_float_error_line(const IrqLine& line) { float_error_line_ = line; }
    void code_changed(PhysicalAddress address, u32 size) override;
    void breakpoint_hit(u8 number) override;
    void page_walk_done(u32 updates) override;
    void misaligned_access() override;
    void memory_accessed(PhysicalAddress physical, u32 size, AccessKind kind) override;

    // Turns this into another processor, and resets it.
    // `bus` matters where the clock counts its cycles: the 386's.
    void set_model(CpuModel model, CostModelKind clock = CostModelKind::Flat, BusWidth bus = BusWidth::Bits32);
    const Model& model() const { return *model_; }
    bool has(Feature feature) const { return model_->has(feature); }
    const CostModel& cost_model() const { return cost_model_; }
    // Cycles by cause since power-on; Base is what is left of now().
    CycleCounters cycles_by_cause() const;
    u64 count_of(Counted counted) const; // since power-on
    void set_engine(EngineKind engine);
    EngineKind engine() const { return engine_; }
    void forget_derived_state();
    // Whether the x87 may use the host's, where that gives the same (float80_fast.hpp); without it all is done in
    // integers.
    void set_host_float(bool allowed);
    bool host_float() const { return host_float_; }
    // Instructions whose linear address is in this list stop the run before they execute (debugger, phase stepper).
    void set_breakpoints(std::vector<u32> linear_addresses);

    const CpuState& state() const { return state_; }
    // For loaders and debuggers: writes registers from outside, then brings everything derived in line.
    void set_state(const CpuState& state);
    u32 linear_eip() const { return state_.segments[kCs].base + state_.eip; }

    void serialize(Archive& ar);

    // The lower half: for handlers.

    CpuState& regs() { return state_; }
    Mmu& mmu() { return mmu_; }
    Bus& bus() { return bus_; }
    Tracer& tracer() { return tracer_; }
    Privilege privilege() const { return privilege_; }

    // Effective address within its segment.
    u32 offset_of(const Instruction& in) const {
        const u32 offset = static_cast<u32>(state_.gpr[in.base]) +
                           (static_cast<u32>(state_.gpr[in.index]) << in.scale) + in.displacement;
        return in.address_size == 4 ? offset : offset & 0xFFFF;
    }
    template <class T> Access<T> read(u8 segment, u32 offset);
    template <class T> Access<void> write(u8 segment, u32 offset, T value);
    template <class T> Access<T> read_for_update(u8 segment, u32 offset);
    template <class T> void finish_update(T value) { mmu_.finish_update<T>(value); }
    // Supervisor accesses to descriptor tables and task segments.
    template <class T> Access<T> read_system(u32 linear);
    template <class T> Access<void> write_system(u32 linear, T value);

    u32 stack_mask() const { return state_.segments[kSs].big ? 0xFFFFFFFFu : 0xFFFFu; }
    void set_stack_pointer(u32 value) {
        if (state_.segments[kSs].big)
            state_.gpr[kEsp] = value;
        else
            state_.set_reg<u16>(kEsp, static_cast<u16>(value));
    }
    template <class T> Access<void> push(T value) {
        const u32 top = (state_.esp() - u32{sizeof(T)}) & stack_mask();
        if (const auto stored = write<T>(kSs, top, value); !stored.ok) [[unlikely]]
            return stored;
        set_stack_pointer(top);
        return {};
    }
    template <class T> Access<T> peek_stack(u32 bytes_above = 0) { // reads without popping
        return read<T>(kSs, (state_.esp() + bytes_above) & stack_mask());
    }

    // Would a store to [offset, offset + size) of the segment succeed? Sets A and D as it would; else the fault is
    // recorded.
    Access<void> probe_write(u8 segment, u32 offset, u32 size);
    Access<void> probe_stack(u32 offset, u32 size) { return probe_write(kSs, offset, size); }

    // Records an exception, for the caller to return; the first two without and with an error code.
    Faulted fault(u8 vector);
    Faulted fault(u8 vector, u32 error);
    // What the last access through the Mmu failed with: #PF, or #AC.
    Faulted page_fault();
    // An access that the segment does not allow.
    Faulted segment_fault(u8 segment) { return fault(segment == kSs ? kStackFault : kGeneralProtection, 0); }

    // The eip after the running instruction; the place a near branch falls through to.
    u32 next_eip(const Instruction& in) const { return block_eip_ + in.offset + in.length; }
    u32 present_eip(const Instruction& in) const { return block_eip_ + in.offset; }
    // Near branch: checks CS's limit. Step::Jump, or Step::Fault with #GP(0).
    Step branch(u32 target) {
        if (target > state_.segments[kCs].limit) [[unlikely]]
            return fault(kGeneralProtection, 0);
        state_.eip = target;
        return Step::Jump;
    }
    // Ends the block after this instruction: modes or mappings may have changed.
    Step leave_block(const Instruction& in) {
        state_.eip = next_eip(in);
        return Step::Jump;
    }

    // Segments (segments.cpp). On failure the fault is recorded and nothing has changed; false = faulted.
    bool load_segment(u8 segment, u16 selector);
    // Reads the descriptor from the GDT or LDT; outside the table: `vector` with the selector's error code | `ext`.
    bool read_descriptor(u16 selector, u8 vector, u32 ext, Descriptor& descriptor);
    bool mark_accessed(Descriptor& descriptor);
    void set_code_segment(const SegmentCache& cache, u8 cpl);
    void set_real_code_segment(u16 selector); // real and virtual-8086 mode
    bool privileged() const { return !state_.protected_mode() || state_.cpl == 0; }
    bool io_allowed(u16 port, u32 size);
    // What CLI and STI act on at this privilege (SDM 2A, table 3-7).
    InterruptFlag interrupt_flag() const;
    bool virtual_interrupt_due() const;
    // The rules of CR4.VME for 16-bit PUSHF, POPF, IRET and INT n hold: virtual-8086 mode with IOPL < 3.
    bool virtual_interrupts() const {
        return state_.virtual_8086() && state_.iopl() < 3 && (state_.cr4 & kCr4Vme) != 0;
    }
    // FLAGS as a virtual-8086 task sees them then: VIF for IF, IOPL 3. And back: false = #GP(0) is due.
    u16 virtual_flags() const;
    bool set_virtual_flags(u16 flags);
    // INT n in virtual-8086 mode with CR4.VME, if the TSS's bitmap leaves it to the 8086 program's own handler.
    Access<Redirection> redirect_interrupt(u8 vector, u32 return_eip);
    bool load_ldtr(u16 selector);
    bool load_task_register(u16 selector);
    // For LAR, LSL, VERR, VERW: may the present privilege see the descriptor? Not ok: a fault was recorded.
    Access<bool> visible_descriptor(u16 selector, Descriptor& descriptor);

    // Transfers (transfers.cpp, interrupts.cpp, task_switch.cpp). Each commits everything or records a fault.
    bool far_jump(u16 selector, u32 offset, u32 size, u32 next_eip);
    bool far_call(u16 selector, u32 offset, u32 size, u32 return_eip);
    bool far_return(u32 size, u32 release);
    bool interrupt_return(u32 size, u32 next_eip);
    bool interrupt(const InterruptRequest& request, u32 return_eip);
    // `event` is what the switch came from if it came through the IDT.
    bool switch_task(u16 selector, TaskSwitch kind, u32 return_eip, const InterruptRequest* event = nullptr,
                     TaskName name = TaskName::Tss);

    // Modes.
    void write_cr0(u32 value);
    void write_cr3(u32 value);
    void write_cr4(u32 value);
    void note_missing(const Instruction& instruction); // the log, once a form
    void set_cpl(u8 cpl);
    void flags_changed();       // after writes of IF, TF, VM, AC
    void float_error_changed(); // after writes of the x87's exception flags and masks, and of CR0.NE
    bool float_error_ignored() const { return float_error_ignored_; }
    // The present instruction waits, and starts anew after the next interrupt.
    Step freeze() {
        shadow_until_ = 0;
        step_trap_ = false;
        halt();
        return Step::Repeat;
    }
    // INTR will be taken before the next instruction (or, from a handler, before this one if it repeats).
    bool interrupt_is_due() const { return interrupt_line_ && state_.flag(kFlagI) && instructions() >= shadow_until_; }
    // The next instruction runs before an interrupt (STI), and before a debug exception too (MOV SS, POP SS). An
    // instruction that stands in such a shadow casts none.
    void shadow_interrupts(Shadow shadow) {
        if (instructions() < shadow_until_)
            return;
        shadow_until_ = instructions() + 2;
        shadow_ = shadow;
        raise_attention(kAttentionShadow);
    }
    // The guest's performance counters (performance_counters.hpp), kept in model_registers: adds what came since they
    // were last looked at; and: their events were selected anew.
    void bring_counters_up_to_date();
    void counters_set();
    // Debug registers (debug_registers.cpp). After any change of DR0..DR3, DR7 or CR4.DE:
    void debug_registers_changed();
    // An access to a port, for I/O breakpoints.
    void port_accessed(u16 port, u32 size) {
        if (port_breakpoints_ != 0) [[unlikely]]
            match_port_breakpoints(port, size);
    }
    void halt() {
        halted_ = true;
        raise_attention(kAttentionHalt);
    }
    void shut_down_now();
    // Cost beyond the static one, settled at once.
    void charge(Cycles cycles, CycleCause cause = CycleCause::Base) {
        cycle_ += cycles;
        by_cause_[static_cast<std::size_t>(cause)] += cycles;
        if (cost_model_.queues()) [[unlikely]]
            note_own_cost(cycles, cause);
        // Even at the deadline itself: the last ones of the block may cost nothing, and must not start there.
        if (running_ != nullptr && cycle_ + running_->clocks >= deadline_)
            leave_ = true;
    }
    // The total of a path that mode, privilege or descriptors chose; it takes the place of the table's row.
    void take_path(CostPath path, CycleCause cause = CycleCause::Base);
    // The same, where the total holds what the 386 needs for the target (its m), too.
    void take_whole_path(CostPath path) {
        take_path(path);
        path_taken_ = PathTaken::Whole;
    }
    // What the operand's value adds, where the model's row says so (CostModel::by_operand).
    void charge_operand(const Instruction& in, u32 value) {
        if (!cost_model_.flat()) [[unlikely]]
            charge(cost_model_.by_operand(in, value));
    }
    // A repeated string or port instruction: each iteration's cost; it starts, or goes on, with `count` iterations to
    // do; it has done the last.
    Cycles iteration_cost(const Instruction& in) const;
    void begin_repeat(u32 count);
    void end_repeat(const Instruction& in);
    // How many more iterations of `cost` cycles a repeated instruction may run before the deadline. The first one may
    // start in any case.
    u64 iterations_left(Cycles cost) const;
    // Where each iteration is fetched (Mmu::fetches_each_instruction): Step::Next, or why not to go on. And whether
    // many iterations at once may count as one fetch.
    Step fetch_iteration(const Instruction& in);
    bool bulk_fetch(const Instruction& in) {
        return !mmu_.fetches_each_instruction() ||
               (running_ != nullptr && mmu_.bulk_fetch(LinearAddress(state_.segments[kCs].base + present_eip(in)),
                                                       privilege_, running_->start + in.offset));
    }
    bool leave_requested() const { return leave_; }
    // INVD and WBINVD, for the clock that has caches.
    void drop_caches() {
        caches_.code.invalidate();
        caches_.data.invalidate();
    }

  private:
    enum Attention : u32 {
        kAttentionInterrupt = 1, // INTR is high
        kAttentionNmi = 2,
        kAttentionHalt = 4,
        kAttentionStop = 8,
        kAttentionShadow = 16,
        kAttentionTrap = 32, // EFLAGS.TF, or a debug trap is pending
        kAttentionShutdown = 64,
        kAttentionBreakpoint = 128, // breakpoints are set
        kAttentionVirtual = 256,    // VIF and VIP may be set together
    };
    void raise_attention(u32 bits) {
        attention_ |= bits;
        leave_ = true;
    }
    // A stack frame being pushed: values from the highest address down; written only if all of it can be.
    struct StackFrame {
        SegmentCache ss;
        u32 esp = 0;
        Privilege privilege = Privilege::Supervisor;
        u32 fault_error = 0; // of #SS if the frame does not fit
        u32 size = 4;        // bytes an element
        u32 count = 0;
        std::array<u32, 48> values{};
        void push(u32 value) { values[count++] = value; }
    };
    bool write_frame(StackFrame& frame);
    // The ring's stack from the TSS, checked as for a transfer inwards.
    bool inner_stack(u8 ring, u32 ext, StackFrame& frame);
    bool read_outer_stack(u16 selector, u8 cpl, u8 absent, SegmentCache& ss);
    bool transfer_to_code(u16 selector, u32 offset, Descriptor& descriptor);
    bool transfer_by_gate(const Descriptor& gate, u16 selector, FarTransfer kind, u32 return_eip);
    bool transfer_by_call_gate(const Descriptor& gate, FarTransfer kind, u32 return_eip);
    bool copy_parameters(u32 count, StackFrame& frame);
    bool read_return_segment(u16 selector, Descriptor& descriptor);
    bool check_return_address(u32 eip, const Descriptor& descriptor);
    Access<u32> peek_element(u32 index, u32 size, u32 skipped = 0);
    bool read_gate(const InterruptRequest& request, Descriptor& gate);
    bool read_handler_segment(u16 selector, u32 ext, Descriptor& code);
    bool build_interrupt_frame(const InterruptRequest& request, const Descriptor& code, u32 ext, u32 return_eip,
                               StackFrame& frame);
    bool read_task_descriptor(u16 selector, TaskSwitch kind, u32 ext, Descriptor& target);
    void save_task(u32 return_eip, u32 flags);
    bool link_tasks(u16 old_selector, Descriptor& target, TaskSwitch kind);
    bool interrupt_real(const InterruptRequest& request, u32 return_eip);
    bool interrupt_protected(const InterruptRequest& request, u32 return_eip);
    bool interrupt_return_by_stack(u32 size);
    bool interrupt_return_protected(u32 size, u32 eip, u16 selector, u32 flags);
    bool return_to_virtual_8086(u32 eip, u16 cs, u32 flags);
    // `absent` is the vector for a stack segment that is not present.
    bool return_outer(u32 eip, u16 selector, Descriptor& descriptor, u32 new_esp, u16 new_ss, u8 absent);
    bool check_task_ldt(u16 selector, Descriptor& descriptor);
    bool load_task_code_and_stack(u16 ldt, u16 cs, u16 ss);
    bool load_task_data_segment(u8 segment, u16 selector);
    bool load_task_segments(u16 ldt, const std::array<u16, kSegmentCount>& selectors);
    bool enter_task(u16 ldt, const std::array<u16, kSegmentCount>& selectors, const InterruptRequest* event,
                    u32 error_size);
    void drop_inaccessible_segments();
    void enter_virtual_segment(u8 segment, u16 selector);
    std::optional<CpuStop> serve_attention(bool& delivered);
    void match_port_breakpoints(u16 port, u32 size);
    u32 code_breakpoints_at(u32 linear) const;
    bool any_breakpoint() const { return !breakpoints_.empty() || code_breakpoints_ != 0; }
    bool breaks_at(u32 linear) const;
    bool shadowed() const { return instructions_ < shadow_until_; }
    bool debug_shadowed() const { return shadowed() && shadow_ == Shadow::InterruptsAndDebug; }
    void deliver_debug(u32 dr6_bits);
    void after_special_instruction(u32 special, Step step);
    void deliver_hardware(const InterruptRequest& request);
    void deliver_exception();
    void deliver(Faulted) { deliver_exception(); }
    void run_one_block(u64 instruction_limit);
    u32 instructions_allowed(const Block& block, u64 instruction_limit) const;
    void run_instructions(const Block* block, const Instruction* first, u32 count);
    Block* find_block();
    Block* build_block(PhysicalAddress start, u32 linear);
    Block* keep_run(PhysicalAddress start, u32 count, const Lookahead& lookahead, const PipelineState& exit);
    void run_crossing_instruction(u32 linear);
    void bind(Instruction& instruction, const Instruction* previous, PipelineState& pipeline) const;
    void bind_cost(Instruction& instruction, const Instruction* previous, PipelineState& pipeline) const;
    void rebind(Block& block);
    void note_own_cost(Cycles cycles, CycleCause cause);
    Lookahead look_ahead(PhysicalAddress start, u32 count);
    u32 queue_code(PhysicalAddress start, QueuedInstruction* code, u16& bytes) const;
    void bind_queue(Instruction* first, u32 count, const Lookahead& lookahead, PipelineState& pipeline) const;
    void settle_queue(const Block* block, const Instruction& at);
    void settle(Step step, const Instruction& at);
    void end_cost(const Instruction& at, const Block* block);
    bool end_late(const Instruction& at);
    void predict(const Instruction& at, bool taken);
    void fetch_lines(PhysicalAddress start, u32 length);
    void line_missed();
    enum class Fetched : u8 { Same, Moved, Fault };
    Fetched fetch_again(const Instruction& in);
    template <bool kFetchLines, bool kFetchEach>
    Step run_loop(const Block* block, const Instruction*& in, const Instruction* end);
    CostPath port_path(CostPath allowed) const;
    std::optional<CostPath> protected_path(const Instruction& in) const;
    struct InterruptOrigin {
        bool protected_mode, virtual_8086;
        u8 cpl;
    };
    void charge_interrupt(const InterruptRequest& request, InterruptOrigin origin);
    void charge_call_gate(FarTransfer kind, Ring ring, u32 parameters);
    struct TaskSwitchOrigin {
        TaskSwitch kind;
        TaskName name;
        bool by_interrupt, from_virtual_8086;
    };
    void charge_task_switch(const TaskSwitchOrigin& origin, bool wide);
    void pass_pipeline(const Block* block, const Instruction* first, u32 executed);
    std::span<const QueuedInstruction> queued_from(const Block* block, u32 number) const;
    CodeMode code_mode() const { return {state_.segments[kCs].big}; }

    Mmu& mmu_;
    Bus& bus_;
    Tracer& tracer_;
    InterruptSource* interrupt_source_ = nullptr;
    IrqLine float_error_line_;

    const Model* model_ = &model_of(kDefaultCpuModel);
    CpuState state_;
    Privilege privilege_ = Privilege::Supervisor;
    PendingException pending_;
    u32 attention_ = 0;
    bool task_switched_ = false; // the running instruction has: a fault now belongs to the new task
    bool leave_ = false;         // a slow path wants the block left after the present instruction
    bool halted_ = false;
    bool shutdown_ = false;
    bool interrupt_line_ = false;
    bool nmi_pending_ = false;
    bool nmi_blocked_ = false;         // between NMI delivery and IRET
    bool float_error_ignored_ = false; // IGNNE#
    u32 trap_pending_ = 0;             // bits for DR6: a debug trap is due before the next instruction
    u32 watch_hits_ = 0;               // the same, of the running instruction: void if it faults
    bool step_trap_ = false;           // the running instruction began with TF and has not delivered an interrupt
    u8 code_breakpoints_ = 0;          // by number: those of DR7 that are enabled
    u8 port_breakpoints_ = 0;
    u64 shadow_until_ = 0; // no interrupt before this many instructions have retired
    Shadow shadow_ = Shadow::Interrupts;

    CostModel cost_model_;
    BranchPredictor predictor_;
    FirstLevelCaches caches_;
    Cycles bus_free_at_ = 0; // a line is being brought in until then
    u64 bank_access_ = 0;    // Pentium, of the last access: instruction number * 8 + bank
    PipelineState pipeline_; // behind the last instruction
    // With a prefetch queue: of the running instruction, if the queue must learn it, without waits for memory.
    Cycles own_cost_ = 0;
    std::array<CounterSetting, 2> counter_settings_{}; // derived from model_registers
    std::array<u64, 2> counted_until_{};               // count_of() when the counters were last brought up to date
    bool counting_ = false;
    Cycles halted_cycles_ = 0;
    u64 interrupts_ = 0, branches_ = 0, mispredictions_ = 0, data_cache_misses_ = 0, code_cache_misses_ = 0;
    u64 misaligned_accesses_ = 0;
    bool repeating_ = false; // a repeated instruction stopped between two iterations, and nothing came between
    u32 repeat_asked_ = 0;   // the iterations that it had to do when it started
    enum class PathTaken : u8 { No, Yes, Whole };
    PathTaken path_taken_ = PathTaken::No; // the running instruction's cost was decided by take_path
    CycleCounters by_cause_{};             // but for Base
    Cycles cycle_ = 0;
    u64 instructions_ = 0;
    Cycles deadline_ = 0;
    const Instruction* current_ = nullptr; // being executed; nullptr between instructions
    const Block* running_ = nullptr;
    u32 block_eip_ = 0;
    bool fetch_failed_ = false;                 // the next instruction of the block could not be fetched
    std::array<PhysicalAddress, 2> crossing_{}; // of an instruction in two pages: its first byte in each

    EngineKind engine_ = EngineKind::Block;
    bool host_float_ = false;
    BlockCache blocks_;
    Block scratch_block_;
    std::array<Instruction, 64> scratch_; // being decoded; the reference engine's only instruction
    std::array<QueuedInstruction, 64 + kMostAhead> scratch_queue_; // the same, and what stands behind
    std::vector<u32> breakpoints_;
    u64 breakpoint_passed_at_ = ~u64{0}; // instruction count at which the present breakpoint was already reported
};

// The handler of a form for this operand size and operand kind (dispatch.cpp).
Handler handler_of(const Instruction& instruction);
Handler too_long_handler();
inline constexpr u32 kDebugRegisterAccess = 1u << 13; // DR6.BD, and DR7.GD
inline constexpr u32 kDebugSingleStep = 1u << 14;     // DR6.BS
inline constexpr u32 kDebugTaskSwitch = 1u << 15;     // DR6.BT

template <class T> Access<T> Cpu::read(u8 segment, u32 offset) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_read && !cache.may_read(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto loaded = mmu_.load<T>(LinearAddress(cache.base + offset), privilege_);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<void> Cpu::write(u8 segment, u32 offset, T value) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto stored = mmu_.store<T>(LinearAddress(cache.base + offset), value, privilege_);
    if (!stored.ok) [[unlikely]]
        return page_fault();
    return stored;
}

template <class T> Access<T> Cpu::read_for_update(u8 segment, u32 offset) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto loaded = mmu_.load_for_update<T>(LinearAddress(cache.base + offset), privilege_);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<T> Cpu::read_system(u32 linear) {
    const auto loaded = mmu_.load<T>(LinearAddress(linear), Privilege::Supervisor);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<void> Cpu::write_system(u32 linear, T value) {
    const auto stored = mmu_.store<T>(LinearAddress(linear), value, Privilege::Supervisor);
    if (!stored.ok) [[unlikely]]
        return page_fault();
    return stored;
}

} // namespace forkscope
