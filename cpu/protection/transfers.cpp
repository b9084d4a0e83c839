// Far jumps, calls and returns (SDM 2: JMP, CALL, RET; SDM 3A 5.8).
#include "cpu/cpu.hpp"

namespace forkscope {

// Checks limits and pages of the whole frame before the first store, so that a fault leaves nothing behind.
bool Cpu::write_frame(StackFrame& frame) {
    const u32 mask = frame.ss.big ? 0xFFFFFFFFu : 0xFFFFu;
    for (u32 i = 1; i <= frame.count; ++i) {
        const u32 at = (frame.esp - i * frame.size) & mask;
        if (!frame.ss.may_write(at, frame.size))
            return fault(kStackFault, frame.fault_error);
        if (!mmu_.probe_write(LinearAddress(frame.ss.base + at), frame.size, frame.privilege).ok)
            return page_fault();
    }
    for (u32 i = 1; i <= frame.count; ++i) {
        const LinearAddress at(frame.ss.base + ((frame.esp - i * frame.size) & mask));
        const u32 value = frame.values[i - 1];
        const auto stored = frame.size == 4 ? mmu_.store<u32>(at, value, frame.privilege)
                                            : mmu_.store<u16>(at, static_cast<u16>(value), frame.privilege);
        EMU_ASSERT(stored.ok, "a probed stack frame at {:#x} could not be stored", at.value);
    }
    const u32 bottom = frame.esp - frame.count * frame.size;
    frame.esp = frame.ss.big ? bottom : (frame.esp & 0xFFFF0000u) | (bottom & 0xFFFF);
    return true;
}

bool Cpu::inner_stack(u8 ring, u32 ext, StackFrame& frame) {
    const SegmentCache& tr = state_.tr;
    const bool wide = (tr.access & 8) != 0;
    const u32 at = wide ? 4 + 8u * ring : 2 + 4u * ring;
    if (at + (wide ? 5 : 3) > tr.limit)
        return fault(kInvalidTss, (tr.selector & 0xFFFCu) | ext);
    u16 selector;
    if (wide) {
        const auto esp = read_system<u32>(tr.base + at);
        if (!esp.ok)
            return false;
        frame.esp = esp.value;
    } else {
        const auto sp = read_system<u16>(tr.base + at);
        if (!sp.ok)
            return false;
        frame.esp = sp.value;
    }
    const auto ss = read_system<u16>(tr.base + at + (wide ? 4 : 2));
    if (!ss.ok)
        return false;
    selector = ss.value;
    const u32 error = (selector & 0xFFFCu) | ext;
    if ((selector & 0xFFFC) == 0)
        return fault(kInvalidTss, ext);
    Descriptor descriptor;
    if (!read_descriptor(selector, kInvalidTss, ext, descriptor))
        return false;
    if ((selector & 3) != ring || descriptor.dpl() != ring || !descriptor.is_writable_data())
        return fault(kInvalidTss, error);
    if (!descriptor.present())
        return fault(kStackFault, error);
    if (!mark_accessed(descriptor))
        return false;
    frame.ss = SegmentCache::from(selector, descriptor);
    frame.privilege = ring == 3 ? Privilege::User : Privilege::Supervisor;
    frame.fault_error = error;
    return true;
}

// The checks that a direct far transfer makes on its code segment.
bool Cpu::transfer_to_code(u16 selector, u32 offset, Descriptor& descriptor) {
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    const bool allowed = descriptor.is_conforming() ? descriptor.dpl() <= state_.cpl
                                                    : rpl <= state_.cpl && descriptor.dpl() == state_.cpl;
    if (!allowed)
        return fault(kGeneralProtection, error);
    if (!descriptor.present())
        return fault(kSegmentNotPresent, error);
    const SegmentCache cache = SegmentCache::from(selector, descriptor);
    if (offset > cache.limit)
        return fault(kGeneralProtection, 0);
    return mark_accessed(descriptor);
}

bool Cpu::far_jump(u16 selector, u32 offset, u32 size, u32 next_eip) {
    if (size == 2)
        offset &= 0xFFFF;
    if (!state_.protected_mode() || state_.virtual_8086()) {
        if (offset > state_.segments[kCs].limit)
            return fault(kGeneralProtection, 0);
        set_real_code_segment(selector);
        state_.eip = offset;
        return true;
    }
    if ((selector & 0xFFFC) == 0)
        return fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    if (descriptor.is_code()) {
        if (!transfer_to_code(selector, offset, descriptor))
            return false;
        set_code_segment(SegmentCache::from(selector, descriptor), state_.cpl);
        state_.eip = offset;
        return true;
    }
    return transfer_by_gate(descriptor, selector, FarTransfer::Jump, next_eip);
}

bool Cpu::far_call(u16 selector, u32 offset, u32 size, u32 return_eip) {
    if (size == 2)
        offset &= 0xFFFF;
    StackFrame frame;
    frame.ss = state_.segments[kSs];
    frame.esp = state_.esp();
    frame.privilege = privilege_;
    frame.size = size;
    frame.push(state_.segments[kCs].selector);
    frame.push(return_eip);
    if (!state_.protected_mode() || state_.virtual_8086()) {
        if (offset > state_.segments[kCs].limit)
            return fault(kGeneralProtection, 0);
        if (!write_frame(frame))
            return false;
        set_stack_pointer(frame.esp);
        set_real_code_segment(selector);
        state_.eip = offset;
        return true;
    }
    if ((selector & 0xFFFC) == 0)
        return fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is_code())
        return transfer_by_gate(descriptor, selector, FarTransfer::Call, return_eip);
    if (!transfer_to_code(selector, offset, descriptor) || !write_frame(frame))
        return false;
    set_stack_pointer(frame.esp);
    set_code_segment(SegmentCache::from(selector, descriptor), state_.cpl);
    state_.eip = offset;
    return true;
}

