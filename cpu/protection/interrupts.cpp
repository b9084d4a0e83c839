// Delivery of exceptions and interrupts, and the return from them (SDM 3A chapter 6).
#include "cpu/cpu.hpp"

namespace forkscope {

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

} // namespace

// Delivers the recorded exception at the present eip; on trouble the double fault, then shutdown.
void Cpu::deliver_exception() {
    PendingException exception = pending_;
    pipeline_ = {};
    for (;;) {
        path_taken_ = PathTaken::No;
        if (exception.vector == kPageFault) {
            state_.cr2 = static_cast<u32>(mmu_.fault().address.value);
            mmu_.drop_faulting_entry(mmu_.fault().address);
        }
        charge(cost_model_.delivery(), CycleCause::Delivery);
        const InterruptRequest request{exception.vector, InterruptCause::Fault, exception.has_error, exception.error};
        if (interrupt(request, state_.eip)) {
            pipeline_ = cost_model_.behind_delivery(linear_eip());
            path_taken_ = PathTaken::No; // that was the delivery's; the handler's first instruction has its own
            return;
        }
        if (exception.vector == kDoubleFault) {
            shut_down_now();
            return;
        }
        if (makes_double_fault(exception.vector, pending_.vector))
            exception = {kDoubleFault, true, 0};
        else
            exception = pending_;
    }
}

bool Cpu::interrupt(const InterruptRequest& request, u32 return_eip) {
    const u8 from_cpl = state_.cpl;
    const InterruptOrigin origin{state_.protected_mode(), state_.virtual_8086(), from_cpl};
    repeating_ = false;
    const bool done =
        state_.protected_mode() ? interrupt_protected(request, return_eip) : interrupt_real(request, return_eip);
    if (!done)
        return false;
    charge_interrupt(request, origin);
    step_trap_ = false;
    shadow_until_ = 0;
    // So that the handler can use the debug registers (SDM 3B 17.2.4, GD).
    if (request.vector == kDebugException && request.cause != InterruptCause::Software)
        state_.dr[7] &= ~kDebugRegisterAccess;
    tracer_.emit(TraceKind::Interrupt, request.vector, request.has_error ? request.error : 0,
                 interrupt_source(request.cause, from_cpl), return_eip);
    return true;
}

bool Cpu::interrupt_real(const InterruptRequest& request, u32 return_eip) {
    const u32 at = request.vector * 4u;
    if (at + 3 > state_.idtr.limit)
        return fault(request.vector == kGeneralProtection || request.vector == kDoubleFault ? kDoubleFault
                                                                                            : kGeneralProtection);
    const auto entry = read_system<u32>(state_.idtr.base + at);
    if (!entry.ok)
        return false;
    StackFrame frame;
    frame.ss = state_.segments[kSs];
    frame.esp = state_.esp();
    frame.size = 2;
    frame.push(state_.eflags());
    frame.push(state_.segments[kCs].selector);
    frame.push(return_eip);
    if (!write_frame(frame))
        return false;
    set_stack_pointer(frame.esp);
    state_.system_flags &= ~u32{kFlagI | kFlagT | kFlagAc};
    set_real_code_segment(static_cast<u16>(entry.value >> 16));
    state_.eip = entry.value & 0xFFFF;
    return true;
}

// The vector's gate, with every check on the gate itself.
bool Cpu::read_gate(const InterruptRequest& request, Descriptor& gate) {
    const bool software = request.cause == InterruptCause::Software;
    const u32 error = request.vector * 8u + 2 + request.ext();
    const u32 at = request.vector * 8u;
    if (at + 7 > state_.idtr.limit)
        return fault(kGeneralProtection, error);
    gate.address = LinearAddress(state_.idtr.base + at);
    const auto low = read_system<u32>(state_.idtr.base + at);
    if (!low.ok)
        return false;
    const auto high = read_system<u32>(state_.idtr.base + at + 4);
    if (!high.ok)
        return false;
    gate.bits = u64{high.value} << 32 | low.value;
    const bool is_gate = gate.is_any(kInterruptGates) || gate.is_any(kTrapGates) || gate.is(SystemType::TaskGate);
    if (!is_gate || (software && gate.dpl() < state_.cpl))
        return fault(kGeneralProtection, error);
    if (!gate.present())
        return fault(kSegmentNotPresent, error);
    return true;
}

