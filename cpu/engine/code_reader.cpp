#include "cpu/engine/code_reader.hpp"

#include "cpu/decode/decoder.hpp"
#include "cpu/engine/run.hpp"
#include "cpu/execute/dispatch.hpp"
#include "cpu/protection/interrupts.hpp"

namespace forkscope {

namespace {

constexpr u32 kMostCostInBlock = 50'000; // before its last instruction; Instruction::cost_before holds no more

// Repeated strings cost more than their static clocks say, so nothing may follow them in a block.
bool ends_block(const Instruction& in) {
    const u16 attributes = form_at(in.form).attributes;
    return (attributes & kEndsBlock) != 0 || ((attributes & kString) != 0 && in.repeats()) ||
           (in.ending & (kDecidedLate | kByOperand)) != 0 || in.cost_before > kMostCostInBlock - in.cost;
}

void bind(const Context& cpu, DecodeStatus status, Instruction& in, const Instruction* previous,
          PipelineState& pipeline) {
    if (status == DecodeStatus::TooLong || !cpu.model().runs(form_at(in.form).since)) [[unlikely]]
        in.form = 0;
    in.handler = status == DecodeStatus::TooLong ? too_long_handler() : handler_of(in);
    if (previous != nullptr) {
        in.number = static_cast<u8>(previous->number + 1);
        in.offset = static_cast<u16>(previous->offset + previous->length);
    }
    cpu.meter().bind(in, previous, pipeline);
}

} // namespace

bool read_run(Context& cpu, PhysicalAddress start, u32 most, DecodedRun& run) {
    const PhysicalMemory& memory = cpu.mmu().memory();
    run.count = 0;
    if (!memory.is_memory(start))
        return false;
    const u8* bytes = memory.host(start);
    const u32 available = kPageSize - start.offset();
    PipelineState pipeline = cpu.meter().pipeline();
    for (u32 at = 0; run.count < most && at < available;) {
        Instruction& in = run.instructions[run.count];
        const DecodeStatus status = decode({bytes + at, available - at}, cpu.state().code_mode(), in);
        if (status == DecodeStatus::Truncated)
            break;
        bind(cpu, status, in, run.count == 0 ? nullptr : &run.instructions[run.count - 1], pipeline);
        at += in.length;
        ++run.count;
        if (status != DecodeStatus::Ok || ends_block(in))
            break;
    }
    if (run.count == 0)
        return false;
    run.lookahead = {};
    if (cpu.meter().cost_model().queues()) {
        pipeline = cpu.meter().pipeline();
        run.lookahead = cpu.meter().bind_queue(start, {run.instructions.data(), run.count}, pipeline);
    }
    run.exit = pipeline;
    return true;
}

Block* read_block(Context& cpu, PhysicalAddress start, BlockCache& blocks, DecodedRun& scratch) {
    if (!read_run(cpu, start, kMostInstructionsInBlock, scratch))
        return nullptr;
    if (!blocks.any_in(start.page())) // else it is flagged
        cpu.mmu().flag_frame(start.page(), kFrameCode);
    Block* const block = blocks.insert(start, cpu.state().code_mode(), scratch.instructions.data(),
                                       static_cast<u16>(scratch.count), scratch.lookahead);
    block->entry = cpu.meter().pipeline();
    block->exit = scratch.exit;
    return block;
}

void run_crossing_instruction(Context& cpu, DecodedRun& scratch) {
    std::array<u8, 15> bytes{};
    Instruction& in = scratch.instructions[0];
    CostMeter& meter = cpu.meter();
    const u32 linear = cpu.state().linear_eip();
    DecodeStatus status = DecodeStatus::Truncated;
    for (u32 count = 1; count <= bytes.size() && status == DecodeStatus::Truncated; ++count) {
        const u32 at = linear + count - 1;
        // The first byte of each page is the fetch; the others lie in a page already translated.
        const auto physical = cpu.mmu().fetch(LinearAddress(at), cpu.privilege());
        if (!physical.ok)
            return protection::deliver(cpu, cpu.page_fault());
        if (count == 1 || (at & kPageMask) == 0)
            cpu.progress().fetched[count == 1 ? 0 : 1] = physical.value;
        if (meter.cost_model().caches() && !meter.repeating())
            meter.fetch_lines(physical.value, 1);
        const PhysicalMemory& memory = cpu.mmu().memory();
        bytes[count - 1] = memory.is_memory(physical.value) ? *memory.host(physical.value)
                                                            : static_cast<u8>(cpu.bus().read_memory(physical.value, 1));
        in = Instruction{};
        status = decode({bytes.data(), count}, cpu.state().code_mode(), in);
    }
    PipelineState pipeline = meter.pipeline();
    bind(cpu, status, in, nullptr, pipeline);
    if (meter.cost_model().queues())
        meter.bind_queue_alone(bytes, in, pipeline);
    if (!first_fits(cpu, in))
        return protection::deliver(cpu, cpu.fault(kGeneralProtection, 0));
    run_instructions(cpu, nullptr, &in, 1);
}

} // namespace forkscope
