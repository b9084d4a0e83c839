// Static costs when code is bound, the rest when it is known.
#include "cpu/cost/cost_meter.hpp"

#include <algorithm>
#include <utility>

#include "cpu/protection/exceptions.hpp"

namespace forkscope {

void CostMeter::configure(const Model& model, CostModelKind kind, BusWidth bus) {
    model_ = &model;
    cost_model_.configure(model.number, kind, bus);
    caches_ = cost_model_.caches()
                  ? FirstLevelCaches{FirstLevelCache(model.cost.code_cache), FirstLevelCache(model.cost.data_cache)}
                  : FirstLevelCaches();
    mmu_.report_accesses(cost_model_.caches());
    const bool misaligned_costs = !cost_model_.flat() && cost_model_.path(CostPath::Misaligned) != 0;
    mmu_.report_misaligned(misaligned_costs ? model.cost.aligned_within - 1u : 0, cost_model_.bus().bytes_per_cycle);
}

void CostMeter::reset() {
    counters_set();
    pipeline_ = cost_model_.at_new_place(state_.eip);
    own_cost_ = 0;
    predictor_.reset();
    drop_caches();
    bus_free_at_ = bank_access_ = 0;
}

void CostMeter::bind(Instruction& in, const Instruction* previous, PipelineState& pipeline) const {
    if (cost_model_.flat()) [[likely]] {
        in.cost = cost_model_.flat_clocks(in.form);
        if (previous != nullptr)
            in.cost_before = static_cast<u16>(previous->cost_before + previous->cost);
        return;
    }
    const StaticCost cost = cost_model_.advance(pipeline, in);
    in.cost = cost.clocks;
    in.penalty = cost.penalty;
    in.ending = cost.ending;
    in.taken = cost.taken;
    if (previous != nullptr) {
        in.cost_before = static_cast<u16>(previous->cost_before + previous->cost);
        in.penalty_before = static_cast<u16>(previous->penalty_before + previous->penalty);
    }
}

// The block was reached behind something else than when it was bound.
void CostMeter::rebind(Block& block) {
    PipelineState pipeline = pipeline_;
    if (cost_model_.queues())
        bind_in_queue({block.first, block.count}, block.lookahead(), pipeline);
    for (u32 i = 0; i < block.count && !cost_model_.queues(); ++i)
        bind(block.first[i], i == 0 ? nullptr : &block.first[i - 1], pipeline);
    const Instruction& last = block.first[block.count - 1];
    block.clocks = u32{last.cost_before} + last.cost;
    block.entry = pipeline_;
    block.exit = pipeline;
}

void CostMeter::pass(const Block* block, const Instruction* first, u32 executed) {
    if (block != nullptr && executed == block->count) {
        pipeline_ = block->exit;
        return;
    }
    for (u32 i = 0; i < executed; ++i) {
        if (cost_model_.queues())
            cost_model_.advance_queue(pipeline_, first[i].ending, queued_from(block, i));
        else
            cost_model_.advance(pipeline_, first[i]);
    }
}

Cycles CostMeter::iteration_cost(const Instruction& in) const {
    const bool sends = form_at(in.form).port == Port::Out;
    const bool outside_real = sends && state_.protected_mode() && cost_model_.path(CostPath::RepeatOutStep) != 0;
    return outside_real ? cost_model_.path(CostPath::RepeatOutStep) : cost_model_.iteration(in);
}

u64 CostMeter::iterations_left(Cycles cost) const {
    if (state_.flag(kFlagT) || progress_.now() >= progress_.deadline)
        return 0;
    return (progress_.deadline - progress_.now() + cost - 1) / std::max<Cycles>(1, cost);
}

void CostMeter::begin_repeat(u32 count) {
    if (!repeating_)
        repeat_asked_ = count;
}

// Its iterations are paid.
void CostMeter::end_repeat(const Instruction& in) {
    if (!cost_model_.tells_repeats(in) || form_at(in.form).port != Port::None)
        return;
    if (repeat_asked_ == 0)
        take_path(CostPath::RepeatNone);
    else if (repeat_asked_ == 1 && cost_model_.moves(in)) {
        charge(cost_model_.path(CostPath::RepeatMoveOnce) - cost_model_.iteration(in));
        path_taken_ = PathTaken::Yes;
    }
}

// --- Paths

// The first of three neighbours: CPL <= IOPL, looked up in the TSS, virtual-8086 mode.
CostPath CostMeter::port_path(CostPath allowed) const {
    const u32 which = state_.virtual_8086() ? 2 : state_.cpl > state_.iopl() ? 1 : 0;
    return static_cast<CostPath>(static_cast<u32>(allowed) + which);
}

// What protected mode makes of an instruction that no gate, ring or task has changed.
std::optional<CostPath> CostMeter::protected_path(const Instruction& in) const {
    const LateCost& late = cost_model_.late(in);
    switch (late.late) {
    case Late::No:
    case Late::AsItRuns:
        return std::nullopt;
    case Late::ProtectedMode:
        return late.path;
    case Late::Port:
        return port_path(in.repeats() ? late.other : late.path);
    case Late::Protection:
        return state_.virtual_8086() ? std::nullopt : std::optional(late.path);
    case Late::SegmentLoad:
        break;
    }
    if (state_.virtual_8086())
        return std::nullopt;
    const OperandKind& target = kind_of(form_at(in.form).operands[0]);
    const u8 loaded = target.place == Place::FixedSegment ? target.number : in.reg;
    if ((state_.segments[loaded].selector & 0xFFFC) == 0)
        return CostPath::SegmentLoadNull;
    return in.has_memory() ? late.other : late.path;
}

void CostMeter::interrupt_taken(const InterruptRequest& request, const InterruptOrigin& origin) {
    if (cost_model_.flat() || path_taken_ != PathTaken::No) // a task switch has its own
        return;
    const CostPath path = !origin.protected_mode     ? CostPath::InterruptReal
                          : origin.virtual_8086      ? CostPath::InterruptVirtual8086
                          : origin.cpl != state_.cpl ? CostPath::InterruptInner
                                                     : CostPath::InterruptSame;
    take_path(path, CycleCause::Delivery);
    if (path == CostPath::InterruptReal && request.cause == InterruptCause::Fault)
        charge_path(CostPath::ExceptionReal, CycleCause::Delivery);
    const bool page_fault = request.cause == InterruptCause::Fault && request.vector == kPageFault;
    if (page_fault)
        charge_path(CostPath::PageFault, CycleCause::Delivery);
    if (request.cause == InterruptCause::Hardware)
        charge_path(CostPath::ExternalInterrupt, CycleCause::Delivery);
    if (request.cause == InterruptCause::Nmi)
        charge_path(CostPath::NonMaskableInterrupt, CycleCause::Delivery);
    const bool by_instruction = request.cause == InterruptCause::Software || request.cause == InterruptCause::Trap;
    if (!by_instruction || progress_.current == nullptr)
        return;
    const Transfer transfer = form_at(progress_.current->form).transfer;
    const CostPath overflow = origin.protected_mode ? CostPath::Overflow : CostPath::OverflowReal;
    const CostPath number = origin.protected_mode ? CostPath::SoftwareInterrupt : CostPath::SoftwareInterruptReal;
    const CostPath by = transfer == Transfer::Overflow     ? overflow
                        : transfer == Transfer::Breakpoint ? CostPath::Breakpoint
                                                           : number;
    charge_path(by, CycleCause::Delivery);
}

void CostMeter::charge_call_gate(FarTransfer kind, Ring ring, u32 parameters) {
    const bool memory = progress_.current->has_memory();
    if (kind == FarTransfer::Jump)
        return take_path(memory ? CostPath::JumpGateMemory : CostPath::JumpGate);
    if (memory)
        charge_path(CostPath::CallGateMemory);
    if (ring == Ring::Same)
        return take_path(CostPath::CallGateSame);
    take_path(parameters == 0 ? CostPath::CallGateInner : CostPath::CallGateParameters);
    charge(Cycles{parameters} * cost_model_.path(CostPath::CallGateParameter));
}

void CostMeter::charge_task_switch(const TaskSwitchRequest& request, bool from_virtual_8086, bool wide) {
    const bool returns = request.kind == TaskSwitch::Return;
    if (state_.virtual_8086())
        take_whole_path(returns ? CostPath::TaskReturnVirtual8086 : CostPath::TaskSwitchVirtual8086);
    else if (wide)
        take_whole_path(returns ? CostPath::TaskReturn32 : CostPath::TaskSwitch32);
    else
        take_whole_path(returns ? CostPath::TaskReturn16 : CostPath::TaskSwitch16);
    if (from_virtual_8086)
        charge_path(CostPath::TaskFromVirtual8086);
    const bool memory = progress_.current != nullptr && progress_.current->has_memory();
    const auto by = [&](CostPath direct) { // its neighbours: by a task gate, through memory, both
        return static_cast<CostPath>(static_cast<u32>(direct) + (request.name == TaskName::TaskGate ? 1 : 0) +
                                     (memory ? 2 : 0));
    };
    charge(cost_model_.path(request.event != nullptr           ? CostPath::TaskByInterrupt
                            : returns                          ? CostPath::TaskByReturn
                            : request.kind == TaskSwitch::Call ? by(CostPath::TaskByCall)
                                                               : by(CostPath::TaskByJump)));
}

// Charges what is decided late, unless it took a path. Does its cost hold the target's m?
bool CostMeter::end_late(const Instruction& at) {
    if (path_taken_ == PathTaken::No) {
        const auto path = state_.protected_mode() ? protected_path(at) : std::nullopt;
        charge(path ? cost_model_.path(*path) : cost_model_.row(at),
               (at.ending & kAtPort) != 0 ? CycleCause::Io : CycleCause::Base);
        if (path == CostPath::ReturnFarProtected && at.immediate != 0)
            charge_path(CostPath::ReturnFarImmediate);
    }
    return std::exchange(path_taken_, PathTaken::No) == PathTaken::Whole;
}

// What only the end of the instruction tells: which path it took, and whether it jumped.
void CostMeter::end_cost(const Instruction& at, const Block* block) {
    const bool whole = (at.ending & kDecidedLate) != 0 && end_late(at);
    const bool jumps =
        (at.ending & kAlwaysJumps) != 0 || ((at.ending & kMayJump) != 0 && state_.eip != progress_.next_eip(at));
    if ((at.ending & kPredicted) != 0)
        predict(at, jumps);
    if (at.taken != 0 && jumps != ((at.ending & kCheaperTaken) != 0))
        charge(at.taken, CycleCause::Branch);
    if (jumps)
        pipeline_ =
            cost_model_.queues() ? cost_model_.behind_jump(pipeline_, at, state_.linear_eip(), whole) : PipelineState();
    else if (cost_model_.queues() && (at.ending & (kDecidedLate | kByOperand)) != 0)
        settle_queue(block, at);
}

void CostMeter::settle_fault(const Instruction& at, const Block* block) {
    by_cause_[static_cast<std::size_t>(CycleCause::Pipeline)] += at.penalty_before;
    repeating_ = false;
    if (cost_model_.queues())
        charge(cost_model_.wait_for(pipeline_, queued_from(block, at.number)), CycleCause::Pipeline);
}

void CostMeter::settle_iteration(const Instruction& at) {
    by_cause_[static_cast<std::size_t>(CycleCause::Pipeline)] += at.penalty_before;
    repeating_ = true;
}

void CostMeter::predict(const Instruction& at, bool taken) {
    const u32 base = state_.segments[kCs].base;
    ++branches_;
    if (predictor_.predicted(base + progress_.present_eip(at), taken, base + state_.eip))
        return;
    ++mispredictions_;
    const bool in_v = (at.ending & (kInV | kMayJump)) == (kInV | kMayJump);
    charge(cost_model_.path(in_v ? CostPath::MispredictedV : CostPath::MispredictedU), CycleCause::Branch);
}

// --- Caches

// The first doubleword is waited for; while the rest of the line comes in, only the next miss waits.
void CostMeter::line_missed() {
    const Cycles waits = bus_free_at_ > progress_.now() ? bus_free_at_ - progress_.now() : 0;
    charge(waits + cost_model_.path(CostPath::CacheMissRead), CycleCause::Cache);
    bus_free_at_ = progress_.now() + cost_model_.path(CostPath::CacheMissFill);
}

void CostMeter::fetch_lines(PhysicalAddress start, u32 length) {
    FirstLevelCache& cache = caches_.code.present() ? caches_.code : caches_.data;
    const u32 line = cache.geometry().line;
    for (u64 at = start.value & ~u64{line - 1u}; at < start.value + length; at += line) {
        if (!cache.read(at)) {
            ++code_cache_misses_;
            line_missed();
        }
    }
}

void CostMeter::memory_accessed(PhysicalAddress physical, u32 size, AccessKind kind) {
    const u32 line = caches_.data.geometry().line;
    for (u64 at = physical.value & ~u64{line - 1u}; at < physical.value + size; at += line) {
        if (kind == AccessKind::Write) {
            caches_.data.write(at);
        } else if (!caches_.data.read(at)) {
            ++data_cache_misses_;
            line_missed();
        }
    }
    if (model_->cost.pipeline != Pipeline::TwoPipes || progress_.current == nullptr)
        return;
    // Eight banks, by address bits 4:2; both pipes in one of them: V waits (AP-500).
    const u64 access = progress_.retired() * 8 + (physical.value >> 2 & 7);
    if ((progress_.current->ending & kInV) != 0 && access == bank_access_ + 8)
        charge_path(CostPath::BankConflict, CycleCause::Cache);
    bank_access_ = access;
}

// --- Counters

u64 CostMeter::count_of(Counted counted) const {
    switch (counted) {
    case Counted::Nothing:
        return 0;
    case Counted::UnhaltedCycles:
        return progress_.now() - halted_cycles_;
    case Counted::Instructions:
        return progress_.retired();
    case Counted::DataTlbMisses:
        return mmu_.counters().tlb_misses[0];
    case Counted::CodeTlbMisses:
        return mmu_.counters().tlb_misses[1];
    case Counted::Interrupts:
        return interrupts_;
    case Counted::Branches:
        return branches_;
    case Counted::Mispredictions:
        return mispredictions_;
    case Counted::DataCacheMisses:
        return data_cache_misses_;
    case Counted::CodeCacheMisses:
        return code_cache_misses_;
    case Counted::Misaligned:
        return misaligned_accesses_;
    }
    return 0;
}

void CostMeter::bring_counters_up_to_date() {
    constexpr u64 kBits = (u64{1} << 40) - 1;
    for (u32 number = 0; number < counter_settings_.size() && counting_; ++number) {
        const CounterSetting& setting = counter_settings_[number];
        const u64 count = count_of(setting.counted);
        u64& counter = state_.model_registers[kFirstCounter + number];
        if (setting.counts(state_.cpl))
            counter = (counter + count - counted_until_[number]) & kBits;
        counted_until_[number] = count;
    }
}

void CostMeter::counters_set() {
    counting_ = false;
    for (u32 number = 0; number < counter_settings_.size(); ++number) {
        const auto& registers = state_.model_registers;
        counter_settings_[number] =
            counter_setting(*model_, registers[kEventSelect], registers[kEventSelect + 1], number);
        counting_ |= counter_settings_[number].counted != Counted::Nothing;
        counted_until_[number] = count_of(counter_settings_[number].counted);
    }
}

CycleCounters CostMeter::cycles_by_cause() const {
    CycleCounters counters = by_cause_;
    if (progress_.current != nullptr) // what its block has cost so far is settled behind the block
        counters[static_cast<std::size_t>(CycleCause::Pipeline)] += progress_.current->penalty_before;
    Cycles others = 0;
    for (const Cycles cycles : counters)
        others += cycles;
    counters[static_cast<std::size_t>(CycleCause::Base)] += progress_.now() - others;
    return counters;
}

void CostMeter::serialize(Archive& ar) {
    ar.nested("pipeline", pipeline_);
    if (cost_model_.queues()) {
        ar.nested("prefetch_queue", pipeline_.queue);
        ar.field("refill", pipeline_.refill);
        ar.field("own_clocks", own_cost_);
        if (ar.loading() && !pipeline_.queue.possible(cost_model_.bus()))
            ar.fail("the prefetch queue is in an impossible state");
    }
    ar.field("repeating", repeating_);
    ar.field("repeat_asked", repeat_asked_);
    ar.field("cycles_by_cause", by_cause_);
    ar.field("counted_until", counted_until_);
    ar.field("halted_cycles", halted_cycles_);
    ar.field("interrupts", interrupts_);
    ar.field("branches", branches_);
    ar.field("mispredictions", mispredictions_);
    ar.field("data_cache_misses", data_cache_misses_);
    ar.field("code_cache_misses", code_cache_misses_);
    ar.field("misaligned_accesses", misaligned_accesses_);
    if (cost_model_.predicts())
        ar.nested("branch_predictor", predictor_);
    if (cost_model_.caches()) {
        ar.nested("code_cache", caches_.code);
        ar.nested("data_cache", caches_.data);
        ar.field("bus_free_at", bus_free_at_);
        ar.field("bank_access", bank_access_);
    }
    if (ar.loading())
        counting_ = false; // until the privilege is known, too
}

// The counters go on from where they were saved.
void CostMeter::loaded() {
    const auto until = counted_until_;
    counters_set();
    counted_until_ = until;
}

} // namespace forkscope