// The handler's code segment, with every check that does not need the stack.
bool Cpu::read_handler_segment(u16 selector, u32 ext, Descriptor& code) {
    if ((selector & 0xFFFC) == 0)
        return fault(kGeneralProtection, ext);
    const u32 error = (selector & 0xFFFCu) | ext;
    if (!read_descriptor(selector, kGeneralProtection, ext, code))
        return false;
    const bool inward = !code.is_conforming() && code.dpl() < state_.cpl;
    const bool leaves_virtual = !state_.virtual_8086() || (inward && code.dpl() == 0);
    if (!code.is_code() || code.dpl() > state_.cpl || !leaves_virtual)
        return fault(kGeneralProtection, error);
    if (!code.present())
        return fault(kSegmentNotPresent, error);
    return true;
}

// What delivery pushes, on the stack that it pushes to.
bool Cpu::build_interrupt_frame(const InterruptRequest& request, const Descriptor& code, u32 ext, u32 return_eip,
                                StackFrame& frame) {
    const bool inward = !code.is_conforming() && code.dpl() < state_.cpl;
    if (inward) {
        if (!inner_stack(code.dpl(), ext, frame))
            return false;
        if (state_.virtual_8086())
            for (const u8 segment : {kGs, kFs, kDs, kEs})
                frame.push(state_.segments[segment].selector);
        frame.push(state_.segments[kSs].selector);
        frame.push(state_.esp());
    } else {
        frame.ss = state_.segments[kSs];
        frame.esp = state_.esp();
        frame.privilege = privilege_;
        frame.fault_error = ext;
    }
    frame.push(request.saved_flags(state_.eflags()));
    frame.push(state_.segments[kCs].selector);
    frame.push(return_eip);
    if (request.has_error)
        frame.push(request.error);
    return true;
}

bool Cpu::interrupt_protected(const InterruptRequest& request, u32 return_eip) {
    const u32 ext = request.ext();
    Descriptor gate;
    if (!read_gate(request, gate))
        return false;
    const u16 selector = gate.target();
    if (gate.is(SystemType::TaskGate))
        return switch_task(selector, TaskSwitch::Call, return_eip, &request);

    Descriptor code;
    StackFrame frame;
    frame.size = gate.is_32bit() ? 4 : 2;
    if (!read_handler_segment(selector, ext, code) || !build_interrupt_frame(request, code, ext, return_eip, frame))
        return false;
    const u32 offset = gate.offset();
    if (offset > code.limit())
        return fault(kGeneralProtection, ext);
    if (!mark_accessed(code) || !write_frame(frame))
        return false;

    const bool inward = !code.is_conforming() && code.dpl() < state_.cpl;
    set_code_segment(SegmentCache::from(selector, code), inward ? code.dpl() : state_.cpl);
    state_.eip = offset;
    if (inward)
        state_.segments[kSs] = frame.ss;
    set_stack_pointer(frame.esp);
    if (state_.virtual_8086())
        for (const u8 segment : {kGs, kFs, kDs, kEs})
            state_.segments[segment] = SegmentCache{};
    state_.system_flags &= ~u32{kFlagT | kFlagNt | kFlagR | kFlagVm};
    if (gate.is_any(kInterruptGates))
        state_.system_flags &= ~u32{kFlagI};
    return true;
}

bool Cpu::interrupt_return(u32 size, u32 next_eip) {
    const u8 from_cpl = state_.cpl;
    nmi_blocked_ = false; // even if what follows faults
    const bool nested = state_.protected_mode() && !state_.virtual_8086() && state_.flag(kFlagNt);
    bool done;
    if (nested) {
        const auto link = read_system<u16>(state_.tr.base);
        done = link.ok && switch_task(link.value, TaskSwitch::Return, next_eip);
    } else {
        done = interrupt_return_by_stack(size);
    }
    if (!done)
        return false;
    flags_changed();
    tracer_.emit(TraceKind::InterruptReturn, state_.segments[kCs].base + state_.eip, from_cpl, state_.cpl);
    return true;
}

