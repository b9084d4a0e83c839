// The 386's static clocks come out of its prefetch queue: what the table says, and the waiting for code around it.
#include <algorithm>

#include "cpu/cost/cost_model.hpp"

namespace forkscope {

QueuedInstruction CostModel::queued(std::span<const u8> bytes, const Instruction& in) const {
    const Row& row = rows_[in.form];
    const BusUse use = bus_use(row.bus_use, in);
    QueuedInstruction result;
    result.shape = code_shape(bytes, in);
    result.stops = row.stops_prefetch;
    result.taken = (row.ending & kAlwaysJumps) != 0;
    result.locked = (in.flags & kHasLock) != 0 || (row.bus_use.locks && in.has_memory());
    result.base_and_index = in.base != kNoRegister && in.index != kNoRegister && path(CostPath::EffectiveAddress) != 0;
    const bool late = (row.ending & kDecidedLate) != 0 || tells_repeats(in);
    result.clocks = late ? u16{0} : static_cast<u16>(base(in));
    const u32 manual_cycles = bus_cycles(kBus386Dx, use.bytes), cycles = bus_cycles(bus_, use.bytes);
    result.reads = static_cast<u8>(use.reads * manual_cycles);
    result.read_cycles = static_cast<u8>(use.reads * cycles);
    result.writes = static_cast<u8>(use.writes * manual_cycles);
    result.write_cycles = static_cast<u8>(use.writes * cycles);
    return result;
}

// What the transfer before it has already paid of its wait.
u32 CostModel::paid(const PipelineState& pipeline, const QueuedInstruction& now) {
    if (pipeline.refill == 0)
        return 0;
    return pipeline.refill + (pipeline.jumped ? 0 : now.shape.components());
}

u32 CostModel::wait_for(const PipelineState& pipeline, std::span<const QueuedInstruction> ahead) const {
    const u32 clocks = clocks_to_start(pipeline.queue, bus_, ahead);
    return clocks - std::min(clocks, paid(pipeline, ahead[0]));
}

u32 CostModel::advance_queue(PipelineState& pipeline, u8 ending, std::span<const QueuedInstruction> ahead) const {
    const QueuedInstruction& now = ahead[0];
    if ((ending & (kDecidedLate | kByOperand)) != 0) {
        const u32 address = now.taken && now.base_and_index ? kQueueConstants.base_and_index : 0;
        return wait_for(pipeline, ahead) + now.clocks + address;
    }
    const u32 credit = paid(pipeline, now);
    const u32 clocks = forkscope::advance(pipeline.queue, bus_, ahead) + (now.taken ? refill_clocks(bus_) : 0);
    pipeline.refill = 0;
    pipeline.jumped = false;
    return clocks - std::min(clocks, credit);
}

u32 CostModel::settle_queue(PipelineState& pipeline, std::span<const QueuedInstruction> ahead, Cycles clocks) const {
    constexpr Cycles kLongEnough = 1000; // all that can be fetched and decoded has been
    std::array<QueuedInstruction, kMostAhead> code;
    const std::size_t count = std::min(ahead.size(), code.size());
    std::copy_n(ahead.begin(), count, code.begin());
    const u32 counted = static_cast<u32>(std::min(clocks, kLongEnough));
    code[0].clocks = static_cast<u16>(counted);
    const u32 start = clocks_to_start(pipeline.queue, bus_, ahead);
    const u32 total = forkscope::advance(pipeline.queue, bus_, std::span(code).first(count));
    pipeline.refill = 0;
    pipeline.jumped = false;
    return total - start - counted;
}

PipelineState CostModel::behind_jump(const PipelineState& pipeline, const Instruction& in, u32 target,
                                     bool whole) const {
    PipelineState result;
    if (!queues_)
        return result;
    const LatencyRule rule = rows_[in.form].cell.rule;
    result.jumped = !whole && (rule == LatencyRule::Jump || rule == LatencyRule::Branch);
    // A transfer whose target is known only at run time has no cycle on the bus as it ends.
    if ((in.ending & (kDecidedLate | kMayJump)) == 0)
        result.queue.bus_clocks = pipeline.queue.bus_clocks;
    result.refill = static_cast<u8>(refill_clocks(bus_));
    flush(result.queue, target);
    return result;
}

PipelineState CostModel::behind_delivery(u32 target) const {
    PipelineState result = at_new_place(target);
    if (queues_)
        result.refill = static_cast<u8>(refill_clocks(bus_));
    return result;
}

PipelineState CostModel::at_new_place(u32 target) const {
    PipelineState result;
    if (queues_)
        flush(result.queue, target);
    return result;
}

} // namespace forkscope
