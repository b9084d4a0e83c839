// Owns: CostMeter, which prices what runs: static costs when code is bound, the rest when only running tells it, and
// what the pipeline, the branch predictor, the caches and the prefetch queue remember. Callers: engines bind, begin and
// settle with it; handlers and cpu/protection charge. Promises: every engine gets the same cycle at every instruction;
// cycles are counted by cause, and add up.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>

#include "cpu/cost/branch_predictor.hpp"
#include "cpu/cost/cost_model.hpp"
#include "cpu/cost/first_level_cache.hpp"
#include "cpu/engine/block.hpp"
#include "cpu/models/performance_counters.hpp"
#include "cpu/progress.hpp"
#include "cpu/protection/requests.hpp"
#include "cpu/state.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

class CostMeter {
  public:
    CostMeter(CpuState& state, Progress& progress, Mmu& mmu) : state_(state), progress_(progress), mmu_(mmu) {}
    // Another processor or another --clock; then comes reset().
    void configure(const Model& model, CostModelKind kind, BusWidth bus);
    void reset();
    const CostModel& cost_model() const { return cost_model_; }
    const PipelineState& pipeline() const { return pipeline_; } // behind the last instruction

    // --- Binding: the static costs of decoded code, behind `pipeline`, which moves on.
    void bind(Instruction& instruction, const Instruction* previous, PipelineState& pipeline) const;
    // With a prefetch queue, instead: a run decoded from `start` on, whose end is followed by the lookahead that comes
    // back; and an instruction that lies in two pages or in device memory.
    Lookahead bind_queue(PhysicalAddress start, std::span<Instruction> run, PipelineState& pipeline);
    void bind_queue_alone(std::span<const u8> bytes, Instruction& instruction, PipelineState& pipeline);
    // The block was reached behind something else than when it was bound.
    bool is_bound(const Block& block) const { return cost_model_.flat() || block.entry == pipeline_; }
    void rebind(Block& block);

    // --- Running: an engine begins a run of instructions, brings in the lines of code that each lies in (where there
    // are caches), and settles behind the last: it stopped there (fault, or between two iterations), or is done.
    void begin() {
        if (!repeating_)
            own_cost_ = 0;
    }
    void fetch_lines(PhysicalAddress start, u32 length);
    // `executed` instructions from `first` on are done; `block` may be null.
    void pass(const Block* block, const Instruction* first, u32 executed);
    void settle_fault(const Instruction& at, const Block* block);
    void settle_iteration(const Instruction& at);
    void settle(const Instruction& at, const Block* block) {
        by_cause_[static_cast<std::size_t>(CycleCause::Pipeline)] += u64{at.penalty_before} + at.penalty;
        repeating_ = false;
        if (at.ending != 0)
            end_cost(at, block);
    }
    // A repeated instruction stopped between two iterations, and nothing has come between.
    bool repeating() const { return repeating_; }
    // The processor was set to go on elsewhere from outside.
    void moved_from_outside() {
        if (cost_model_.queues())
            pipeline_ = cost_model_.at_new_place(state_.linear_eip());
    }
    void pass_halted(Cycles until) { halted_cycles_ += until - std::exchange(progress_.cycle, until); }

    // --- Charging: cost beyond the static one, settled at once.
    void charge(Cycles cycles, CycleCause cause = CycleCause::Base) {
        progress_.cycle += cycles;
        by_cause_[static_cast<std::size_t>(cause)] += cycles;
        if (cost_model_.queues()) [[unlikely]]
            note_own_cost(cycles, cause);
        // Even at the deadline itself: the last ones of the block may cost nothing, and must not start there.
        if (progress_.running != nullptr && progress_.cycle + progress_.running->clocks >= progress_.deadline)
            progress_.leave = true;
    }
    void charge_path(CostPath path, CycleCause cause = CycleCause::Base) { charge(cost_model_.path(path), cause); }
    // The total of a path that mode, privilege or descriptors chose; it takes the place of the table's row.
    void take_path(CostPath path, CycleCause cause = CycleCause::Base) {
        charge_path(path, cause);
        path_taken_ = PathTaken::Yes;
    }
    // The same, where the total holds what the 386 needs for the target (its m), too.
    void take_whole_path(CostPath path) {
        charge_path(path);
        path_taken_ = PathTaken::Whole;
    }
    // What the operand's value adds, where the model's row says so (CostModel::by_operand).
    void charge_operand(const Instruction& in, u32 value) {
        if (!cost_model_.flat()) [[unlikely]]
            charge(cost_model_.by_operand(in, value));
    }
    // A repeated string or port instruction: each iteration's cost; it starts, or goes on, with `count` iterations to
    // do; it has done the last. How many more of `cost` cycles may run before the deadline; the first one may in any
    // case.
    Cycles iteration_cost(const Instruction& in) const;
    void begin_repeat(u32 count);
    // For code that does as much: where the count goes, and what the iterations cost.
    struct RepeatPlaces {
        u32* asked;
        Cycles* charged;
    };
    RepeatPlaces repeat_places() { return {&repeat_asked_, &by_cause_[static_cast<std::size_t>(CycleCause::Base)]}; }
    void end_repeat(const Instruction& in);
    u64 iterations_left(Cycles cost) const;

