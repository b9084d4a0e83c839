#include "cpu/protection/stack_frame.hpp"

#include "cpu/protection/segments.hpp"

namespace forkscope::protection {

bool write_frame(Context& cpu, StackFrame& frame) {
    const u32 mask = frame.ss.big ? 0xFFFFFFFFu : 0xFFFFu;
    for (u32 i = 1; i <= frame.count; ++i) {
        const u32 at = (frame.esp - i * frame.size) & mask;
        if (!frame.ss.may_write(at, frame.size))
            return cpu.fault(kStackFault, frame.fault_error);
        if (!cpu.mmu().probe_write(LinearAddress(frame.ss.base + at), frame.size, frame.privilege).ok)
            return cpu.page_fault();
    }
    for (u32 i = 1; i <= frame.count; ++i) {
        const LinearAddress at(frame.ss.base + ((frame.esp - i * frame.size) & mask));
        const u32 value = frame.values[i - 1];
        const auto stored = frame.size == 4 ? cpu.mmu().store<u32>(at, value, frame.privilege)
                                            : cpu.mmu().store<u16>(at, static_cast<u16>(value), frame.privilege);
        EMU_ASSERT(stored.ok, "a probed stack frame at {:#x} could not be stored", at.value);
    }
    const u32 bottom = frame.esp - frame.count * frame.size;
    frame.esp = frame.ss.big ? bottom : (frame.esp & 0xFFFF0000u) | (bottom & 0xFFFF);
    return true;
}

StackFrame present_stack(const Context& cpu, u32 size) {
    StackFrame frame;
    frame.ss = cpu.state().segments[kSs];
    frame.esp = cpu.state().esp();
    frame.privilege = cpu.privilege();
    frame.size = size;
    return frame;
}

bool inner_stack(Context& cpu, u8 ring, u32 ext, StackFrame& frame) {
    CpuState& r = cpu.regs();
    const SegmentCache& tr = r.tr;
    const bool wide = (tr.access & 8) != 0;
    const u32 at = wide ? 4 + 8u * ring : 2 + 4u * ring;
    if (at + (wide ? 5 : 3) > tr.limit)
        return cpu.fault(kInvalidTss, (tr.selector & 0xFFFCu) | ext);
    u16 selector;
    if (wide) {
        const auto esp = cpu.read_system<u32>(tr.base + at);
        if (!esp.ok)
            return false;
        frame.esp = esp.value;
    } else {
        const auto sp = cpu.read_system<u16>(tr.base + at);
        if (!sp.ok)
            return false;
        frame.esp = sp.value;
    }
    const auto ss = cpu.read_system<u16>(tr.base + at + (wide ? 4 : 2));
    if (!ss.ok)
        return false;
    selector = ss.value;
    const u32 error = (selector & 0xFFFCu) | ext;
    if ((selector & 0xFFFC) == 0)
        return cpu.fault(kInvalidTss, ext);
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kInvalidTss, ext, descriptor))
        return false;
    if ((selector & 3) != ring || descriptor.dpl() != ring || !descriptor.is_writable_data())
        return cpu.fault(kInvalidTss, error);
    if (!descriptor.present())
        return cpu.fault(kStackFault, error);
    if (!mark_accessed(cpu, descriptor))
        return false;
    frame.ss = SegmentCache::from(selector, descriptor);
    frame.privilege = ring == 3 ? Privilege::User : Privilege::Supervisor;
    frame.fault_error = error;
    return true;
}

Access<u32> peek_element(Context& cpu, u32 index, u32 size, u32 skipped) {
    if (size == 4)
        return cpu.peek_stack<u32>(index * 4 + skipped);
    const auto word = cpu.peek_stack<u16>(index * 2 + skipped);
    return {word.value, word.ok};
}

} // namespace forkscope::protection
