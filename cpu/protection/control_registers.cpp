#include "cpu/protection/control_registers.hpp"

namespace forkscope::protection {

void write_cr0(Context& cpu, u32 value) {
    CpuState& r = cpu.regs();
    const u32 old_value = r.cr0;
    r.cr0 = value | cpu.model().cr0_ones;
    if (r.cr0 == old_value)
        return;
    cpu.mmu().write_cr0(old_value, r.cr0);
    if (((r.cr0 ^ old_value) & kCr0Ne) != 0)
        cpu.float_error_changed();
    cpu.flags_changed();
}

void write_cr3(Context& cpu, u32 value) {
    cpu.regs().cr3 = value;
    cpu.mmu().write_cr3(value, TlbFlushReason::Cr3);
}

void write_cr4(Context& cpu, u32 value) {
    const u32 old_value = cpu.regs().cr4;
    cpu.regs().cr4 = value;
    if (value == old_value)
        return;
    cpu.mmu().write_cr4(old_value, value);
    cpu.debug_registers_changed();
}

} // namespace forkscope::protection
