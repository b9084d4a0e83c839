#include "cpu/engine/block_engine.hpp"

#include "cpu/engine/run.hpp"
#include "cpu/protection/interrupts.hpp"

namespace forkscope {

void BlockEngine::run(u64 instruction_limit) {
    do {
        const CpuState& r = cpu_.state();
        const auto start = cpu_.mmu().fetch(LinearAddress(r.linear_eip()), cpu_.privilege());
        if (!start.ok) [[unlikely]]
            return protection::deliver(cpu_, cpu_.page_fault());
        Block* block = blocks_.find(start.value, r.code_mode());
        if (block == nullptr) [[unlikely]]
            block = read_block(cpu_, start.value, blocks_, code_);
        if (block != nullptr) [[likely]]
            run_block(cpu_, *block, instruction_limit);
        else
            run_crossing_instruction(cpu_, code_);
    } while (goes_on(cpu_, instruction_limit));
}

bool BlockEngine::code_changed(PhysicalAddress address, u32 size) {
    bool frame_is_empty = false;
    if (blocks_.kill(address, size, cpu_.progress().running, frame_is_empty))
        cpu_.progress().leave = true;
    return !frame_is_empty;
}

} // namespace forkscope