// Pops eip, cs and flags, then goes on as the mode asks.
bool Cpu::interrupt_return_by_stack(u32 size) {
    const bool virtual_flags = size == 2 && virtual_interrupts();
    if (state_.virtual_8086() && state_.iopl() < 3 && !virtual_flags)
        return fault(kGeneralProtection, 0);
    std::array<u32, 3> popped{};
    for (u32 i = 0; i < 3; ++i) {
        const auto element = peek_element(i, size);
        if (!element.ok)
            return false;
        popped[i] = element.value;
    }
    const auto [eip, cs, flags] = popped;
    const u16 selector = static_cast<u16>(cs);
    if (state_.protected_mode() && !state_.virtual_8086())
        return interrupt_return_protected(size, eip, selector, flags);
    if (eip > state_.segments[kCs].limit)
        return fault(kGeneralProtection, 0);
    u32 mask = kFlagsArithmetic | kFlagT | kFlagI | kFlagD | kFlagNt;
    if (!state_.virtual_8086())
        mask |= kFlagIopl;
    if (size == 4)
        mask |= kFlagR | kFlagAc | kFlagId;
    if (virtual_flags) {
        if (!set_virtual_flags(static_cast<u16>(flags)))
            return fault(kGeneralProtection, 0);
        mask = 0;
    }
    set_stack_pointer(state_.esp() + 3 * size);
    set_real_code_segment(selector);
    state_.eip = eip;
    mask &= model_->eflags;
    state_.set_eflags((state_.eflags() & ~mask) | (flags & mask));
    return true;
}

bool Cpu::interrupt_return_protected(u32 size, u32 eip, u16 selector, u32 flags) {
    if (size == 4 && (flags & kFlagVm) != 0 && state_.cpl == 0)
        return return_to_virtual_8086(eip, selector, flags);
    const u8 rpl = selector & 3;
    Descriptor descriptor;
    if (!read_return_segment(selector, descriptor))
        return false;
    u32 mask = kFlagsArithmetic | kFlagT | kFlagD | kFlagNt;
    if (size == 4)
        mask |= kFlagR | kFlagAc | kFlagId;
    if (state_.cpl <= state_.iopl())
        mask |= kFlagI;
    if (state_.cpl == 0)
        mask |= kFlagIopl | (size == 4 ? kFlagVif | kFlagVip : 0);
    mask &= model_->eflags;
    if (rpl == state_.cpl) {
        if (!check_return_address(eip, descriptor) || !mark_accessed(descriptor))
            return false;
        set_stack_pointer(state_.esp() + 3 * size);
        set_code_segment(SegmentCache::from(selector, descriptor), rpl);
        state_.eip = eip;
    } else {
        const auto esp = peek_element(3, size);
        if (!esp.ok)
            return false;
        const auto ss = peek_element(4, size);
        if (!ss.ok)
            return false;
        // IRET alone calls an absent stack segment #NP (SDM 2A, IRET: exceptions).
        if (!return_outer(eip, selector, descriptor, esp.value, static_cast<u16>(ss.value), kSegmentNotPresent))
            return false;
    }
    state_.set_eflags((state_.eflags() & ~mask) | (flags & mask));
    return true;
}

// SDM 2A, IRET, RETURN-TO-VIRTUAL-8086-MODE.
bool Cpu::return_to_virtual_8086(u32 eip, u16 cs, u32 flags) {
    std::array<u32, 6> popped{}; // esp, ss, es, ds, fs, gs
    for (u32 i = 0; i < popped.size(); ++i) {
        const auto value = peek_stack<u32>(12 + i * 4);
        if (!value.ok)
            return false;
        popped[i] = value.value;
    }
    if (eip > 0xFFFF)
        return fault(kGeneralProtection, 0);
    state_.set_eflags(flags & model_->eflags);
    enter_virtual_segment(kCs, cs);
    enter_virtual_segment(kSs, static_cast<u16>(popped[1]));
    enter_virtual_segment(kEs, static_cast<u16>(popped[2]));
    enter_virtual_segment(kDs, static_cast<u16>(popped[3]));
    enter_virtual_segment(kFs, static_cast<u16>(popped[4]));
    enter_virtual_segment(kGs, static_cast<u16>(popped[5]));
    state_.gpr[kEsp] = popped[0];
    state_.eip = eip;
    set_cpl(3);
    take_path(CostPath::ReturnVirtual8086);
    return true;
}

} // namespace forkscope
