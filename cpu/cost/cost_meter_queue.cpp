// How the 386's prefetch queue gets to know the code behind an instruction, and the clocks that only running tells. All
// engines see the same code: what memory held behind the instruction, in its page, before it ran.
#include "cpu/cost/cost_meter.hpp"
#include "cpu/decode/decoder.hpp"

namespace forkscope {

// Decodes the code at `start` as far as a queue may know it: not beyond the page, nor a transfer that stops
// prefetching, nor what is no instruction. `bytes`: how many were looked at. Returns how many there are.
u32 CostMeter::queue_code(PhysicalAddress start, QueuedInstruction* code, u16& bytes) const {
    constexpr u32 kMost = kMostAhead - 1; // the first is the instruction itself
    const u32 available = kPageSize - start.offset();
    const u8* const memory = mmu_.memory().host(start);
    u32 count = 0, at = 0;
    while (count < kMost && at < available) {
        Instruction in;
        const DecodeStatus status = decode({memory + at, available - at}, state_.code_mode(), in);
        if (status == DecodeStatus::Truncated) {
            at = available;
            break;
        }
        if (status != DecodeStatus::Ok || !model_->runs(form_at(in.form).since))
            in.form = 0;
        code[count] = cost_model_.queued({memory + at, in.length}, in);
        at += in.length;
        if (CostModel::ends_ahead(code[count++], in))
            break;
    }
    bytes = static_cast<u16>(at);
    return count;
}

Lookahead CostMeter::look_ahead(PhysicalAddress start, std::span<const Instruction> run) {
    const u8* const memory = mmu_.memory().host(start);
    u32 at = 0;
    for (std::size_t i = 0; i < run.size(); ++i) {
        queued_[i] = cost_model_.queued({memory + at, run[i].length}, run[i]);
        at += run[i].length;
    }
    Lookahead result;
    result.queued = queued_.data();
    const Instruction& last = run.back();
    const bool goes_on = (last.ending & kMayJump) != 0 || !CostModel::ends_ahead(queued_[run.size() - 1], last);
    if (at < kPageSize - start.offset() && goes_on)
        result.count = static_cast<u16>(queue_code(start + at, &queued_[run.size()], result.bytes));
    return result;
}

void CostMeter::bind_in_queue(std::span<Instruction> run, const Lookahead& lookahead, PipelineState& pipeline) const {
    const u32 count = static_cast<u32>(run.size());
    u32 cost_before = 0, penalty_before = 0;
    for (u32 i = 0; i < count; ++i) {
        Instruction& in = run[i];
        const u32 clocks = cost_model_.advance_queue(pipeline, in.ending, lookahead.from(i, count));
        const u32 table = lookahead.queued[i].clocks;
        in.cost = static_cast<u16>(clocks);
        in.penalty = static_cast<u8>(std::min<u32>(0xFF, clocks - std::min(clocks, table)));
        in.cost_before = static_cast<u16>(cost_before);
        in.penalty_before = static_cast<u16>(penalty_before);
        cost_before += in.cost;
        penalty_before += in.penalty;
    }
}

Lookahead CostMeter::bind_queue(PhysicalAddress start, std::span<Instruction> run, PipelineState& pipeline) {
    const Lookahead lookahead = look_ahead(start, run);
    bind_in_queue(run, lookahead, pipeline);
    return lookahead;
}

void CostMeter::bind_queue_alone(std::span<const u8> bytes, Instruction& in, PipelineState& pipeline) {
    queued_[0] = cost_model_.queued(bytes, in);
    bind_in_queue({&in, 1}, {queued_.data(), 0, 0}, pipeline);
}

std::span<const QueuedInstruction> CostMeter::queued_from(const Block* block, u32 number) const {
    return block != nullptr ? block->lookahead().from(number, block->count) : std::span(queued_).first(1);
}

// What an instruction whose cost is decided late costs alone. While it waits for a page walk or a misaligned
// operand, the queue is assumed to stop, as the bus is busy.
void CostMeter::note_own_cost(Cycles cycles, CycleCause cause) {
    const bool learns = progress_.current == nullptr || (progress_.current->ending & (kDecidedLate | kByOperand)) != 0;
    if (learns && cause != CycleCause::TlbWalk && cause != CycleCause::Misaligned)
        own_cost_ += cycles;
}

// A repeated string instruction may have run in parts, and may have overwritten the code that follows: that counts as
// it is at its end.
void CostMeter::settle_queue(const Block* block, const Instruction& at) {
    std::span<const QueuedInstruction> ahead = queued_from(block, at.number);
    std::array<QueuedInstruction, kMostAhead> code;
    if (block != nullptr && cost_model_.tells_repeats(at) && (!block->watches_ahead() || !block->alive)) {
        code[0] = ahead[0];
        const PhysicalAddress behind = block->start + (u32{at.offset} + at.length);
        u16 bytes = 0;
        const u32 count = behind.page() == block->start.page() ? queue_code(behind, &code[1], bytes) : 0;
        ahead = std::span(code).first(1 + count);
    }
    charge(cost_model_.settle_queue(pipeline_, ahead, ahead[0].clocks + own_cost_), CycleCause::Pipeline);
}

} // namespace forkscope
