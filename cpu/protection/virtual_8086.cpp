#include "cpu/protection/virtual_8086.hpp"

#include "cpu/protection/stack_frame.hpp"

namespace forkscope::protection {

InterruptFlag interrupt_flag(const CpuState& r) {
    if (!r.protected_mode() || r.cpl <= r.iopl())
        return InterruptFlag::Real;
    const u32 extension = r.virtual_8086() ? kCr4Vme : kCr4Pvi;
    return r.cpl == 3 && (r.cr4 & extension) != 0 ? InterruptFlag::Virtual : InterruptFlag::Neither;
}

bool virtual_interrupt_due(const CpuState& r) {
    const u32 extension = r.virtual_8086() ? kCr4Vme : kCr4Pvi;
    return r.protected_mode() && r.cpl == 3 && (r.cr4 & extension) != 0 && r.flag(kFlagVif) && r.flag(kFlagVip);
}

u16 virtual_flags(const CpuState& r) {
    const u32 flags = r.eflags() & ~u32{kFlagI};
    return static_cast<u16>(flags | kFlagIopl | (r.flag(kFlagVif) ? u32{kFlagI} : 0));
}

bool set_virtual_flags(CpuState& r, u16 flags) {
    if ((r.flag(kFlagVip) && (flags & kFlagI) != 0) || (flags & kFlagT) != 0)
        return false;
    constexpr u32 kTaken = kFlagsArithmetic | kFlagT | kFlagD | kFlagNt;
    const u32 kept = r.eflags() & ~(kTaken | kFlagVif);
    r.set_eflags(kept | (flags & kTaken) | ((flags & kFlagI) != 0 ? u32{kFlagVif} : 0));
    return true;
}

// The bitmap's 32 bytes end where the I/O bitmap begins; a set bit keeps the interrupt for the monitor.
Access<Redirection> redirect_interrupt(Context& cpu, u8 vector, u32 return_eip) {
    CpuState& r = cpu.regs();
    if ((r.cr4 & kCr4Vme) == 0)
        return {Redirection::No};
    constexpr u32 kIoBase = 0x66;
    if (r.tr.limit < kIoBase + 1)
        return cpu.fault(kGeneralProtection, 0);
    const auto io_base = cpu.read_system<u16>(r.tr.base + kIoBase);
    if (!io_base.ok)
        return Access<Redirection>::fault();
    const u32 at = io_base.value - 32u + vector / 8u;
    if (at > r.tr.limit)
        return cpu.fault(kGeneralProtection, 0);
    const auto bits = cpu.read_system<u8>(r.tr.base + at);
    if (!bits.ok)
        return Access<Redirection>::fault();
    if ((bits.value >> (vector & 7) & 1) != 0)
        return {Redirection::No};

    const auto target = cpu.read_system<u32>(vector * 4u); // the 8086 program's table lies at linear address 0
    if (!target.ok)
        return Access<Redirection>::fault();
    StackFrame frame = present_stack(cpu, 2);
    frame.push(r.iopl() < 3 ? virtual_flags(r) : r.eflags());
    frame.push(r.segments[kCs].selector);
    frame.push(return_eip);
    if (!write_frame(cpu, frame))
        return Access<Redirection>::fault();
    cpu.set_stack_pointer(frame.esp);
    r.system_flags &= ~u32{kFlagT | (r.iopl() < 3 ? kFlagVif : kFlagI)};
    cpu.attention().cancel_step();
    r.segments[kCs].load_virtual_8086(static_cast<u16>(target.value >> 16));
    r.eip = target.value & 0xFFFF;
    return {Redirection::Done};
}

} // namespace forkscope::protection
