#include "cpu/protection/transfers.hpp"

#include "cpu/protection/segments.hpp"
#include "cpu/protection/stack_frame.hpp"
#include "cpu/protection/task_switch.hpp"

namespace forkscope::protection {

namespace {

// The checks that a direct far transfer makes on its code segment.
bool transfer_to_code(Context& cpu, u16 selector, u32 offset, Descriptor& descriptor) {
    CpuState& r = cpu.regs();
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    const bool allowed =
        descriptor.is_conforming() ? descriptor.dpl() <= r.cpl : rpl <= r.cpl && descriptor.dpl() == r.cpl;
    if (!allowed)
        return cpu.fault(kGeneralProtection, error);
    if (!descriptor.present())
        return cpu.fault(kSegmentNotPresent, error);
    const SegmentCache& cache = cpu.parsed().of(selector, descriptor);
    if (offset > cache.limit)
        return cpu.fault(kGeneralProtection, 0);
    return mark_accessed(cpu, descriptor);
}

// Parameters are copied from the caller's stack, the first pushed lands highest.
bool copy_parameters(Context& cpu, u32 count, StackFrame& frame) {
    CpuState& r = cpu.regs();
    for (u32 i = count; i-- > 0;) {
        const u32 at = (r.esp() + i * frame.size) & cpu.stack_mask();
        const auto wide = frame.size == 4 ? cpu.read<u32>(kSs, at) : Access<u32>{};
        const auto narrow = frame.size == 4 ? Access<u16>{} : cpu.read<u16>(kSs, at);
        if (!wide.ok || !narrow.ok)
            return false;
        frame.push(frame.size == 4 ? wide.value : narrow.value);
    }
    return true;
}

bool transfer_by_call_gate(Context& cpu, const Descriptor& gate, FarTransfer kind, u32 return_eip) {
    CpuState& r = cpu.regs();
    const u16 target = gate.target();
    const u32 error = target & 0xFFFCu;
    if (error == 0)
        return cpu.fault(kGeneralProtection, 0);
    Descriptor code;
    if (!read_descriptor(cpu, target, kGeneralProtection, 0, code))
        return false;
    const bool call = kind == FarTransfer::Call;
    const bool inward = call && !code.is_conforming() && code.dpl() < r.cpl;
    const bool allowed = code.is_code() && code.dpl() <= r.cpl && (call || code.is_conforming() || code.dpl() == r.cpl);
    if (!allowed)
        return cpu.fault(kGeneralProtection, error);
    if (!code.present())
        return cpu.fault(kSegmentNotPresent, error);
    StackFrame frame;
    frame.size = gate.is_32bit() ? 4 : 2;
    if (inward) {
        if (!inner_stack(cpu, code.dpl(), 0, frame))
            return false;
        frame.push(r.segments[kSs].selector);
        frame.push(r.esp());
        if (!copy_parameters(cpu, gate.parameters(), frame))
            return false;
    } else if (call) {
        frame.ss = r.segments[kSs];
        frame.esp = r.esp();
        frame.privilege = cpu.privilege();
    }
    const u32 offset = gate.offset();
    if (offset > code.limit())
        return cpu.fault(kGeneralProtection, 0);
    if (call) {
        frame.push(r.segments[kCs].selector);
        frame.push(return_eip);
    }
    if (!mark_accessed(cpu, code) || !write_frame(cpu, frame))
        return false;
    set_code_segment(cpu, cpu.parsed().of(target, code), inward ? code.dpl() : r.cpl);
    if (inward)
        r.segments[kSs] = frame.ss;
    if (call)
        cpu.set_stack_pointer(frame.esp);
    r.eip = offset;
    cpu.meter().charge_call_gate(kind, inward ? Ring::Inner : Ring::Same, gate.parameters());
    return true;
}

// JMP or CALL whose selector names a call gate, a task gate or a TSS.
bool transfer_by_gate(Context& cpu, const Descriptor& gate, u16 selector, FarTransfer kind, u32 return_eip) {
    CpuState& r = cpu.regs();
    const u32 gate_error = selector & 0xFFFCu;
    const bool is_tss = gate.is_any(kAvailableTss);
    const bool is_task_gate = gate.is(SystemType::TaskGate);
    const bool is_call_gate = gate.is_any(kCallGates);
    if ((!is_tss && !is_task_gate && !is_call_gate) || gate.dpl() < r.cpl || gate.dpl() < (selector & 3))
        return cpu.fault(kGeneralProtection, gate_error);
    if (!gate.present())
        return cpu.fault(kSegmentNotPresent, gate_error);
    if (is_call_gate)
        return transfer_by_call_gate(cpu, gate, kind, return_eip);
    const TaskSwitch how = kind == FarTransfer::Call ? TaskSwitch::Call : TaskSwitch::Jump;
    return is_tss ? switch_task(cpu, {selector, how, TaskName::Tss, return_eip})
                  : switch_task(cpu, {gate.target(), how, TaskName::TaskGate, return_eip});
}

// The stack segment that an outer return names.
bool read_outer_stack(Context& cpu, u16 selector, u8 cpl, u8 absent, SegmentCache& ss) {
    const u32 error = selector & 0xFFFCu;
    if (error == 0)
        return cpu.fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    if ((selector & 3) != cpl || !descriptor.is_writable_data() || descriptor.dpl() != cpl)
        return cpu.fault(kGeneralProtection, error);
    if (!descriptor.present())
        return cpu.fault(absent, error);
    if (!mark_accessed(cpu, descriptor))
        return false;
    ss = cpu.parsed().of(selector, descriptor);
    return true;
}

// After a return outwards, data segments that the outer ring may not use become null.
void drop_inaccessible_segments(Context& cpu) {
    CpuState& r = cpu.regs();
    for (const u8 segment : {kEs, kDs, kFs, kGs}) {
        SegmentCache& cache = r.segments[segment];
        if (cache.valid && !cache.conforming() && cache.dpl() < r.cpl)
            cache = SegmentCache{};
    }
}

} // namespace

bool far_jump(Context& cpu, u16 selector, u32 offset, u32 size, u32 next_eip) {
    CpuState& r = cpu.regs();
    if (size == 2)
        offset &= 0xFFFF;
    if (!r.protected_mode() || r.virtual_8086()) {
        if (offset > r.segments[kCs].limit)
            return cpu.fault(kGeneralProtection, 0);
        set_real_code_segment(cpu, selector);
        r.eip = offset;
        return true;
    }
    if ((selector & 0xFFFC) == 0)
        return cpu.fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    if (descriptor.is_code()) {
        if (!transfer_to_code(cpu, selector, offset, descriptor))
            return false;
        set_code_segment(cpu, cpu.parsed().of(selector, descriptor), r.cpl);
        r.eip = offset;
        return true;
    }
    return transfer_by_gate(cpu, descriptor, selector, FarTransfer::Jump, next_eip);
}

bool far_call(Context& cpu, u16 selector, u32 offset, u32 size, u32 return_eip) {
    CpuState& r = cpu.regs();
    if (size == 2)
        offset &= 0xFFFF;
    StackFrame frame = present_stack(cpu, size);
    frame.push(r.segments[kCs].selector);
    frame.push(return_eip);
    if (!r.protected_mode() || r.virtual_8086()) {
        if (offset > r.segments[kCs].limit)
            return cpu.fault(kGeneralProtection, 0);
        if (!write_frame(cpu, frame))
            return false;
        cpu.set_stack_pointer(frame.esp);
        set_real_code_segment(cpu, selector);
        r.eip = offset;
        return true;
    }
    if ((selector & 0xFFFC) == 0)
        return cpu.fault(kGeneralProtection, 0);
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is_code())
        return transfer_by_gate(cpu, descriptor, selector, FarTransfer::Call, return_eip);
    if (!transfer_to_code(cpu, selector, offset, descriptor) || !write_frame(cpu, frame))
        return false;
    cpu.set_stack_pointer(frame.esp);
    set_code_segment(cpu, cpu.parsed().of(selector, descriptor), r.cpl);
    r.eip = offset;
    return true;
}

