#include "cpu/cpu.hpp"

#include <algorithm>
#include <utility>

#include "cpu/decode/decoder.hpp"
#include "emu/base/log.hpp"

namespace forkscope {

namespace {
constexpr u32 kMostInstructionsInBlock = 64;

constexpr u32 kMostClocksInBlock = 50'000; // before its last instruction; Instruction::cost_before holds no more

// Repeated strings cost more than their static clocks say, so nothing may follow them in a block.
bool ends_block(const Instruction& in) {
    const u16 attributes = form_at(in.form).attributes;
    return (attributes & kEndsBlock) != 0 || ((attributes & kString) != 0 && in.repeats()) ||
           (in.ending & (kDecidedLate | kByOperand)) != 0 || in.cost_before > kMostClocksInBlock - in.cost;
}
} // namespace

Cpu::Cpu(Mmu& mmu, Bus& bus, Tracer& tracer) : mmu_(mmu), bus_(bus), tracer_(tracer) {
    mmu_.set_listener(this);
    tracer_.set_moment_source(this);
    mmu_.set_paging_features(model_->paging());
    mmu_.set_tlb_model(model_->tlb);
    set_host_float(true);
    reset();
}

Cpu::~Cpu() {
    mmu_.set_listener(nullptr);
    tracer_.set_moment_source(nullptr);
}

// SDM 3A table 9-1.
void Cpu::reset() {
    state_ = CpuState{};
    state_.eip = 0xFFF0;
    state_.cr0 = model_->cr0_reset;
    state_.idtr.limit = 0x3FF;
    for (u8 segment = 0; segment < kSegmentCount; ++segment)
        state_.segments[segment] = SegmentCache::at_reset(0, 0);
    state_.segments[kCs] = SegmentCache::at_reset(0xF000, 0xFFFF0000u);
    state_.ldtr.limit = 0xFFFF;
    state_.tr.limit = 0xFFFF;
    state_.tr.access = 0x8B;
    state_.set_reg<u32>(kEdx, model_->signature);
    state_.dr[6] = model_->dr6_reset;
    state_.dr[7] = model_->dr7_reset;
    if (has(Feature::PageAttributes))
        state_.model_registers[kPageAttributesSlot] = kPageAttributesAtReset;
    privilege_ = Privilege::Supervisor;
    attention_ = interrupt_line_ ? u32{kAttentionInterrupt} : 0;
    halted_ = shutdown_ = nmi_pending_ = nmi_blocked_ = false;
    float_error_changed();
    trap_pending_ = watch_hits_ = 0;
    shadow_until_ = 0;
    counters_set();
    pipeline_ = cost_model_.at_new_place(state_.eip);
    own_cost_ = 0;
    predictor_.reset();
    drop_caches();
    bus_free_at_ = bank_access_ = 0;
    mmu_.reset();
    debug_registers_changed();
    blocks_.clear();
}

Moment Cpu::moment() const {
    Moment m;
    m.instructions = instructions();
    m.cycle = now();
    m.eip = state_.segments[kCs].base + (current_ != nullptr ? present_eip(*current_) : state_.eip);
    m.address_space = mmu_.control().space_of(state_.cr3);
    m.cpl = state_.cpl;
    return m;
}

void Cpu::set_line(u8 line, bool level) {
    if (line == 0) {
        interrupt_line_ = level;
        if (level)
            raise_attention(kAttentionInterrupt);
        else
            attention_ &= ~u32{kAttentionInterrupt};
    } else if (line == 2) {
        float_error_ignored_ = level;
    } else if (level) {
        nmi_pending_ = true;
        raise_attention(kAttentionNmi);
    }
}

void Cpu::shorten_deadline(Cycles deadline) {
    if (deadline < deadline_) {
        deadline_ = deadline;
        leave_ = true;
    }
}

void Cpu::set_engine(EngineKind engine) {
    engine_ = engine;
    forget_derived_state();
}

void Cpu::set_model(CpuModel model, CostModelKind clock, BusWidth bus) {
    model_ = &model_of(model);
    cost_model_.configure(model, clock, bus);
    const ModelCost& cost = model_->cost;
    caches_ = cost_model_.caches()
                  ? FirstLevelCaches{FirstLevelCache(cost.code_cache), FirstLevelCache(cost.data_cache)}
                  : FirstLevelCaches();
    mmu_.report_accesses(cost_model_.caches());
    const bool misaligned_costs = !cost_model_.flat() && cost_model_.path(CostPath::Misaligned) != 0;
    mmu_.report_misaligned(misaligned_costs ? cost.aligned_within - 1u : 0, cost_model_.bus().bytes_per_cycle);
    mmu_.set_paging_features(model_->paging());
    mmu_.set_tlb_model(model_->tlb);
    reset();
}

void Cpu::forget_derived_state() {
    EMU_ASSERT(current_ == nullptr, "derived state can only be dropped between instructions");
    blocks_.clear();
}

void Cpu::set_breakpoints(std::vector<u32> linear_addresses) {
    breakpoints_ = std::move(linear_addresses);
    std::sort(breakpoints_.begin(), breakpoints_.end());
    if (any_breakpoint())
        attention_ |= kAttentionBreakpoint;
    else
        attention_ &= ~u32{kAttentionBreakpoint};
}

void Cpu::set_state(const CpuState& state) {
    const u32 old_cr0 = state_.cr0;
    const u32 old_cr3 = state_.cr3;
    const u32 old_cr4 = state_.cr4;
    if (state.eip != state_.eip)
        shadow_until_ = 0; // what stood in the shadow of STI or MOV SS comes no more
    const u32 old_place = linear_eip();
    state_ = state;
    if (linear_eip() != old_place && cost_model_.queues())
        pipeline_ = cost_model_.at_new_place(linear_eip());
    if (state_.cr0 != old_cr0)
        mmu_.write_cr0(old_cr0, state_.cr0);
    if (state_.cr3 != old_cr3)
        mmu_.write_cr3(state_.cr3, TlbFlushReason::Cr3);
    if (state_.cr4 != old_cr4)
        mmu_.write_cr4(old_cr4, state_.cr4);
    set_cpl(state_.cpl);
    counters_set();
    flags_changed();
    float_error_changed();
    debug_registers_changed();
}

void Cpu::set_cpl(u8 cpl) {
    if (counting_) [[unlikely]]
        bring_counters_up_to_date();
    state_.cpl = cpl;
    privilege_ = cpl == 3 ? Privilege::User : Privilege::Supervisor;
    if (cpl == 3 && (state_.cr4 & (kCr4Vme | kCr4Pvi)) != 0)
        raise_attention(kAttentionVirtual);
}

void Cpu::flags_changed() {
    mmu_.set_alignment_check(state_.flag(kFlagAc) && (state_.cr0 & kCr0Am) != 0);
    if (state_.flag(kFlagT))
        raise_attention(kAttentionTrap);
}

void Cpu::code_changed(PhysicalAddress address, u32 size) {
    bool frame_is_empty = false;
    tracer_.emit(TraceKind::CodeInvalidated, address.value, size);
    if (blocks_.kill(address, size, running_, frame_is_empty))
        leave_ = true;
    // The reference engine's only instruction, which a repeated string may overwrite.
    const bool beside_own = running_ == &scratch_block_ && address.page() == scratch_block_.start.page();
    if (beside_own && address.value < scratch_block_.start.value + scratch_block_.bytes &&
        scratch_block_.start.value < address.value + size) {
        scratch_block_.alive = false;
        leave_ = true;
    }
    if (frame_is_empty && !beside_own)
        mmu_.unflag_frame(address.page(), kFrameCode);
}

u64 Cpu::iterations_left(Cycles cost) const {
    if (state_.flag(kFlagT) || now() >= deadline_)
        return 0;
    return (deadline_ - now() + cost - 1) / std::max<Cycles>(1, cost);
}

void Cpu::shut_down_now() {
    shutdown_ = true;
    tracer_.emit(TraceKind::TripleFault);
    raise_attention(kAttentionShutdown);
}

CpuStop Cpu::run_until(Cycles deadline, u64 instruction_limit) {
    deadline_ = deadline;
    for (;;) {
        bool delivered = false;
        if (attention_ != 0) [[unlikely]]
            if (const auto reason = serve_attention(delivered))
                return *reason;
        if (cycle_ >= deadline_)
            return CpuStop::Deadline;
        if (instructions_ >= instruction_limit)
            return CpuStop::Instructions;
        // Before the handler's first instruction, something else may be due (a breakpoint on it, one that its frame
        // has hit), or the delivery have ended in shutdown.
        if (delivered) [[unlikely]]
            continue;
        if (halted_) [[unlikely]] {
            // With interrupts off only an NMI could wake it, and nothing on this board makes one.
            if (deadline_ == kNever || (!state_.flag(kFlagI) && !nmi_pending_))
                return CpuStop::Halted;
            halted_cycles_ += deadline_ - cycle_;
            cycle_ = deadline_;
            continue;
        }
        run_one_block(instruction_limit);
    }
}

// In the order of SDM 3A table 6-2, highest first.
std::optional<CpuStop> Cpu::serve_attention(bool& delivered) {
    // 1: reset and shutdown.
    if (shutdown_)
        return CpuStop::Shutdown;
    // 3: interventions from outside.
    if ((attention_ & kAttentionStop) != 0) {
        attention_ &= ~u32{kAttentionStop};
        return CpuStop::Requested;
    }
    // 4: traps on the instruction before.
    if (trap_pending_ != 0 && !debug_shadowed()) {
        halted_ = false;
        deliver_debug(std::exchange(trap_pending_, 0));
        delivered = true;
        return std::nullopt;
    }
    if (!shadowed())
        attention_ &= ~u32{kAttentionShadow};
    // 5: NMI.
    if (nmi_pending_ && !nmi_blocked_ && !shadowed()) {
        nmi_pending_ = false;
        nmi_blocked_ = true;
        halted_ = false;
        attention_ &= ~u32{kAttentionNmi};
        deliver_hardware({kNmi, InterruptCause::Nmi});
        delivered = true;
        return std::nullopt;
    }
    // 6: maskable interrupts.
    if (interrupt_line_ && state_.flag(kFlagI) && !shadowed()) {
        halted_ = false;
        const u8 vector = interrupt_source_ != nullptr ? interrupt_source_->acknowledge() : u8{0xFF};
        deliver_hardware({vector, InterruptCause::Hardware});
        delivered = true;
        return std::nullopt;
    }
    // 7: breakpoints before the next instruction.
    if ((attention_ & kAttentionBreakpoint) != 0 && breakpoint_passed_at_ != instructions_ && !halted_ &&
        std::binary_search(breakpoints_.begin(), breakpoints_.end(), linear_eip())) {
        breakpoint_passed_at_ = instructions_;
        return CpuStop::Requested;
    }
    if (code_breakpoints_ != 0 && !halted_ && !debug_shadowed() && !state_.flag(kFlagR)) {
        if (const u32 hits = code_breakpoints_at(linear_eip()); hits != 0) {
            deliver_debug(hits);
            delivered = true;
            return std::nullopt;
        }
    }
    // 8: faults before the next instruction.
    if ((attention_ & kAttentionVirtual) != 0 && virtual_interrupt_due()) {
        deliver(fault(kGeneralProtection, 0));
        delivered = true;
    }
    // Nothing more to serve now: keep only the bits that still stand for something.
    attention_ &= kAttentionShadow | kAttentionBreakpoint | (trap_pending_ != 0 ? u32{kAttentionTrap} : 0) |
                  (interrupt_line_ ? u32{kAttentionInterrupt} : 0) | (nmi_pending_ ? u32{kAttentionNmi} : 0);
    return std::nullopt;
}

void Cpu::deliver_hardware(const InterruptRequest& request) {
    charge(cost_model_.delivery(), CycleCause::Delivery);
    interrupts_ += request.cause == InterruptCause::Hardware || request.cause == InterruptCause::Nmi ? 1 : 0;
    pipeline_ = {};
    if (!interrupt(request, state_.eip))
        deliver_exception();
    pipeline_ = cost_model_.behind_delivery(linear_eip());
    path_taken_ = PathTaken::No;
}

// How many instructions of the block may run before something outside has to be looked at.
u32 Cpu::instructions_allowed(const Block& block, u64 instruction_limit) const {
    const bool wanted = (attention_ & (kAttentionInterrupt | kAttentionNmi | kAttentionShadow)) != 0;
    if (state_.flag(kFlagT | kFlagR) || (wanted && shadowed()) || cycle_ >= deadline_) // the fetch itself costs, too
        return 1;
    u32 count = block.count;
    const SegmentCache& cs = state_.segments[kCs];
    // At the very deadline nothing may start, not even what costs nothing.
    const bool fits = block.clocks < deadline_ - cycle_ && count <= instruction_limit - instructions_ &&
                      state_.eip <= cs.limit && block.bytes - 1u <= cs.limit - state_.eip;
    if (fits && !any_breakpoint()) [[likely]]
        return count;
    // One instruction may start as long as the deadline lies ahead, whatever it costs.
    const Instruction* in = block.first;
    u32 allowed = 1;
    while (allowed < count && in[allowed].cost_before < deadline_ - cycle_ &&
           allowed < instruction_limit - instructions_ &&
           in[allowed].offset + in[allowed].length - 1u <= cs.limit - state_.eip &&
           !breaks_at(linear_eip() + in[allowed].offset))
        ++allowed;
    return allowed;
}

void Cpu::run_one_block(u64 instruction_limit) {
    Block* block = find_block();
    if (block == nullptr)
        return; // a fault was delivered, or an instruction across two pages was run
    const SegmentCache& cs = state_.segments[kCs];
    const u32 first_end = state_.eip + block->first->length - 1;
    if (first_end > cs.limit || first_end < state_.eip) [[unlikely]] {
        deliver(fault(kGeneralProtection, 0));
        return;
    }
    if (!cost_model_.flat() && !(block->entry == pipeline_)) [[unlikely]]
        rebind(*block);
    run_instructions(block, block->first, instructions_allowed(*block, instruction_limit));
}

// Runs up to `end`, or to the instruction after which something else has to be looked at; `in` is the last one.
template <bool kFetchLines, bool kFetchEach>
Step Cpu::run_loop(const Block* block, const Instruction*& in, const Instruction* end) {
    for (;;) {
        current_ = in;
        if constexpr (kFetchLines) {
            if (block != nullptr && !repeating_) // what goes on with its iterations is not fetched again
                fetch_lines(block->start + in->offset, in->length);
        }
        const Step step = in->handler(*this, *in);
        if (step != Step::Next) [[unlikely]]
            return step;
        if (++in == end || leave_) [[unlikely]] {
            --in;
            state_.eip = next_eip(*in);
            return step;
        }
        if constexpr (kFetchEach) {
            current_ = in;
            if (const Fetched fetched = fetch_again(*in); fetched != Fetched::Same) [[unlikely]] {
                --in;
                state_.eip = next_eip(*in);
                fetch_failed_ = fetched == Fetched::Fault;
                return step;
            }
        }
    }
}

// The bytes of an instruction that was found already are fetched once more, with all that this does to the TLB.
Cpu::Fetched Cpu::fetch_again(const Instruction& in) {
    const u32 linear = state_.segments[kCs].base + present_eip(in);
    const auto low = mmu_.fetch(LinearAddress(linear), privilege_);
    if (!low.ok)
        return Fetched::Fault;
    if (running_ != nullptr)
        return low.value == running_->start + in.offset && running_->alive ? Fetched::Same : Fetched::Moved;
    const u32 end = linear + in.length - 1;
    if (((end ^ linear) & ~kPageMask) == 0) // device memory
        return low.value == crossing_[0] ? Fetched::Same : Fetched::Moved;
    const auto high = mmu_.fetch(LinearAddress(end & ~kPageMask), privilege_);
    if (!high.ok)
        return Fetched::Fault;
    return low.value == crossing_[0] && high.value == crossing_[1] ? Fetched::Same : Fetched::Moved;
}

void Cpu::run_instructions(const Block* block, const Instruction* first, u32 count) {
    // RF lasts up to the instruction that it resumes; what follows may set it anew (SDM 3B 17.3.1.1).
    const u32 special = state_.system_flags & (kFlagT | kFlagR);
    if (special != 0) [[unlikely]] {
        state_.system_flags &= ~u32{kFlagR};
        step_trap_ = (special & kFlagT) != 0;
    }
    const Instruction* in = first;
    const Instruction* const end = first + count;
    running_ = block;
    block_eip_ = state_.eip;
    if (!repeating_)
        own_cost_ = 0;
    leave_ = false;
    task_switched_ = false;
    const bool fetch_each = mmu_.fetches_each_instruction() && block != nullptr;
    const Step step =
        cost_model_.caches()
            ? (fetch_each ? run_loop<true, true>(block, in, end) : run_loop<true, false>(block, in, end))
            : (fetch_each ? run_loop<false, true>(block, in, end) : run_loop<false, false>(block, in, end));
    if (!cost_model_.flat()) [[unlikely]] {
        const auto executed = static_cast<u32>(in - first) + (step == Step::Fault || step == Step::Repeat ? 0 : 1);
        if (block != nullptr && executed == block->count)
            pipeline_ = block->exit;
        else
            pass_pipeline(block, first, executed);
    }
    settle(step, *in);
    if (fetch_failed_) [[unlikely]] {
        fetch_failed_ = false;
        deliver(page_fault());
    }
    if (special != 0) [[unlikely]]
        after_special_instruction(special, step);
}

void Cpu::settle(Step step, const Instruction& at) {
    current_ = nullptr;
    const Block* const block = std::exchange(running_, nullptr);
    if (step == Step::Fault) [[unlikely]]
        watch_hits_ = 0;
    if (watch_hits_ != 0) [[unlikely]]
        trap_pending_ |= std::exchange(watch_hits_, 0);
    by_cause_[static_cast<std::size_t>(CycleCause::Pipeline)] += at.penalty_before;
    if (step == Step::Fault || step == Step::Repeat) [[unlikely]] {
        cycle_ += at.cost_before;
        instructions_ += at.number;
        if (!task_switched_)
            state_.eip = present_eip(at);
        if (step == Step::Fault) {
            if (cost_model_.queues())
                charge(cost_model_.wait_for(pipeline_, queued_from(block, at.number)), CycleCause::Pipeline);
            deliver_exception();
        } else {
            state_.system_flags |= kFlagR; // between iterations (SDM 3B 17.3.1.1)
        }
        repeating_ = step == Step::Repeat;
        return;
    }
    cycle_ += Cycles{at.cost_before} + at.cost;
    by_cause_[static_cast<std::size_t>(CycleCause::Pipeline)] += at.penalty;
    instructions_ += at.number + 1u;
    repeating_ = false;
    if (at.ending != 0)
        end_cost(at, block);
}

Block* Cpu::find_block() {
    const u32 linear = linear_eip();
    const auto physical = mmu_.fetch(LinearAddress(linear), privilege_);
    if (!physical.ok) [[unlikely]] {
        deliver(page_fault());
        return nullptr;
    }
    if (engine_ == EngineKind::Block)
        if (Block* block = blocks_.find(physical.value, code_mode())) [[likely]]
            return block;
    return build_block(physical.value, linear);
}

void Cpu::bind(Instruction& in, const Instruction* previous, PipelineState& pipeline) const {
    if (!model_->runs(form_at(in.form).since)) [[unlikely]]
        in.form = 0;
    in.handler = handler_of(in);
    if (previous != nullptr) {
        in.number = static_cast<u8>(previous->number + 1);
        in.offset = static_cast<u16>(previous->offset + previous->length);
    }
    bind_cost(in, previous, pipeline);
}

// Decodes from `start` to the end of the page, of the run, or of the block's size. The reference engine keeps nothing
// and takes one instruction at a time.
Block* Cpu::build_block(PhysicalAddress start, u32 linear) {
    const PhysicalMemory& memory = mmu_.memory();
    if (!memory.is_memory(start)) {
        run_crossing_instruction(linear);
        return nullptr;
    }
    const u8* bytes = memory.host(start);
    const u32 available = kPageSize - start.offset();
    const u32 most = engine_ == EngineKind::Block ? kMostInstructionsInBlock : 1;
    std::array<Instruction, kMostInstructionsInBlock>& run = scratch_;
    PipelineState pipeline = pipeline_;
    u32 count = 0;
    u32 at = 0;
    while (count < most && at < available) {
        Instruction& in = run[count];
        in = Instruction{};
        const DecodeStatus status = decode({bytes + at, available - at}, code_mode(), in);
        if (status == DecodeStatus::Truncated)
            break;
        if (status == DecodeStatus::TooLong)
            in.form = 0;
        bind(in, count == 0 ? nullptr : &run[count - 1], pipeline);
        if (status == DecodeStatus::TooLong)
            in.handler = too_long_handler();
        at += in.length;
        ++count;
        if (status != DecodeStatus::Ok || ends_block(in))
            break;
    }
    if (count == 0) {
        run_crossing_instruction(linear);
        return nullptr;
    }
    Lookahead lookahead;
    if (cost_model_.queues()) {
        lookahead = look_ahead(start, count);
        pipeline = pipeline_;
        bind_queue(run.data(), count, lookahead, pipeline);
    }
    return keep_run(start, count, lookahead, pipeline);
}

// The first `count` instructions in scratch_ become a block.
Block* Cpu::keep_run(PhysicalAddress start, u32 count, const Lookahead& lookahead, const PipelineState& exit) {
    const Instruction& first = scratch_[0];
    if (engine_ == EngineKind::Block) {
        mmu_.flag_frame(start.page(), kFrameCode);
        Block* block = blocks_.insert(start, code_mode(), &first, static_cast<u16>(count), lookahead);
        block->entry = pipeline_;
        block->exit = exit;
        return block;
    }
    if (first.repeats() && (form_at(first.form).attributes & kString) != 0)
        mmu_.flag_frame(start.page(), kFrameCode); // as blocks are: it stops where it overwrites itself
    scratch_block_ = Block{};
    scratch_block_.start = start;
    scratch_block_.mode = code_mode();
    scratch_block_.bytes = first.length;
    scratch_block_.count = 1;
    scratch_block_.clocks = first.cost;
    scratch_block_.first = scratch_.data();
    scratch_block_.queued = lookahead.queued;
    scratch_block_.ahead = lookahead.count;
    scratch_block_.entry = pipeline_;
    scratch_block_.exit = exit;
    return &scratch_block_;
}

} // namespace forkscope