// JMP or CALL whose selector names a call gate, a task gate or a TSS.
bool Cpu::transfer_by_gate(const Descriptor& gate, u16 selector, FarTransfer kind, u32 return_eip) {
    const u32 gate_error = selector & 0xFFFCu;
    const bool is_tss = gate.is_any(kAvailableTss);
    const bool is_task_gate = gate.is(SystemType::TaskGate);
    const bool is_call_gate = gate.is_any(kCallGates);
    if ((!is_tss && !is_task_gate && !is_call_gate) || gate.dpl() < state_.cpl || gate.dpl() < (selector & 3))
        return fault(kGeneralProtection, gate_error);
    if (!gate.present())
        return fault(kSegmentNotPresent, gate_error);
    if (is_call_gate)
        return transfer_by_call_gate(gate, kind, return_eip);
    const TaskSwitch how = kind == FarTransfer::Call ? TaskSwitch::Call : TaskSwitch::Jump;
    return is_tss ? switch_task(selector, how, return_eip)
                  : switch_task(gate.target(), how, return_eip, nullptr, TaskName::TaskGate);
}

// Parameters are copied from the caller's stack, the first pushed lands highest.
bool Cpu::copy_parameters(u32 count, StackFrame& frame) {
    for (u32 i = count; i-- > 0;) {
        const u32 at = (state_.esp() + i * frame.size) & stack_mask();
        const auto wide = frame.size == 4 ? read<u32>(kSs, at) : Access<u32>{};
        const auto narrow = frame.size == 4 ? Access<u16>{} : read<u16>(kSs, at);
        if (!wide.ok || !narrow.ok)
            return false;
        frame.push(frame.size == 4 ? wide.value : narrow.value);
    }
    return true;
}

bool Cpu::transfer_by_call_gate(const Descriptor& gate, FarTransfer kind, u32 return_eip) {
    const u16 target = gate.target();
    const u32 error = target & 0xFFFCu;
    if (error == 0)
        return fault(kGeneralProtection, 0);
    Descriptor code;
    if (!read_descriptor(target, kGeneralProtection, 0, code))
        return false;
    const bool call = kind == FarTransfer::Call;
    const bool inward = call && !code.is_conforming() && code.dpl() < state_.cpl;
    const bool allowed =
        code.is_code() && code.dpl() <= state_.cpl && (call || code.is_conforming() || code.dpl() == state_.cpl);
    if (!allowed)
        return fault(kGeneralProtection, error);
    if (!code.present())
        return fault(kSegmentNotPresent, error);
    StackFrame frame;
    frame.size = gate.is_32bit() ? 4 : 2;
    if (inward) {
        if (!inner_stack(code.dpl(), 0, frame))
            return false;
        frame.push(state_.segments[kSs].selector);
        frame.push(state_.esp());
        if (!copy_parameters(gate.parameters(), frame))
            return false;
    } else if (call) {
        frame.ss = state_.segments[kSs];
        frame.esp = state_.esp();
        frame.privilege = privilege_;
    }
    const u32 offset = gate.offset();
    if (offset > code.limit())
        return fault(kGeneralProtection, 0);
    if (call) {
        frame.push(state_.segments[kCs].selector);
        frame.push(return_eip);
    }
    if (!mark_accessed(code) || !write_frame(frame))
        return false;
    set_code_segment(SegmentCache::from(target, code), inward ? code.dpl() : state_.cpl);
    if (inward)
        state_.segments[kSs] = frame.ss;
    if (call)
        set_stack_pointer(frame.esp);
    state_.eip = offset;
    charge_call_gate(kind, inward ? Ring::Inner : Ring::Same, gate.parameters());
    return true;
}