bool read_return_segment(Context& cpu, u16 selector, Descriptor& descriptor) {
    CpuState& r = cpu.regs();
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    if (error == 0)
        return cpu.fault(kGeneralProtection, 0);
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    const bool allowed = descriptor.is_code() && rpl >= r.cpl &&
                         (descriptor.is_conforming() ? descriptor.dpl() <= rpl : descriptor.dpl() == rpl);
    if (!allowed)
        return cpu.fault(kGeneralProtection, error);
    if (!descriptor.present())
        return cpu.fault(kSegmentNotPresent, error);
    return true;
}

bool check_return_address(Context& cpu, u32 eip, const Descriptor& descriptor) {
    if (eip <= descriptor.limit())
        return true;
    return cpu.fault(kGeneralProtection, 0);
}

// The return address is checked last (SDM 2B, RET: RETURN-TO-OUTER-PRIVILEGE-LEVEL).
bool return_outer(Context& cpu, const OuterReturn& to, Descriptor& code) {
    CpuState& r = cpu.regs();
    SegmentCache ss;
    const u8 cpl = to.selector & 3;
    if (!read_outer_stack(cpu, to.ss, cpl, to.absent_stack, ss) || !check_return_address(cpu, to.eip, code) ||
        !mark_accessed(cpu, code))
        return false;
    set_code_segment(cpu, cpu.parsed().of(to.selector, code), cpl);
    r.eip = to.eip;
    r.segments[kSs] = ss;
    cpu.set_stack_pointer(to.esp);
    drop_inaccessible_segments(cpu);
    cpu.meter().take_whole_path(to.path);
    return true;
}

bool far_return(Context& cpu, u32 size, u32 release) {
    CpuState& r = cpu.regs();
    const auto eip = peek_element(cpu, 0, size);
    if (!eip.ok)
        return false;
    const auto cs = peek_element(cpu, 1, size);
    if (!cs.ok)
        return false;
    const u16 selector = static_cast<u16>(cs.value);
    if (!r.protected_mode() || r.virtual_8086()) {
        if (eip.value > r.segments[kCs].limit)
            return cpu.fault(kGeneralProtection, 0);
        cpu.set_stack_pointer(r.esp() + 2 * size + release);
        set_real_code_segment(cpu, selector);
        r.eip = eip.value;
        return true;
    }
    Descriptor descriptor;
    if (!read_return_segment(cpu, selector, descriptor))
        return false;
    if ((selector & 3) == r.cpl) {
        if (!check_return_address(cpu, eip.value, descriptor) || !mark_accessed(cpu, descriptor))
            return false;
        cpu.set_stack_pointer(r.esp() + 2 * size + release);
        set_code_segment(cpu, cpu.parsed().of(selector, descriptor), r.cpl);
        r.eip = eip.value;
        return true;
    }
    const auto esp = peek_element(cpu, 2, size, release);
    if (!esp.ok)
        return false;
    const auto ss = peek_element(cpu, 3, size, release);
    if (!ss.ok)
        return false;
    return return_outer(
        cpu,
        {eip.value, selector, esp.value + release, static_cast<u16>(ss.value), kStackFault, CostPath::ReturnFarOuter},
        descriptor);
}

} // namespace forkscope::protection
