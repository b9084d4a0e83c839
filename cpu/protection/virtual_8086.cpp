// Virtual interrupts: CR4.VME in virtual-8086 mode, CR4.PVI at CPL 3 (SDM 3A 20.3, 20.4).
#include "cpu/cpu.hpp"

namespace forkscope {

InterruptFlag Cpu::interrupt_flag() const {
    if (!state_.protected_mode() || state_.cpl <= state_.iopl())
        return InterruptFlag::Real;
    const u32 extension = state_.virtual_8086() ? kCr4Vme : kCr4Pvi;
    return state_.cpl == 3 && (state_.cr4 & extension) != 0 ? InterruptFlag::Virtual : InterruptFlag::Neither;
}

// A task that is entered with interrupts enabled while one is pending must tell its monitor before it runs (SDM 3A
// 20.3.2). Only IRET and task switches bring that about.
bool Cpu::virtual_interrupt_due() const {
    const u32 extension = state_.virtual_8086() ? kCr4Vme : kCr4Pvi;
    return state_.protected_mode() && state_.cpl == 3 && (state_.cr4 & extension) != 0 && state_.flag(kFlagVif) &&
           state_.flag(kFlagVip);
}

u16 Cpu::virtual_flags() const {
    const u32 flags = state_.eflags() & ~u32{kFlagI};
    return static_cast<u16>(flags | kFlagIopl | (state_.flag(kFlagVif) ? u32{kFlagI} : 0));
}

// IF goes to VIF; IF and IOPL stand still. A task that enables interrupts while one is pending, or single step, must
// tell its monitor.
bool Cpu::set_virtual_flags(u16 flags) {
    if ((state_.flag(kFlagVip) && (flags & kFlagI) != 0) || (flags & kFlagT) != 0)
        return false;
    constexpr u32 kTaken = kFlagsArithmetic | kFlagT | kFlagD | kFlagNt;
    const u32 kept = state_.eflags() & ~(kTaken | kFlagVif);
    state_.set_eflags(kept | (flags & kTaken) | ((flags & kFlagI) != 0 ? u32{kFlagVif} : 0));
    return true;
}

// The bitmap's 32 bytes end where the I/O bitmap begins; a set bit keeps the interrupt for the monitor.
Access<Redirection> Cpu::redirect_interrupt(u8 vector, u32 return_eip) {
    if ((state_.cr4 & kCr4Vme) == 0)
        return {Redirection::No};
    constexpr u32 kIoBase = 0x66;
    if (state_.tr.limit < kIoBase + 1)
        return fault(kGeneralProtection, 0);
    const auto io_base = read_system<u16>(state_.tr.base + kIoBase);
    if (!io_base.ok)
        return Access<Redirection>::fault();
    const u32 at = io_base.value - 32u + vector / 8u;
    if (at > state_.tr.limit)
        return fault(kGeneralProtection, 0);
    const auto bits = read_system<u8>(state_.tr.base + at);
    if (!bits.ok)
        return Access<Redirection>::fault();
    if ((bits.value >> (vector & 7) & 1) != 0)
        return {Redirection::No};

    const auto target = read_system<u32>(vector * 4u); // the 8086 program's table lies at linear address 0
    if (!target.ok)
        return Access<Redirection>::fault();
    StackFrame frame;
    frame.ss = state_.segments[kSs];
    frame.esp = state_.esp();
    frame.privilege = privilege_;
    frame.size = 2;
    frame.push(state_.iopl() < 3 ? virtual_flags() : state_.eflags());
    frame.push(state_.segments[kCs].selector);
    frame.push(return_eip);
    if (!write_frame(frame))
        return Access<Redirection>::fault();
    set_stack_pointer(frame.esp);
    state_.system_flags &= ~u32{kFlagT | (state_.iopl() < 3 ? kFlagVif : kFlagI)};
    step_trap_ = false;
    enter_virtual_segment(kCs, static_cast<u16>(target.value >> 16));
    state_.eip = target.value & 0xFFFF;
    return {Redirection::Done};
}

} // namespace forkscope
