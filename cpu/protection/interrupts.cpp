#include "cpu/protection/interrupts.hpp"

#include "cpu/protection/segments.hpp"
#include "cpu/protection/stack_frame.hpp"
#include "cpu/protection/task_switch.hpp"
#include "cpu/protection/transfers.hpp"
#include "cpu/protection/virtual_8086.hpp"

namespace forkscope::protection {

namespace {

// SDM 3A table 6-4.
bool is_contributory(u8 vector) {
    return vector == kDivideError || (vector >= kInvalidTss && vector <= kGeneralProtection);
}

// SDM 3A table 6-5: does a second exception while delivering the first make a double fault?
bool makes_double_fault(u8 first, u8 second) {
    if (first == kPageFault)
        return second == kPageFault || is_contributory(second);
    return is_contributory(first) && is_contributory(second);
}

bool interrupt_real(Context& cpu, const InterruptRequest& request, u32 return_eip) {
    CpuState& r = cpu.regs();
    const u32 at = request.vector * 4u;
    if (at + 3 > r.idtr.limit)
        return cpu.fault(request.vector == kGeneralProtection || request.vector == kDoubleFault ? kDoubleFault
                                                                                                : kGeneralProtection);
    const auto entry = cpu.read_system<u32>(r.idtr.base + at);
    if (!entry.ok)
        return false;
    StackFrame frame = present_stack(cpu, 2);
    frame.push(r.eflags());
    frame.push(r.segments[kCs].selector);
    frame.push(return_eip);
    if (!write_frame(cpu, frame))
        return false;
    cpu.set_stack_pointer(frame.esp);
    r.system_flags &= ~u32{kFlagI | kFlagT | kFlagAc};
    set_real_code_segment(cpu, static_cast<u16>(entry.value >> 16));
    r.eip = entry.value & 0xFFFF;
    return true;
}

// The vector's gate, with every check on the gate itself.
bool read_gate(Context& cpu, const InterruptRequest& request, Descriptor& gate) {
    CpuState& r = cpu.regs();
    const bool software = request.cause == InterruptCause::Software;
    const u32 error = request.vector * 8u + 2 + request.ext();
    const u32 at = request.vector * 8u;
    if (at + 7 > r.idtr.limit)
        return cpu.fault(kGeneralProtection, error);
    if (!read_table_entry(cpu, r.idtr.base + at, gate))
        return false;
    const bool is_gate = gate.is_any(kInterruptGates) || gate.is_any(kTrapGates) || gate.is(SystemType::TaskGate);
    if (!is_gate || (software && gate.dpl() < r.cpl))
        return cpu.fault(kGeneralProtection, error);
    if (!gate.present())
        return cpu.fault(kSegmentNotPresent, error);
    return true;
}

// The handler's code segment, with every check that does not need the stack.
bool read_handler_segment(Context& cpu, u16 selector, u32 ext, Descriptor& code) {
    CpuState& r = cpu.regs();
    if ((selector & 0xFFFC) == 0)
        return cpu.fault(kGeneralProtection, ext);
    const u32 error = (selector & 0xFFFCu) | ext;
    if (!read_descriptor(cpu, selector, kGeneralProtection, ext, code))
        return false;
    const bool inward = !code.is_conforming() && code.dpl() < r.cpl;
    const bool leaves_virtual = !r.virtual_8086() || (inward && code.dpl() == 0);
    if (!code.is_code() || code.dpl() > r.cpl || !leaves_virtual)
        return cpu.fault(kGeneralProtection, error);
    if (!code.present())
        return cpu.fault(kSegmentNotPresent, error);
    return true;
}

// What delivery pushes, on the stack that it pushes to.
bool build_interrupt_frame(Context& cpu, const InterruptRequest& request, const Descriptor& code, u32 ext,
                           u32 return_eip, StackFrame& frame) {
    CpuState& r = cpu.regs();
    const bool inward = !code.is_conforming() && code.dpl() < r.cpl;
    if (inward) {
        if (!inner_stack(cpu, code.dpl(), ext, frame))
            return false;
        if (r.virtual_8086())
            for (const u8 segment : {kGs, kFs, kDs, kEs})
                frame.push(r.segments[segment].selector);
        frame.push(r.segments[kSs].selector);
        frame.push(r.esp());
    } else {
        frame.ss = r.segments[kSs];
        frame.esp = r.esp();
        frame.privilege = cpu.privilege();
        frame.fault_error = ext;
    }
    frame.push(request.saved_flags(r.eflags()));
    frame.push(r.segments[kCs].selector);
    frame.push(return_eip);
    if (request.has_error)
        frame.push(request.error);
    return true;
}

bool interrupt_protected(Context& cpu, const InterruptRequest& request, u32 return_eip) {
    CpuState& r = cpu.regs();
    const u32 ext = request.ext();
    Descriptor gate;
    if (!read_gate(cpu, request, gate))
        return false;
    const u16 selector = gate.target();
    if (gate.is(SystemType::TaskGate))
        return switch_task(cpu, {selector, TaskSwitch::Call, TaskName::TaskGate, return_eip, &request});

    Descriptor code;
    StackFrame frame;
    frame.size = gate.is_32bit() ? 4 : 2;
    if (!read_handler_segment(cpu, selector, ext, code) ||
        !build_interrupt_frame(cpu, request, code, ext, return_eip, frame))
        return false;
    const u32 offset = gate.offset();
    if (offset > code.limit())
        return cpu.fault(kGeneralProtection, ext);
    if (!mark_accessed(cpu, code) || !write_frame(cpu, frame))
        return false;

    const bool inward = !code.is_conforming() && code.dpl() < r.cpl;
    set_code_segment(cpu, cpu.parsed().of(selector, code), inward ? code.dpl() : r.cpl);
    r.eip = offset;
    if (inward)
        r.segments[kSs] = frame.ss;
    cpu.set_stack_pointer(frame.esp);
    if (r.virtual_8086())
        for (const u8 segment : {kGs, kFs, kDs, kEs})
            r.segments[segment] = SegmentCache{};
    r.system_flags &= ~u32{kFlagT | kFlagNt | kFlagR | kFlagVm};
    if (gate.is_any(kInterruptGates))
        r.system_flags &= ~u32{kFlagI};
    return true;
}

// SDM 2A, IRET, RETURN-TO-VIRTUAL-8086-MODE.
bool return_to_virtual_8086(Context& cpu, u32 eip, u16 cs, u32 flags) {
    CpuState& r = cpu.regs();
    std::array<u32, 6> popped{}; // esp, ss, es, ds, fs, gs
    for (u32 i = 0; i < popped.size(); ++i) {
        const auto value = cpu.peek_stack<u32>(12 + i * 4);
        if (!value.ok)
            return false;
        popped[i] = value.value;
    }
    if (eip > 0xFFFF)
        return cpu.fault(kGeneralProtection, 0);
    r.set_eflags(flags & cpu.model().eflags);
    r.segments[kCs].load_virtual_8086(cs);
    r.segments[kSs].load_virtual_8086(static_cast<u16>(popped[1]));
    r.segments[kEs].load_virtual_8086(static_cast<u16>(popped[2]));
    r.segments[kDs].load_virtual_8086(static_cast<u16>(popped[3]));
    r.segments[kFs].load_virtual_8086(static_cast<u16>(popped[4]));
    r.segments[kGs].load_virtual_8086(static_cast<u16>(popped[5]));
    r.gpr[kEsp] = popped[0];
    r.eip = eip;
    cpu.set_cpl(3);
    cpu.meter().take_path(CostPath::ReturnVirtual8086);
    return true;
}

bool interrupt_return_protected(Context& cpu, u32 size, u32 eip, u16 selector, u32 flags) {
    CpuState& r = cpu.regs();
    if (size == 4 && (flags & kFlagVm) != 0 && r.cpl == 0)
        return return_to_virtual_8086(cpu, eip, selector, flags);
    const u8 rpl = selector & 3;
    Descriptor descriptor;
    if (!read_return_segment(cpu, selector, descriptor))
        return false;
    u32 mask = kFlagsArithmetic | kFlagT | kFlagD | kFlagNt;
    if (size == 4)
        mask |= kFlagR | kFlagAc | kFlagId;
    if (r.cpl <= r.iopl())
        mask |= kFlagI;
    if (r.cpl == 0)
        mask |= kFlagIopl | (size == 4 ? kFlagVif | kFlagVip : 0);
    mask &= cpu.model().eflags;
    if (rpl == r.cpl) {
        if (!check_return_address(cpu, eip, descriptor) || !mark_accessed(cpu, descriptor))
            return false;
        cpu.set_stack_pointer(r.esp() + 3 * size);
        set_code_segment(cpu, cpu.parsed().of(selector, descriptor), rpl);
        r.eip = eip;
    } else {
        std::array<u32, 2> outer;
        if (!peek_elements(cpu, 3, size, outer))
            return false;
        // IRET alone calls an absent stack segment #NP (SDM 2A, IRET: exceptions).
        const OuterReturn to{
            eip, selector, outer[0], static_cast<u16>(outer[1]), kSegmentNotPresent, CostPath::ReturnOuter};
        if (!return_outer(cpu, to, descriptor))
            return false;
    }
    r.set_eflags((r.eflags() & ~mask) | (flags & mask));
    return true;
}

// Pops eip, cs and flags, then goes on as the mode asks.
bool interrupt_return_by_stack(Context& cpu, u32 size) {
    CpuState& r = cpu.regs();
    const bool virtual_flags = size == 2 && virtual_interrupts(r);
    if (r.virtual_8086() && r.iopl() < 3 && !virtual_flags)
        return cpu.fault(kGeneralProtection, 0);
    std::array<u32, 3> popped;
    if (!peek_elements(cpu, 0, size, popped))
        return false;
    const auto [eip, cs, flags] = popped;
    const u16 selector = static_cast<u16>(cs);
    if (r.protected_mode() && !r.virtual_8086())
        return interrupt_return_protected(cpu, size, eip, selector, flags);
    if (eip > r.segments[kCs].limit)
        return cpu.fault(kGeneralProtection, 0);
    u32 mask = kFlagsArithmetic | kFlagT | kFlagI | kFlagD | kFlagNt;
    if (!r.virtual_8086())
        mask |= kFlagIopl;
    if (size == 4)
        mask |= kFlagR | kFlagAc | kFlagId;
    if (virtual_flags) {
        if (!set_virtual_flags(r, static_cast<u16>(flags)))
            return cpu.fault(kGeneralProtection, 0);
        mask = 0;
    }
    cpu.set_stack_pointer(r.esp() + 3 * size);
    set_real_code_segment(cpu, selector);
    r.eip = eip;
    mask &= cpu.model().eflags;
    r.set_eflags((r.eflags() & ~mask) | (flags & mask));
    return true;
}

} // namespace

bool interrupt(Context& cpu, const InterruptRequest& request, u32 return_eip) {
    CpuState& r = cpu.regs();
    const u8 from_cpl = r.cpl;
    const InterruptOrigin origin{r.protected_mode(), r.virtual_8086(), from_cpl};
    cpu.meter().interrupt_begins();
    const bool done =
        r.protected_mode() ? interrupt_protected(cpu, request, return_eip) : interrupt_real(cpu, request, return_eip);
    if (!done)
        return false;
    cpu.meter().interrupt_taken(request, origin);
    cpu.attention().cancel_step();
    cpu.attention().lift_shadow();
    // So that the handler can use the debug registers (SDM 3B 17.2.4, GD).
    if (request.vector == kDebugException && request.cause != InterruptCause::Software)
        r.dr[7] &= ~kDebugRegisterAccess;
    cpu.tracer().emit(TraceKind::Interrupt, request.vector, request.has_error ? request.error : 0,
                      interrupt_source(request.cause, from_cpl), return_eip);
    return true;
}

void deliver_exception(Context& cpu) {
    CpuState& r = cpu.regs();
    PendingException exception = cpu.pending();
    cpu.meter().begin_delivery();
    for (;;) {
        cpu.meter().forget_path();
        if (exception.vector == kPageFault) {
            r.cr2 = static_cast<u32>(cpu.mmu().fault().address.value);
            cpu.mmu().drop_faulting_entry(cpu.mmu().fault().address);
        }
        cpu.meter().charge_delivery();
        const InterruptRequest request{exception.vector, InterruptCause::Fault, exception.has_error, exception.error};
        if (interrupt(cpu, request, r.eip)) {
            cpu.meter().end_delivery();
            cpu.progress().delivered();
            return;
        }
        if (exception.vector == kDoubleFault) {
            cpu.attention().shut_down();
            cpu.progress().delivered();
            cpu.tracer().emit(TraceKind::TripleFault);
            return;
        }
        if (makes_double_fault(exception.vector, cpu.pending().vector))
            exception = {kDoubleFault, true, 0};
        else
            exception = cpu.pending();
    }
}

void deliver_hardware(Context& cpu, const InterruptRequest& request) {
    cpu.meter().charge_delivery();
    if (request.cause == InterruptCause::Hardware || request.cause == InterruptCause::Nmi)
        cpu.meter().count_interrupt();
    cpu.meter().begin_delivery();
    if (interrupt(cpu, request, cpu.regs().eip))
        cpu.progress().delivered();
    else
        deliver_exception(cpu);
    cpu.meter().end_delivery();
}

void deliver_debug(Context& cpu, u32 dr6_bits) {
    cpu.regs().dr[6] |= dr6_bits;
    deliver_hardware(cpu, {kDebugException, InterruptCause::Trap});
}

bool interrupt_return(Context& cpu, u32 size, u32 next_eip) {
    CpuState& r = cpu.regs();
    const u8 from_cpl = r.cpl;
    cpu.attention().unblock_nmi(); // even if what follows faults
    const bool nested = r.protected_mode() && !r.virtual_8086() && r.flag(kFlagNt);
    bool done;
    if (nested) {
        const auto link = cpu.read_system<u16>(r.tr.base);
        done = link.ok && switch_task(cpu, {link.value, TaskSwitch::Return, TaskName::Tss, next_eip});
    } else {
        done = interrupt_return_by_stack(cpu, size);
    }
    if (!done)
        return false;
    cpu.flags_changed();
    cpu.tracer().emit(TraceKind::InterruptReturn, r.segments[kCs].base + r.eip, from_cpl, r.cpl);
    return true;
}

} // namespace forkscope::protection
