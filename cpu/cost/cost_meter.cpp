// How the Cpu settles what its Clock says: static clocks when code is bound, the rest when it is known.
#include "cpu/cpu.hpp"

#include <utility>

namespace forkscope {

void Cpu::bind_cost(Instruction& in, const Instruction* previous, PipelineState& pipeline) const {
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
void Cpu::rebind(Block& block) {
    PipelineState pipeline = pipeline_;
    if (cost_model_.queues())
        bind_queue(block.first, block.count, block.lookahead(), pipeline);
    for (u32 i = 0; i < block.count && !cost_model_.queues(); ++i)
        bind_cost(block.first[i], i == 0 ? nullptr : &block.first[i - 1], pipeline);
    const Instruction& last = block.first[block.count - 1];
    block.clocks = u32{last.cost_before} + last.cost;
    block.entry = pipeline_;
    block.exit = pipeline;
}

// `executed` instructions from `first` on are done, not all of `block`, which may be null.
void Cpu::pass_pipeline(const Block* block, const Instruction* first, u32 executed) {
    for (u32 i = 0; i < executed; ++i) {
        if (cost_model_.queues())
            cost_model_.advance_queue(pipeline_, first[i].ending, queued_from(block, i));
        else
            cost_model_.advance(pipeline_, first[i]);
    }
}

void Cpu::take_path(CostPath path, CycleCause cause) {
    charge(cost_model_.path(path), cause);
    path_taken_ = PathTaken::Yes;
}

Cycles Cpu::iteration_cost(const Instruction& in) const {
    const bool sends = form_at(in.form).port == Port::Out;
    const bool outside_real = sends && state_.protected_mode() && cost_model_.path(CostPath::RepeatOutStep) != 0;
    return outside_real ? cost_model_.path(CostPath::RepeatOutStep) : cost_model_.iteration(in);
}

void Cpu::begin_repeat(u32 count) {
    if (!repeating_)
        repeat_asked_ = count;
}

// Its iterations are paid.
void Cpu::end_repeat(const Instruction& in) {
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
CostPath Cpu::port_path(CostPath allowed) const {
    const u32 which = state_.virtual_8086() ? 2 : state_.cpl > state_.iopl() ? 1 : 0;
    return static_cast<CostPath>(static_cast<u32>(allowed) + which);
}

// What protected mode makes of an instruction that no gate, ring or task has changed.
std::optional<CostPath> Cpu::protected_path(const Instruction& in) const {
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

void Cpu::charge_interrupt(const InterruptRequest& request, InterruptOrigin origin) {
    if (cost_model_.flat() || path_taken_ != PathTaken::No) // a task switch has its own
        return;
    const CostPath path = !origin.protected_mode     ? CostPath::InterruptReal
                          : origin.virtual_8086      ? CostPath::InterruptVirtual8086
                          : origin.cpl != state_.cpl ? CostPath::InterruptInner
                                                     : CostPath::InterruptSame;
    take_path(path, CycleCause::Delivery);
    if (path == CostPath::InterruptReal && request.cause == InterruptCause::Fault)
        charge(cost_model_.path(CostPath::ExceptionReal), CycleCause::Delivery);
    const bool page_fault = request.cause == InterruptCause::Fault && request.vector == kPageFault;
    if (page_fault)
        charge(cost_model_.path(CostPath::PageFault), CycleCause::Delivery);
    if (request.cause == InterruptCause::Hardware)
        charge(cost_model_.path(CostPath::ExternalInterrupt), CycleCause::Delivery);
    if (request.cause == InterruptCause::Nmi)
        charge(cost_model_.path(CostPath::NonMaskableInterrupt), CycleCause::Delivery);
    const bool by_instruction = request.cause == InterruptCause::Software || request.cause == InterruptCause::Trap;
    if (!by_instruction || current_ == nullptr)
        return;
    const Transfer transfer = form_at(current_->form).transfer;
    const CostPath overflow = origin.protected_mode ? CostPath::Overflow : CostPath::OverflowReal;
    const CostPath number = origin.protected_mode ? CostPath::SoftwareInterrupt : CostPath::SoftwareInterruptReal;
    const CostPath by = transfer == Transfer::Overflow     ? overflow
                        : transfer == Transfer::Breakpoint ? CostPath::Breakpoint
                                                           : number;
    charge(cost_model_.path(by), CycleCause::Delivery);
}

void Cpu::charge_call_gate(FarTransfer kind, Ring ring, u32 parameters) {
    const bool memory = current_->has_memory();
    if (kind == FarTransfer::Jump)
        return take_path(memory ? CostPath::JumpGateMemory : CostPath::JumpGate);
    if (memory)
        charge(cost_model_.path(CostPath::CallGateMemory));
    if (ring == Ring::Same)
        return take_path(CostPath::CallGateSame);
    take_path(parameters == 0 ? CostPath::CallGateInner : CostPath::CallGateParameters);
    charge(Cycles{parameters} * cost_model_.path(CostPath::CallGateParameter));
}

void Cpu::charge_task_switch(const TaskSwitchOrigin& origin, bool wide) {
    const bool returns = origin.kind == TaskSwitch::Return;
    if (state_.virtual_8086())
        take_whole_path(returns ? CostPath::TaskReturnVirtual8086 : CostPath::TaskSwitchVirtual8086);
    else if (wide)
        take_whole_path(returns ? CostPath::TaskReturn32 : CostPath::TaskSwitch32);
    else
        take_whole_path(returns ? CostPath::TaskReturn16 : CostPath::TaskSwitch16);
    if (origin.from_virtual_8086)
        charge(cost_model_.path(CostPath::TaskFromVirtual8086));
    const bool memory = current_ != nullptr && current_->has_memory();
    const auto by = [&](CostPath direct) { // its neighbours: by a task gate, through memory, both
        return static_cast<CostPath>(static_cast<u32>(direct) + (origin.name == TaskName::TaskGate ? 1 : 0) +
                                     (memory ? 2 : 0));
    };
    charge(cost_model_.path(origin.by_interrupt               ? CostPath::TaskByInterrupt
                            : returns                         ? CostPath::TaskByReturn
                            : origin.kind == TaskSwitch::Call ? by(CostPath::TaskByCall)
                                                              : by(CostPath::TaskByJump)));
}

// Charges what is decided late, unless it took a path. Does its cost hold the target's m?
bool Cpu::end_late(const Instruction& at) {
    if (path_taken_ == PathTaken::No) {
        const auto path = state_.protected_mode() ? protected_path(at) : std::nullopt;
        charge(path ? cost_model_.path(*path) : cost_model_.row(at),
               (at.ending & kAtPort) != 0 ? CycleCause::Io : CycleCause::Base);
        if (path == CostPath::ReturnFarProtected && at.immediate != 0)
            charge(cost_model_.path(CostPath::ReturnFarImmediate));
    }
    return std::exchange(path_taken_, PathTaken::No) == PathTaken::Whole;
}

// What only the end of the instruction tells: which path it took, and whether it jumped.
void Cpu::end_cost(const Instruction& at, const Block* block) {
    const bool whole = (at.ending & kDecidedLate) != 0 && end_late(at);
    const bool jumps = (at.ending & kAlwaysJumps) != 0 || ((at.ending & kMayJump) != 0 && state_.eip != next_eip(at));
    if ((at.ending & kPredicted) != 0)
        predict(at, jumps);
    if (at.taken != 0 && jumps != ((at.ending & kCheaperTaken) != 0))
        charge(at.taken, CycleCause::Branch);
    if (jumps)
        pipeline_ =
            cost_model_.queues() ? cost_model_.behind_jump(pipeline_, at, linear_eip(), whole) : PipelineState();
    else if (cost_model_.queues() && (at.ending & (kDecidedLate | kByOperand)) != 0)
        settle_queue(block, at);
}

void Cpu::page_walk_done(u32 updates) { charge(cost_model_.walk(updates), CycleCause::TlbWalk); }

void Cpu::misaligned_access() {
    ++misaligned_accesses_;
    charge(cost_model_.path(CostPath::Misaligned), CycleCause::Misaligned);
}

void Cpu::predict(const Instruction& at, bool taken) {
    const u32 base = state_.segments[kCs].base;
    ++branches_;
    if (predictor_.predicted(base + present_eip(at), taken, base + state_.eip))
        return;
    ++mispredictions_;
    const bool in_v = (at.ending & (kInV | kMayJump)) == (kInV | kMayJump);
    charge(cost_model_.path(in_v ? CostPath::MispredictedV : CostPath::MispredictedU), CycleCause::Branch);
}

// --- Caches

// The first doubleword is waited for; while the rest of the line comes in, only the next miss waits.
void Cpu::line_missed() {
    const Cycles waits = bus_free_at_ > now() ? bus_free_at_ - now() : 0;
    charge(waits + cost_model_.path(CostPath::CacheMissRead), CycleCause::Cache);
    bus_free_at_ = now() + cost_model_.path(CostPath::CacheMissFill);
}

void Cpu::fetch_lines(PhysicalAddress start, u32 length) {
    FirstLevelCache& cache = caches_.code.present() ? caches_.code : caches_.data;
    const u32 line = cache.geometry().line;
    for (u64 at = start.value & ~u64{line - 1u}; at < start.value + length; at += line) {
        if (!cache.read(at)) {
            ++code_cache_misses_;
            line_missed();
        }
    }
}

void Cpu::memory_accessed(PhysicalAddress physical, u32 size, AccessKind kind) {
    const u32 line = caches_.data.geometry().line;
    for (u64 at = physical.value & ~u64{line - 1u}; at < physical.value + size; at += line) {
        if (kind == AccessKind::Write) {
            caches_.data.write(at);
        } else if (!caches_.data.read(at)) {
            ++data_cache_misses_;
            line_missed();
        }
    }
    if (model_->cost.pipeline != Pipeline::TwoPipes || current_ == nullptr)
        return;
    // Eight banks, by address bits 4:2; both pipes in one of them: V waits (AP-500).
    const u64 access = instructions() * 8 + (physical.value >> 2 & 7);
    if ((current_->ending & kInV) != 0 && access == bank_access_ + 8)
        charge(cost_model_.path(CostPath::BankConflict), CycleCause::Cache);
    bank_access_ = access;
}

// --- Counters

u64 Cpu::count_of(Counted counted) const {
    switch (counted) {
    case Counted::Nothing:
        return 0;
    case Counted::UnhaltedCycles:
        return now() - halted_cycles_;
    case Counted::Instructions:
        return instructions();
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

void Cpu::bring_counters_up_to_date() {
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

void Cpu::counters_set() {
    counting_ = false;
    for (u32 number = 0; number < counter_settings_.size(); ++number) {
        const auto& registers = state_.model_registers;
        counter_settings_[number] =
            counter_setting(*model_, registers[kEventSelect], registers[kEventSelect + 1], number);
        counting_ |= counter_settings_[number].counted != Counted::Nothing;
        counted_until_[number] = count_of(counter_settings_[number].counted);
    }
}

CycleCounters Cpu::cycles_by_cause() const {
    CycleCounters counters = by_cause_;
    Cycles others = 0;
    for (const Cycles cycles : by_cause_)
        others += cycles;
    counters[static_cast<std::size_t>(CycleCause::Base)] += now() - others;
    return counters;
}

} // namespace forkscope
