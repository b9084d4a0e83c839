// Owns: handlers of control and debug registers, descriptor tables, MSRs and the other system instructions.
// Callers: dispatch.cpp through opcodes.def. Promises: load, compute, store, then commit.
#pragma once

#include "cpu/execute/operands.hpp"
#include "cpu/protection/control_registers.hpp"
#include "cpu/protection/segments.hpp"

namespace forkscope::handlers {

Step undefined_opcode(Context& cpu, const Instruction& in);
Step too_long(Context& cpu, const Instruction& in);
Step cli(Context& cpu, const Instruction& in);
Step sti(Context& cpu, const Instruction& in);
Step hlt(Context& cpu, const Instruction& in);
Step clts(Context& cpu, const Instruction& in);
Step cache_control(Context& cpu, const Instruction& in);
Step ud2(Context& cpu, const Instruction& in);
Step mov_r_control(Context& cpu, const Instruction& in);
Step mov_control_r(Context& cpu, const Instruction& in);
Step mov_r_debug(Context& cpu, const Instruction& in);
Step mov_debug_r(Context& cpu, const Instruction& in);
Step rdtsc(Context& cpu, const Instruction& in);
Step rdmsr(Context& cpu, const Instruction& in);
Step wrmsr(Context& cpu, const Instruction& in);
Step cpuid(Context& cpu, const Instruction& in);
Step rdpmc(Context& cpu, const Instruction& in);
Step sysenter(Context& cpu, const Instruction& in);
Step sysexit(Context& cpu, const Instruction& in);
Step mov_r_test(Context& cpu, const Instruction& in);
Step mov_test_r(Context& cpu, const Instruction& in);
Step invlpg(Context& cpu, const Instruction& in);

// LAR, LSL, VERR, VERW, ARPL, SLDT, STR, LLDT and LTR exist in protected mode only.
inline bool descriptor_instructions_exist(const Context& cpu) {
    return cpu.state().protected_mode() && !cpu.state().virtual_8086();
}

inline void set_zero_flag(Context& cpu, bool zero) {
    const u32 others = cpu.regs().flags.pack() & ~u32{kFlagZ};
    cpu.regs().flags.unpack(others | (zero ? u32{kFlagZ} : 0));
}

template <class T, bool kMemory> Step arpl(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    const u16 rpl = cpu.regs().reg<u16>(in.reg) & 3;
    const bool raised = (selector & 3) < rpl;
    if (raised) // else nothing is stored, and a place that may only be read will do
        TRY_VOID((write_rm<u16, kMemory>(cpu, in, static_cast<u16>((selector & ~3u) | rpl))));
    set_zero_flag(cpu, raised);
    return Step::Next;
}

template <class T, bool kMemory> Step lar(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    Descriptor descriptor;
    TRY(visible, protection::visible_descriptor(cpu, selector, descriptor));
    // SDM 2A, table 3-53: not interrupt and trap gates.
    const bool has_limit = descriptor.is_segment() || descriptor.is_any(kLimited);
    const bool found = visible && (has_limit || descriptor.is_any(kCallGates) || descriptor.is(SystemType::TaskGate));
    if (found)
        cpu.regs().set_reg<T>(in.reg, static_cast<T>(descriptor.bits >> 32 & 0x00FFFF00u));
    set_zero_flag(cpu, found);
    return Step::Next;
}

template <class T, bool kMemory> Step lsl(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    Descriptor descriptor;
    TRY(visible, protection::visible_descriptor(cpu, selector, descriptor));
    const bool found = visible && (descriptor.is_segment() || descriptor.is_any(kLimited));
    if (found) {
        cpu.regs().set_reg<T>(in.reg, static_cast<T>(descriptor.limit()));
        if (descriptor.granular())
            cpu.meter().charge_path(CostPath::LimitInPages);
    }
    set_zero_flag(cpu, found);
    return Step::Next;
}

template <Verify kVerify, class T, bool kMemory> Step verify(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    Descriptor descriptor;
    TRY(visible, protection::visible_descriptor(cpu, selector, descriptor));
    const bool allowed = kVerify == Verify::Write ? descriptor.is_writable_data()
                                                  : descriptor.is_data() || descriptor.is_readable_code();
    set_zero_flag(cpu, visible && allowed);
    return Step::Next;
}

// To a register the operand size counts, to memory always 16 bits.
template <class T, bool kMemory> Step store_word(Context& cpu, const Instruction& in, u32 value) {
    if constexpr (kMemory)
        TRY_VOID(cpu.write<u16>(in.segment, cpu.offset_of(in), static_cast<u16>(value)));
    else
        cpu.regs().set_reg<T>(in.rm, static_cast<T>(value));
    return Step::Next;
}

template <class T, bool kMemory> Step sldt(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    return store_word<T, kMemory>(cpu, in, cpu.regs().ldtr.selector);
}

template <class T, bool kMemory> Step str(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    return store_word<T, kMemory>(cpu, in, cpu.regs().tr.selector);
}

template <class T, bool kMemory> Step smsw(Context& cpu, const Instruction& in) {
    return store_word<T, kMemory>(cpu, in, cpu.regs().cr0);
}

template <class T, bool kMemory> Step lldt(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    return protection::load_ldtr(cpu, selector) ? Step::Next : Step::Fault;
}

template <class T, bool kMemory> Step ltr(Context& cpu, const Instruction& in) {
    if (!descriptor_instructions_exist(cpu))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    return protection::load_task_register(cpu, selector) ? Step::Next : Step::Fault;
}

template <class T, bool kMemory> Step lmsw(Context& cpu, const Instruction& in) {
    if (!cpu.privileged() || cpu.regs().virtual_8086())
        return cpu.fault(kGeneralProtection, 0);
    TRY(value, (read_rm<u16, kMemory>(cpu, in)));
    // PE can be set but not cleared.
    const u32 kept = cpu.regs().cr0 & ~u32{kCr0Mp | kCr0Em | kCr0Ts};
    protection::write_cr0(cpu, kept | (value & 0xFu));
    return cpu.leave_block(in);
}

template <Table kTable, class T> Step store_table(Context& cpu, const Instruction& in) {
    const TableRegister& table = kTable == Table::Gdt ? cpu.regs().gdtr : cpu.regs().idtr;
    const u32 offset = cpu.offset_of(in);
    // The 386 and later store all 32 bits of the base whatever the operand size.
    TRY_VOID(cpu.probe_write(in.segment, offset, 6));
    TRY_VOID(cpu.write<u16>(in.segment, offset, table.limit));
    TRY_VOID(cpu.write<u32>(in.segment, (offset + 2) & counter_mask(in), table.base));
    return Step::Next;
}

template <Table kTable, class T> Step load_table(Context& cpu, const Instruction& in) {
    if (!cpu.privileged() || cpu.regs().virtual_8086())
        return cpu.fault(kGeneralProtection, 0);
    const u32 offset = cpu.offset_of(in);
    TRY(limit, cpu.read<u16>(in.segment, offset));
    TRY(base, cpu.read<u32>(in.segment, (offset + 2) & counter_mask(in)));
    TableRegister& table = kTable == Table::Gdt ? cpu.regs().gdtr : cpu.regs().idtr;
    table.limit = limit;
    table.base = sizeof(T) == 4 ? base : base & 0x00FFFFFF;
    return Step::Next;
}

} // namespace forkscope::handlers
