// How the Cpu gets the 386's prefetch queue to know the code behind an instruction, and the clocks that only running
// tells. Both engines see the same code: what memory held behind the instruction, in its page, before it ran.
#include "cpu/cpu.hpp"
#include "cpu/decode/decoder.hpp"

namespace forkscope {

// Decodes what stands at `start` as far as a queue may know it: not beyond the page, nor a transfer that stops
// prefetching, nor what is no instruction. `bytes`: how many were looked at. Returns how many there are.
u32 Cpu::queue_code(PhysicalAddress start, QueuedInstruction* code, u16& bytes) const {
    constexpr u32 kMost = kMostAhead - 1; // the first is the instruction itself
    const u32 available = kPageSize - start.offset();
    const u8* const memory = mmu_.memory().host(start);
    u32 count = 0, at = 0;
    while (count < kMost && at < available) {
        Instruction in;
        const DecodeStatus status = decode({memory + at, available - at}, code_mode(), in);
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

// For the first `count` instructions in scratch_, decoded from `start` on.
Lookahead Cpu::look_ahead(PhysicalAddress start, u32 count) {
    const u8* const memory = mmu_.memory().host(start);
    u32 at = 0;
    for (u32 i = 0; i < count; ++i) {
        scratch_queue_[i] = cost_model_.queued({memory + at, scratch_[i].length}, scratch_[i]);
        at += scratch_[i].length;
    }
    Lookahead result;
    result.queued = scratch_queue_.data();
    const Instruction& last = scratch_[count - 1];
    const bool goes_on = (last.ending & kMayJump) != 0 || !CostModel::ends_ahead(scratch_queue_[count - 1], last);
    if (at < kPageSize - start.offset() && goes_on)
        result.count = static_cast<u16>(queue_code(start + at, &scratch_queue_[count], result.bytes));
    return result;
}

void Cpu::bind_queue(Instruction* first, u32 count, const Lookahead& lookahead, PipelineState& pipeline) const {
    u32 cost_before = 0, penalty_before = 0;
    for (u32 i = 0; i < count; ++i) {
        Instruction& in = first[i];
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

std::span<const QueuedInstruction> Cpu::queued_from(const Block* block, u32 number) const {
    return block != nullptr ? block->lookahead().from(number, block->count) : std::span(scratch_queue_).first(1);
}

// What an instruction whose cost is decided late costs by itself. While it waits for a page walk or a misaligned
// operand, the queue is taken to stand still, as the bus is busy.
void Cpu::note_own_cost(Cycles cycles, CycleCause cause) {
    const bool learns = current_ == nullptr || (current_->ending & (kDecidedLate | kByOperand)) != 0;
    if (learns && cause != CycleCause::TlbWalk && cause != CycleCause::Misaligned)
        own_cost_ += cycles;
}

// A repeated string instruction may have run in parts, and over what stands behind it: that counts as it is at its end.
void Cpu::settle_queue(const Block* block, const Instruction& at) {
    std::span<const QueuedInstruction> ahead = queued_from(block, at.number);
    std::array<QueuedInstruction, kMostAhead> code;
    const bool stale = engine_ == EngineKind::Interpreter || (block != nullptr && !block->alive);
    if (block != nullptr && cost_model_.tells_repeats(at) && stale) {
        code[0] = ahead[0];
        const PhysicalAddress behind = block->start + (u32{at.offset} + at.length);
        u16 bytes = 0;
        const u32 count = behind.page() == block->start.page() ? queue_code(behind, &code[1], bytes) : 0;
        ahead = std::span(code).first(1 + count);
    }
    charge(cost_model_.settle_queue(pipeline_, ahead, ahead[0].clocks + own_cost_), CycleCause::Pipeline);
}

} // namespace forkscope
