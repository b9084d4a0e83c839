#include "cpu/engine/run.hpp"

#include <utility>

#include "cpu/engine/fetch.hpp"
#include "cpu/protection/interrupts.hpp"

namespace forkscope {

namespace {

// How many instructions of the block may run before something outside has to be looked at.
u32 instructions_allowed(Context& cpu, const Block& block, u64 instruction_limit) {
    constexpr u32 kInterrupts = Attention::kInterruptPin | Attention::kNmiPin | Attention::kShadowCast;
    const CpuState& r = cpu.state();
    const Progress& p = cpu.progress();
    const Attention& attention = cpu.attention();
    // The fetch itself may have cost what was left.
    // A stop may have been asked for while this block was fetched.
    if (r.flag(kFlagT | kFlagR) || (attention.wanted_for(kInterrupts) && attention.shadowed()) ||
        p.cycle >= p.deadline || attention.wanted_for(Attention::kStopAsked)) [[unlikely]]
        return 1;
    const u32 count = block.count;
    const SegmentCache& cs = r.segments[kCs];
    // At the very deadline nothing may start, not even what costs nothing.
    const bool fits = block.clocks < p.deadline - p.cycle && count <= instruction_limit - p.instructions &&
                      r.eip <= cs.limit && block.bytes - 1u <= cs.limit - r.eip;
    const Breakpoints& breakpoints = cpu.breakpoints();
    if (fits && !breakpoints.any_within(r.linear_eip(), block.bytes)) [[likely]]
        return count;
    // One instruction may start as long as the deadline lies ahead, whatever it costs.
    const Instruction* in = block.first;
    u32 allowed = 1;
    while (allowed < count && in[allowed].cost_before < p.deadline - p.cycle &&
           allowed < instruction_limit - p.instructions &&
           in[allowed].offset + in[allowed].length - 1u <= cs.limit - r.eip &&
           !breakpoints.any_within(r.linear_eip() + in[allowed].offset, 1))
        ++allowed;
    return allowed;
}

// Runs up to `end`, or to the instruction after which something else has to be looked at; `in` is the last one.
// `fetch_failed`: what follows it could not be fetched.
template <bool kFetchLines, bool kFetchEach>
Step run_loop(Context& cpu, const Block* block, const Instruction*& in, const Instruction* end, bool& fetch_failed) {
    Progress& p = cpu.progress();
    for (;;) {
        p.current = in;
        if constexpr (kFetchLines) {
            if (block != nullptr && !cpu.meter().repeating()) // what goes on with its iterations is not fetched again
                cpu.meter().fetch_lines(block->start + in->offset, in->length);
        }
        const Step step = in->handler(cpu, *in);
        if (step != Step::Next) [[unlikely]]
            return step;
        if (++in == end || p.leave) [[unlikely]] {
            --in;
            cpu.regs().eip = p.next_eip(*in);
            return step;
        }
        if constexpr (kFetchEach) {
            p.current = in;
            if (const Fetched fetched = fetch_again(cpu, *in); fetched != Fetched::Same) [[unlikely]] {
                --in;
                cpu.regs().eip = p.next_eip(*in);
                fetch_failed = fetched == Fetched::Fault;
                return step;
            }
        }
    }
}

void settle(Context& cpu, Step step, const Instruction& at) {
    Progress& p = cpu.progress();
    p.current = nullptr;
    const Block* const block = std::exchange(p.running, nullptr);
    cpu.attention().settle_hits(step);
    if (step != Step::Fault && step != Step::Repeat) [[likely]] {
        p.cycle += Cycles{at.cost_before} + at.cost;
        p.instructions += at.number + 1u;
        cpu.meter().settle(at, block);
        return;
    }
    p.cycle += at.cost_before;
    p.instructions += at.number;
    if (!p.task_switched)
        cpu.regs().eip = p.present_eip(at);
    if (step == Step::Fault) {
        cpu.meter().settle_fault(at, block);
        protection::deliver_exception(cpu);
    } else {
        cpu.meter().settle_iteration(at);
        cpu.regs().system_flags |= kFlagR; // between iterations (SDM 3B 17.3.1.1)
    }
}

} // namespace

void run_instructions(Context& cpu, const Block* block, const Instruction* first, u32 count) {
    CpuState& r = cpu.regs();
    Progress& p = cpu.progress();
    CostMeter& meter = cpu.meter();
    // RF lasts up to the instruction that it resumes; what follows may set it anew (SDM 3B 17.3.1.1).
    const u32 special = r.system_flags & (kFlagT | kFlagR);
    if (special != 0) [[unlikely]] {
        r.system_flags &= ~u32{kFlagR};
        cpu.attention().begin_step((special & kFlagT) != 0);
    }
    p.running = block;
    p.block_eip = r.eip;
    p.leave = false;
    p.task_switched = false;
    meter.begin();
    const Instruction* in = first;
    const Instruction* const end = first + count;
    bool fetch_failed = false;
    const bool fetch_each = cpu.mmu().fetches_each_instruction() && block != nullptr;
    const Step step = meter.cost_model().caches()
                          ? (fetch_each ? run_loop<true, true>(cpu, block, in, end, fetch_failed)
                                        : run_loop<true, false>(cpu, block, in, end, fetch_failed))
                          : (fetch_each ? run_loop<false, true>(cpu, block, in, end, fetch_failed)
                                        : run_loop<false, false>(cpu, block, in, end, fetch_failed));
    if (!meter.cost_model().flat()) [[unlikely]]
        meter.pass(block, first, static_cast<u32>(in - first) + (step == Step::Fault || step == Step::Repeat ? 0 : 1));
    settle(cpu, step, *in);
    if (fetch_failed) [[unlikely]]
        protection::deliver(cpu, cpu.page_fault());
    if (special != 0) [[unlikely]]
        cpu.attention().end_step(step);
}

bool run_within(Context& cpu, const Block& block, const Instruction& in, bool may_pass_end) {
    Progress& p = cpu.progress();
    p.running = &block;
    p.task_switched = false;
    p.current = &in;
    const Step step = in.handler(cpu, in);
    if (step == Step::Next) [[likely]] {
        if (!p.leave && (may_pass_end || in.number + 1 < block.count)) [[likely]] {
            p.current = nullptr;
            p.running = nullptr;
            return true;
        }
        cpu.regs().eip = p.next_eip(in);
    }
    settle(cpu, step, in);
    return false;
}

void leave_behind(Context& cpu, const Block& block, const Instruction& in) {
    Progress& p = cpu.progress();
    p.running = &block;
    cpu.regs().eip = p.next_eip(in);
    settle(cpu, Step::Next, in);
}

void run_block(Context& cpu, Block& block, u64 instruction_limit) {
    if (!first_fits(cpu, *block.first)) [[unlikely]]
        return protection::deliver(cpu, cpu.fault(kGeneralProtection, 0));
    if (!cpu.meter().is_bound(block)) [[unlikely]]
        cpu.meter().rebind(block);
    run_instructions(cpu, &block, block.first, instructions_allowed(cpu, block, instruction_limit));
}

} // namespace forkscope
