#include "cpu/execute/system.hpp"

#include "cpu/decode/decoder.hpp"
#include "cpu/protection/control_registers.hpp"
#include "cpu/protection/virtual_8086.hpp"
#include "emu/base/log.hpp"

namespace forkscope::handlers {

namespace {

// An opcode we lack raises #UD as the CPU would for one that it lacks, and says so in the log.
void note_missing(Context& cpu, const Instruction& in) {
    std::string bytes;
    std::array<u8, 8> raw{};
    const LinearAddress at(cpu.regs().segments[kCs].base + cpu.present_eip(in));
    if (cpu.mmu().peek(at, raw))
        for (u32 i = 0; i < in.length && i < raw.size(); ++i)
            bytes += fmt::format("{:02x} ", raw[i]);
    log_warning_once(bytes, fmt::format("the guest used an opcode this CPU does not have at {:04x}:{:08x} (linear "
                                        "{:08x}): {}- it gets #UD",
                                        cpu.regs().segments[kCs].selector, cpu.present_eip(in), at.value, bytes));
}

} // namespace

Step undefined_opcode(Context& cpu, const Instruction& in) {
    note_missing(cpu, in);
    return cpu.fault(kInvalidOpcode);
}

Step too_long(Context& cpu, const Instruction&) { return cpu.fault(kGeneralProtection, 0); }

Step cli(Context& cpu, const Instruction&) {
    const protection::InterruptFlag flag = protection::interrupt_flag(cpu.regs());
    if (flag == protection::InterruptFlag::Neither)
        return cpu.fault(kGeneralProtection, 0);
    cpu.regs().system_flags &= ~u32{flag == protection::InterruptFlag::Real ? kFlagI : kFlagVif};
    return Step::Next;
}

// Interrupts are recognised only after the next instruction. With a virtual interrupt pending the monitor must act.
Step sti(Context& cpu, const Instruction& in) {
    CpuState& r = cpu.regs();
    const protection::InterruptFlag flag = protection::interrupt_flag(cpu.regs());
    if (flag == protection::InterruptFlag::Neither || (flag == protection::InterruptFlag::Virtual && r.flag(kFlagVip)))
        return cpu.fault(kGeneralProtection, 0);
    if (flag == protection::InterruptFlag::Virtual) {
        r.system_flags |= kFlagVif;
        return cpu.leave_block(in);
    }
    if (!r.flag(kFlagI))
        cpu.attention().cast_shadow(Shadow::Interrupts);
    r.system_flags |= kFlagI;
    cpu.attention().interrupts_enabled();
    return cpu.leave_block(in);
}

Step hlt(Context& cpu, const Instruction& in) {
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    cpu.tracer().emit(TraceKind::Halt);
    cpu.attention().halt();
    return cpu.leave_block(in);
}

Step clts(Context& cpu, const Instruction& in) {
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    protection::write_cr0(cpu, cpu.regs().cr0 & ~u32{kCr0Ts});
    return cpu.leave_block(in);
}

// Memory is always up to date: there is nothing to write back.
Step cache_control(Context& cpu, const Instruction&) {
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    cpu.meter().drop_caches();
    return Step::Next;
}

Step ud2(Context& cpu, const Instruction&) { return cpu.fault(kInvalidOpcode); }

// CR4 came with the Pentium.
static bool control_register_exists(const Context& cpu, u8 number) { return number != 4 || cpu.model().cr4 != 0; }

Step mov_r_control(Context& cpu, const Instruction& in) {
    if (!control_register_exists(cpu, in.reg))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    const CpuState& r = cpu.regs();
    u32 value = 0;
    switch (in.reg) {
    case 0:
        value = r.cr0;
        break;
    case 2:
        value = r.cr2;
        break;
    case 3:
        value = r.cr3;
        break;
    case 4:
        value = r.cr4;
        break;
    default:
        return cpu.fault(kInvalidOpcode);
    }
    cpu.regs().set_reg<u32>(in.rm, value);
    return Step::Next;
}

Step mov_control_r(Context& cpu, const Instruction& in) {
    if (!control_register_exists(cpu, in.reg))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    const u32 value = cpu.regs().reg<u32>(in.rm);
    switch (in.reg) {
    case 0: {
        const u32 defined = value & cpu.model().cr0;
        const bool paging_unprotected = (defined & kCr0Pg) != 0 && (defined & kCr0Pe) == 0;
        const bool write_through_without_cache = (defined & kCr0Nw) != 0 && (defined & kCr0Cd) == 0;
        if (paging_unprotected || write_through_without_cache ||
            !cpu.mmu().paging().accepts_cr0(defined | cpu.model().cr0_ones))
            return cpu.fault(kGeneralProtection, 0);
        protection::write_cr0(cpu, defined);
        break;
    }
    case 2:
        cpu.regs().cr2 = value;
        break;
    case 3:
        if (!cpu.mmu().paging().accepts_cr3(value))
            return cpu.fault(kGeneralProtection, 0);
        protection::write_cr3(cpu, value);
        break;
    case 4:
        if ((value & ~cpu.model().cr4) != 0 || !cpu.mmu().paging().accepts_cr4(value))
            return cpu.fault(kGeneralProtection, 0);
        protection::write_cr4(cpu, value);
        break;
    default:
        return cpu.fault(kInvalidOpcode);
    }
    return cpu.leave_block(in);
}

namespace {

// DR4 and DR5 are aliases of DR6 and DR7 unless CR4.DE: then they are no registers, and the opcode is invalid before
// anything is asked about privilege (SDM 3A table 6-2). General detect comes last. False: a fault was recorded.
bool reach_debug_register(Context& cpu, u8& number) {
    if (number == 4 || number == 5) {
        if ((cpu.regs().cr4 & kCr4De) != 0)
            return cpu.fault(kInvalidOpcode);
        number += 2;
    }
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    if ((cpu.regs().dr[7] & kDebugRegisterAccess) != 0) {
        cpu.regs().dr[6] |= kDebugRegisterAccess;
        return cpu.fault(kDebugException);
    }
    return true;
}

} // namespace

Step mov_r_debug(Context& cpu, const Instruction& in) {
    u8 number = in.reg;
    if (!reach_debug_register(cpu, number))
        return Step::Fault;
    cpu.regs().set_reg<u32>(in.rm, cpu.regs().dr[number]);
    return Step::Next;
}

Step mov_debug_r(Context& cpu, const Instruction& in) {
    u8 number = in.reg;
    if (!reach_debug_register(cpu, number))
        return Step::Fault;
    const u32 value = cpu.regs().reg<u32>(in.rm);
    constexpr u32 kWritableDr6 = 0xE00F; // BT BS BD B3..B0
    constexpr u32 kWritableDr7 = 0xFFFF23FF;
    u32& target = cpu.regs().dr[number];
    if (number == 6)
        target = (value & kWritableDr6) | (cpu.model().dr6_reset & ~kWritableDr6);
    else if (number == 7)
        target = (value & kWritableDr7) | (cpu.model().dr7_reset & ~kWritableDr7);
    else
        target = value;
    cpu.debug_registers_changed();
    return cpu.leave_block(in);
}

Step invlpg(Context& cpu, const Instruction& in) {
    if (!cpu.privileged() || cpu.regs().virtual_8086())
        return cpu.fault(kGeneralProtection, 0);
    const u32 linear = cpu.regs().segments[in.segment].base + cpu.offset_of(in);
    const bool held = cpu.mmu().invalidate_page(LinearAddress(linear));
    cpu.meter().take_path(held ? CostPath::InvalidateHit : CostPath::InvalidateMiss);
    // A fetch that changes nothing need not be made.
    const u32 here = cpu.regs().segments[kCs].base + cpu.present_eip(in);
    const RecentSlot& code = cpu.mmu().fetch_front().recent(cpu.privilege(), here);
    return code.read_tag == (here & ~kPageMask) ? Step::Next : cpu.leave_block(in);
}

} // namespace forkscope::handlers
