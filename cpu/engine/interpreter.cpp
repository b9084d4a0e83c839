#include "cpu/engine/interpreter.hpp"

#include "cpu/engine/run.hpp"
#include "cpu/protection/interrupts.hpp"

namespace forkscope {

void Interpreter::run(u64 instruction_limit) {
    do
        step(instruction_limit);
    while (goes_on(cpu_, instruction_limit));
}

void Interpreter::step(u64 instruction_limit) {
    const auto start = cpu_.mmu().fetch(LinearAddress(cpu_.state().linear_eip()), cpu_.privilege());
    if (!start.ok) [[unlikely]]
        return protection::deliver(cpu_, cpu_.page_fault());
    if (!read_run(cpu_, start.value, 1, code_))
        return run_crossing_instruction(cpu_, code_);
    const Instruction& in = code_.instructions[0];
    if (in.repeats() && (form_at(in.form).attributes & kString) != 0)
        cpu_.mmu().flag_frame(start.value.page(), kFrameCode); // as blocks are: it stops where it overwrites itself
    block_ = Block{};
    block_.start = start.value;
    block_.mode = cpu_.state().code_mode();
    block_.bytes = in.length;
    block_.count = 1;
    block_.clocks = in.cost;
    block_.first = code_.instructions.data();
    block_.queued = code_.lookahead.queued;
    block_.ahead = code_.lookahead.count;
    block_.entry = cpu_.meter().pipeline();
    block_.exit = code_.exit;
    run_block(cpu_, block_, instruction_limit);
}

bool Interpreter::code_changed(PhysicalAddress address, u32 size) {
    if (cpu_.progress().running != &block_ || address.page() != block_.start.page())
        return false;
    if (address.value < block_.start.value + block_.bytes && block_.start.value < address.value + size) {
        block_.alive = false;
        cpu_.progress().leave = true;
    }
    return true;
}

} // namespace forkscope
