// Fetches that are no plain run of a block: instructions in two pages or in device memory, and what repeats.
#include "cpu/cpu.hpp"
#include "cpu/decode/decoder.hpp"

namespace forkscope {

// Between two iterations of a repeated instruction.
Step Cpu::fetch_iteration(const Instruction& in) {
    if (!mmu_.fetches_each_instruction())
        return Step::Next;
    switch (fetch_again(in)) {
    case Fetched::Same:
        return Step::Next;
    case Fetched::Moved:
        return Step::Repeat;
    case Fetched::Fault:
        break;
    }
    return page_fault();
}

// An instruction that lies in two pages, or in device memory: its bytes are gathered one by one, then it runs alone.
void Cpu::run_crossing_instruction(u32 linear) {
    std::array<u8, 15> bytes{};
    Instruction& in = scratch_[0];
    DecodeStatus status = DecodeStatus::Truncated;
    for (u32 count = 1; count <= bytes.size() && status == DecodeStatus::Truncated; ++count) {
        const u32 at = linear + count - 1;
        // The first byte of each page is the fetch; the others lie in a page already translated.
        const auto physical = mmu_.fetch(LinearAddress(at), privilege_);
        if (!physical.ok) {
            deliver(page_fault());
            return;
        }
        if (count == 1 || (at & kPageMask) == 0)
            crossing_[count == 1 ? 0 : 1] = physical.value;
        if (cost_model_.caches() && !repeating_)
            fetch_lines(physical.value, 1);
        bytes[count - 1] = mmu_.memory().is_memory(physical.value)
                               ? *mmu_.memory().host(physical.value)
                               : static_cast<u8>(bus_.read_memory(physical.value, 1));
        in = Instruction{};
        status = decode({bytes.data(), count}, code_mode(), in);
    }
    if (status == DecodeStatus::TooLong)
        in.form = 0;
    PipelineState pipeline = pipeline_;
    bind(in, nullptr, pipeline);
    if (status == DecodeStatus::TooLong)
        in.handler = too_long_handler();
    if (cost_model_.queues()) {
        scratch_queue_[0] = cost_model_.queued(bytes, in);
        bind_queue(&in, 1, {scratch_queue_.data(), 0, 0}, pipeline);
    }
    const SegmentCache& cs = state_.segments[kCs];
    const u32 end = state_.eip + in.length - 1;
    if (end > cs.limit || end < state_.eip) {
        deliver(fault(kGeneralProtection, 0));
        return;
    }
    run_instructions(nullptr, &in, 1);
}

} // namespace forkscope
