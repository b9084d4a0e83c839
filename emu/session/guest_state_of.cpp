#include "emu/session/guest_state_of.hpp"

namespace forkscope {

GuestState guest_state_of(const Machine& machine) {
    GuestState state;
    const CpuState& cpu = machine.registers();
    // DWARF counts the first eight as the processor does.
    for (u32 i = 0; i < 8; ++i)
        state.registers.values[i] = static_cast<u32>(cpu.gpr[i]);
    state.registers.values[FrameRegisters::Eip] = cpu.linear_eip();
    state.registers.values[FrameRegisters::Eflags] = cpu.eflags();
    state.cs = cpu.segments[kCs].selector;
    state.address_space = machine.mmu().control().space_of(cpu.cr3).root;
    state.memory = [&machine](u32 address, std::span<u8> bytes) {
        return machine.mmu().peek(LinearAddress{address}, bytes);
    };
    return state;
}

} // namespace forkscope