// The stack segment that an outer return names.
bool Cpu::read_outer_stack(u16 selector, u8 cpl, u8 absent, SegmentCache& ss) {
    const u32 error = selector & 0xFFFCu;
    if (error == 0)
        return fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    if ((selector & 3) != cpl || !descriptor.is_writable_data() || descriptor.dpl() != cpl)
        return fault(kGeneralProtection, error);
    if (!descriptor.present())
        return fault(absent, error);
    if (!mark_accessed(descriptor))
        return false;
    ss = SegmentCache::from(selector, descriptor);
    return true;
}

// After a return outwards, data segments that the outer ring may not use become null.
void Cpu::drop_inaccessible_segments() {
    for (const u8 segment : {kEs, kDs, kFs, kGs}) {
        SegmentCache& cache = state_.segments[segment];
        if (cache.valid && !cache.conforming() && cache.dpl() < state_.cpl)
            cache = SegmentCache{};
    }
}

// The return address is checked last (SDM 2B, RET: RETURN-TO-OUTER-PRIVILEGE-LEVEL).
bool Cpu::return_outer(u32 eip, u16 selector, Descriptor& descriptor, u32 new_esp, u16 new_ss, u8 absent) {
    SegmentCache ss;
    const u8 cpl = selector & 3;
    if (!read_outer_stack(new_ss, cpl, absent, ss) || !check_return_address(eip, descriptor) ||
        !mark_accessed(descriptor))
        return false;
    set_code_segment(SegmentCache::from(selector, descriptor), cpl);
    state_.eip = eip;
    state_.segments[kSs] = ss;
    set_stack_pointer(new_esp);
    drop_inaccessible_segments();
    const bool interrupt = form_at(current_->form).transfer == Transfer::InterruptReturn;
    take_whole_path(interrupt ? CostPath::ReturnOuter : CostPath::ReturnFarOuter);
    return true;
}

// The code segment that a far return or IRET names, at the same or an outer ring.
bool Cpu::read_return_segment(u16 selector, Descriptor& descriptor) {
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    if (error == 0)
        return fault(kGeneralProtection, 0);
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    const bool allowed = descriptor.is_code() && rpl >= state_.cpl &&
                         (descriptor.is_conforming() ? descriptor.dpl() <= rpl : descriptor.dpl() == rpl);
    if (!allowed)
        return fault(kGeneralProtection, error);
    if (!descriptor.present())
        return fault(kSegmentNotPresent, error);
    return true;
}

bool Cpu::check_return_address(u32 eip, const Descriptor& descriptor) {
    if (eip <= descriptor.limit())
        return true;
    return fault(kGeneralProtection, 0);
}

// An element of the stack, `size` bytes, zero-extended.
Access<u32> Cpu::peek_element(u32 index, u32 size, u32 skipped) {
    if (size == 4)
        return peek_stack<u32>(index * 4 + skipped);
    const auto word = peek_stack<u16>(index * 2 + skipped);
    return {word.value, word.ok};
}

bool Cpu::far_return(u32 size, u32 release) {
    const auto eip = peek_element(0, size);
    if (!eip.ok)
        return false;
    const auto cs = peek_element(1, size);
    if (!cs.ok)
        return false;
    const u16 selector = static_cast<u16>(cs.value);
    if (!state_.protected_mode() || state_.virtual_8086()) {
        if (eip.value > state_.segments[kCs].limit)
            return fault(kGeneralProtection, 0);
        set_stack_pointer(state_.esp() + 2 * size + release);
        set_real_code_segment(selector);
        state_.eip = eip.value;
        return true;
    }
    Descriptor descriptor;
    if (!read_return_segment(selector, descriptor))
        return false;
    if ((selector & 3) == state_.cpl) {
        if (!check_return_address(eip.value, descriptor) || !mark_accessed(descriptor))
            return false;
        set_stack_pointer(state_.esp() + 2 * size + release);
        set_code_segment(SegmentCache::from(selector, descriptor), state_.cpl);
        state_.eip = eip.value;
        return true;
    }
    const auto esp = peek_element(2, size, release);
    if (!esp.ok)
        return false;
    const auto ss = peek_element(3, size, release);
    if (!ss.ok)
        return false;
    return return_outer(eip.value, selector, descriptor, esp.value + release, static_cast<u16>(ss.value), kStackFault);
}

} // namespace forkscope
