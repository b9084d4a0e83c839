#include "cpu/protection/stack_frame.hpp"

#include "cpu/protection/segments.hpp"

namespace forkscope::protection {

namespace {

// A frame that lies on a flat stack and in one page, to which stores are plain.
bool write_plain_frame(Context& cpu, StackFrame& frame) {
    const u32 bytes = frame.count * 4;
    if (!frame.ss.flat_write || !frame.ss.big || frame.size != 4)
        return false;
    const LinearAddress bottom(frame.ss.base + frame.esp - bytes);
    u8* const host = cpu.mmu().plain_bytes(bottom, bytes, frame.privilege, AccessKind::Write);
    if (host == nullptr)
        return false;
    for (u32 i = 1; i <= frame.count; ++i)
        std::memcpy(host + bytes - i * 4, &frame.values[i - 1], 4);
    frame.esp -= bytes;
    return true;
}

} // namespace

bool write_frame(Context& cpu, StackFrame& frame) {
    if (write_plain_frame(cpu, frame)) [[likely]]
        return true;
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

namespace {

// ESP and SS, or SP and SS, as the TSS has them.
bool read_inner_stack_pointer(Context& cpu, u32 at, bool wide, u32& stack_pointer, u16& selector) {
    const u32 linear = cpu.state().tr.base + at;
    const u8* const plain =
        wide ? cpu.mmu().plain_bytes(LinearAddress(linear), 6, Privilege::Supervisor, AccessKind::Read) : nullptr;
    if (plain != nullptr) [[likely]] {
        std::memcpy(&stack_pointer, plain, 4);
        std::memcpy(&selector, plain + 4, 2);
        return true;
    }
    if (wide) {
        const auto esp = cpu.read_system<u32>(linear);
        if (!esp.ok)
            return false;
        stack_pointer = esp.value;
    } else {
        const auto sp = cpu.read_system<u16>(linear);
        if (!sp.ok)
            return false;
        stack_pointer = sp.value;
    }
    const auto ss = cpu.read_system<u16>(linear + (wide ? 4 : 2));
    selector = ss.value;
    return ss.ok;
}

} // namespace

bool inner_stack(Context& cpu, u8 ring, u32 ext, StackFrame& frame) {
    CpuState& r = cpu.regs();
    const SegmentCache& tr = r.tr;
    const bool wide = (tr.access & 8) != 0;
    const u32 at = wide ? 4 + 8u * ring : 2 + 4u * ring;
    if (at + (wide ? 5 : 3) > tr.limit)
        return cpu.fault(kInvalidTss, (tr.selector & 0xFFFCu) | ext);
    u16 selector = 0;
    if (!read_inner_stack_pointer(cpu, at, wide, frame.esp, selector))
        return false;
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
    frame.ss = cpu.parsed().of(selector, descriptor);
    frame.privilege = ring == 3 ? Privilege::User : Privilege::Supervisor;
    frame.fault_error = error;
    return true;
}

bool peek_elements(Context& cpu, u32 first, u32 size, std::span<u32> elements) {
    const auto bytes = static_cast<u32>(elements.size_bytes());
    const u8* const plain =
        size == 4 ? cpu.plain_stack(cpu.state().esp() + first * 4, bytes, AccessKind::Read) : nullptr;
    if (plain != nullptr) [[likely]] {
        std::memcpy(elements.data(), plain, bytes);
        return true;
    }
    for (u32& element : elements) {
        const auto value = peek_element(cpu, first++, size);
        if (!value.ok)
            return false;
        element = value.value;
    }
    return true;
}

Access<u32> peek_element(Context& cpu, u32 index, u32 size, u32 skipped) {
    if (size == 4)
        return cpu.peek_stack<u32>(index * 4 + skipped);
    const auto word = cpu.peek_stack<u16>(index * 2 + skipped);
    return {word.value, word.ok};
}

} // namespace forkscope::protection