    // --- Interrupts and exceptions: delivery starts with an empty pipeline, each attempt chooses its path anew, and
    // the handler's first instruction has its own.
    void begin_delivery() { pipeline_ = {}; }
    void interrupt_begins() { repeating_ = false; } // by an instruction, too
    void charge_delivery() { charge(cost_model_.delivery(), CycleCause::Delivery); }
    void forget_path() { path_taken_ = PathTaken::No; }
    void interrupt_taken(const InterruptRequest& request, const InterruptOrigin& origin);
    void end_delivery() {
        pipeline_ = cost_model_.behind_delivery(state_.linear_eip());
        path_taken_ = PathTaken::No;
    }
    void count_interrupt() { ++interrupts_; } // INTR or NMI
    void charge_call_gate(FarTransfer kind, Ring ring, u32 parameters);
    void charge_task_switch(const TaskSwitchRequest& request, bool from_virtual_8086, bool wide);

    // --- What the Mmu tells.
    void page_walk_done(u32 entries_updated) {
        if (!cost_model_.flat())
            charge(cost_model_.walk(entries_updated), CycleCause::TlbWalk);
    }
    void misaligned_access() {
        ++misaligned_accesses_;
        charge_path(CostPath::Misaligned, CycleCause::Misaligned);
    }
    void memory_accessed(PhysicalAddress physical, u32 size, AccessKind kind);
    // INVD and WBINVD.
    void drop_caches() {
        caches_.code.invalidate();
        caches_.data.invalidate();
    }

    // --- Counters. Cycles by cause since power-on: Base is what is left of now().
    CycleCounters cycles_by_cause() const;
    u64 count_of(Counted counted) const; // since power-on
    // The guest's performance counters (performance_counters.hpp), kept in model_registers: adds what came since they
    // were last looked at; and: their events were selected anew.
    void bring_counters_up_to_date();
    void counters_set();
    bool counting() const { return counting_; }

    void serialize(Archive& ar);
    // After CpuState, too, was loaded.
    void loaded();

  private:
    enum class PathTaken : u8 { No, Yes, Whole };

    void note_own_cost(Cycles cycles, CycleCause cause);
    u32 queue_code(PhysicalAddress start, QueuedInstruction* code, u16& bytes) const;
    Lookahead look_ahead(PhysicalAddress start, std::span<const Instruction> run);
    void bind_in_queue(std::span<Instruction> run, const Lookahead& lookahead, PipelineState& pipeline) const;
    std::span<const QueuedInstruction> queued_from(const Block* block, u32 number) const;
    void settle_queue(const Block* block, const Instruction& at);
    void end_cost(const Instruction& at, const Block* block);
    bool end_late(const Instruction& at);
    void predict(const Instruction& at, bool taken);
    void line_missed();
    CostPath port_path(CostPath allowed) const;
    std::optional<CostPath> protected_path(const Instruction& in) const;

    CpuState& state_;
    Progress& progress_;
    Mmu& mmu_;
    const Model* model_ = &model_of(kDefaultCpuModel);
    CostModel cost_model_;
    BranchPredictor predictor_;
    FirstLevelCaches caches_;
    Cycles bus_free_at_ = 0; // a line is being brought in until then
    u64 bank_access_ = 0;    // Pentium, of the last access: instruction number * 8 + bank
    PipelineState pipeline_;
    std::array<QueuedInstruction, kMostInstructionsInBlock + kMostAhead> queued_; // a run being bound, what follows
    // With a prefetch queue: of the running instruction, if the queue must learn it, without waits for memory.
    Cycles own_cost_ = 0;
    bool repeating_ = false;
    u32 repeat_asked_ = 0;                             // the iterations that it had to do when it started
    PathTaken path_taken_ = PathTaken::No;             // the running instruction's cost was decided by take_path
    CycleCounters by_cause_{};                         // but for Base
    std::array<CounterSetting, 2> counter_settings_{}; // derived from model_registers
    std::array<u64, 2> counted_until_{};               // count_of() when the counters were last brought up to date
    bool counting_ = false;
    Cycles halted_cycles_ = 0;
    u64 interrupts_ = 0, branches_ = 0, mispredictions_ = 0, data_cache_misses_ = 0, code_cache_misses_ = 0;
    u64 misaligned_accesses_ = 0;
};

} // namespace forkscope
