// Owns: handlers of the stack, near and far control transfer, interrupts and segment registers.
// Callers: dispatch.cpp through opcodes.def. Promises: load, compute, store, then commit.
#pragma once

#include "cpu/execute/operands.hpp"
#include "cpu/protection/interrupts.hpp"
#include "cpu/protection/segments.hpp"
#include "cpu/protection/transfers.hpp"
#include "cpu/protection/virtual_8086.hpp"

namespace forkscope::handlers {

// --- Stack

template <class T> Step push_r(Context& cpu, const Instruction& in) {
    TRY_VOID(cpu.push<T>(cpu.regs().reg<T>(in.reg)));
    return Step::Next;
}

template <class T> Step pop_r(Context& cpu, const Instruction& in) {
    TRY(value, cpu.peek_stack<T>());
    cpu.set_stack_pointer(cpu.regs().esp() + u32{sizeof(T)});
    cpu.regs().set_reg<T>(in.reg, value);
    return Step::Next;
}

template <class T> Step push_imm(Context& cpu, const Instruction& in) {
    TRY_VOID(cpu.push<T>(static_cast<T>(in.immediate)));
    return Step::Next;
}

template <class T, bool kMemory> Step push_rm(Context& cpu, const Instruction& in) {
    TRY(value, (read_rm<T, kMemory>(cpu, in)));
    TRY_VOID(cpu.push<T>(value));
    return Step::Next;
}

// An ESP-based destination is addressed with the stack pointer already moved.
template <class T, bool kMemory> Step pop_rm(Context& cpu, const Instruction& in) {
    TRY(value, cpu.peek_stack<T>());
    const u64 old_esp = cpu.regs().gpr[kEsp];
    cpu.set_stack_pointer(cpu.regs().esp() + u32{sizeof(T)});
    if (!write_rm<T, kMemory>(cpu, in, value).ok) [[unlikely]] {
        cpu.regs().gpr[kEsp] = old_esp;
        return Step::Fault;
    }
    return Step::Next;
}

// The pointer moves by the operand size. All but the Pentium write two bytes, whatever that is, and leave the slot's
// upper half alone; the Pentium writes zeroes there (SDM 3B 22.31.1; test386 has the 386's).
template <u8 kSegment, class T> Step push_segment(Context& cpu, const Instruction&) {
    const u16 selector = cpu.regs().segments[kSegment].selector;
    if (sizeof(T) == 2 || cpu.model().whole_selector_slots) {
        TRY_VOID(cpu.push<T>(selector));
        return Step::Next;
    }
    const u32 top = (cpu.regs().esp() - u32{sizeof(T)}) & cpu.stack_mask();
    TRY_VOID(cpu.write<u16>(kSs, top, selector));
    cpu.set_stack_pointer(top);
    return Step::Next;
}

// Behind a load of a segment register. An engine's code may count on DS and ES being flat: it goes on only if nothing
// of that has changed.
inline Step behind_segment_load(Context& cpu, const Instruction& in, u8 segment, const SegmentCache& before) {
    const SegmentCache& now = cpu.state().segments[segment];
    const bool same = now.base == before.base && now.flat_read == before.flat_read &&
                      now.flat_write == before.flat_write && segment != kSs;
    return same ? Step::Next : cpu.leave_block(in);
}

// The stack pointer moves by the size of the stack that was popped, also where SS itself changes: the segment is loaded
// last (SDM 2B, POP: Operation).
template <u8 kSegment, class T> Step pop_segment(Context& cpu, const Instruction& in) {
    u16 selector = 0;
    if (sizeof(T) == 2 || cpu.model().whole_selector_slots) {
        TRY(slot, cpu.peek_stack<T>());
        selector = static_cast<u16>(slot);
    } else {
        TRY(half, cpu.peek_stack<u16>());
        selector = half;
    }
    const SegmentCache before = cpu.regs().segments[kSegment];
    const u64 old_esp = cpu.regs().gpr[kEsp];
    cpu.set_stack_pointer(cpu.regs().esp() + u32{sizeof(T)});
    if (!protection::load_segment(cpu, kSegment, selector)) [[unlikely]] {
        cpu.regs().gpr[kEsp] = old_esp;
        return Step::Fault;
    }
    if constexpr (kSegment == kSs)
        cpu.attention().cast_shadow(Shadow::InterruptsAndDebug);
    return behind_segment_load(cpu, in, kSegment, before);
}

template <class T> Step pusha(Context& cpu, const Instruction&) {
    const u32 top = cpu.regs().esp();
    constexpr u32 kBytes = 8 * sizeof(T);
    if (u8* const plain = cpu.plain_stack(top - kBytes, kBytes, AccessKind::Write); plain != nullptr) [[likely]] {
        for (u8 i = 0; i < 8; ++i) {
            const T value = cpu.regs().reg<T>(i);
            std::memcpy(plain + (7u - i) * sizeof(T), &value, sizeof(T));
        }
        cpu.set_stack_pointer(top - kBytes);
        return Step::Next;
    }
    // The lowest word first: if it and the highest can be stored, all can, unless the limit lies between; so probe all.
    for (u32 i = 0; i < 8; ++i)
        TRY_VOID(cpu.probe_stack((top - (i + 1) * u32{sizeof(T)}) & cpu.stack_mask(), sizeof(T)));
    for (u8 i = 0; i < 8; ++i)
        TRY_VOID(cpu.write<T>(kSs, (top - (i + 1u) * u32{sizeof(T)}) & cpu.stack_mask(), cpu.regs().reg<T>(i)));
    cpu.set_stack_pointer(top - 8 * u32{sizeof(T)});
    return Step::Next;
}

template <class T> Step popa(Context& cpu, const Instruction&) {
    T values[8];
    const u8* const plain = cpu.plain_stack(cpu.regs().esp(), sizeof values, AccessKind::Read);
    for (u32 i = 0; i < 8 && plain != nullptr; ++i)
        std::memcpy(&values[7 - i], plain + i * sizeof(T), sizeof(T));
    for (u32 i = 0; i < 8 && plain == nullptr; ++i) {
        TRY(value, cpu.peek_stack<T>(i * u32{sizeof(T)}));
        values[7 - i] = value;
    }
    cpu.set_stack_pointer(cpu.regs().esp() + 8 * u32{sizeof(T)});
    for (u8 i = 0; i < 8; ++i)
        if (i != kEsp)
            cpu.regs().set_reg<T>(i, values[i]);
    return Step::Next;
}

template <class T> Step pushf(Context& cpu, const Instruction&) {
    if (sizeof(T) == 2 && protection::virtual_interrupts(cpu.regs())) {
        TRY_VOID(cpu.push<T>(static_cast<T>(protection::virtual_flags(cpu.regs()))));
        return Step::Next;
    }
    if (cpu.regs().virtual_8086() && cpu.regs().iopl() < 3)
        return cpu.fault(kGeneralProtection, 0);
    TRY_VOID(cpu.push<T>(static_cast<T>(cpu.regs().eflags() & ~u32{kFlagVm | kFlagR})));
    return Step::Next;
}

// Which bits POPF and IRET may change at this privilege (SDM 2B, POPF).
inline u32 changeable_flags(const Context& cpu, u32 size) {
    const CpuState& r = cpu.state();
    u32 mask = kFlagsArithmetic | kFlagT | kFlagD | kFlagNt;
    if (size == 4)
        mask |= kFlagAc | kFlagId;
    if (!r.protected_mode() || (r.cpl == 0 && !r.virtual_8086()))
        mask |= kFlagI | kFlagIopl;
    else if (r.cpl <= r.iopl())
        mask |= kFlagI;
    return mask & cpu.model().eflags;
}

template <class T> Step popf(Context& cpu, const Instruction& in) {
    CpuState& r = cpu.regs();
    const bool virtual_flags = sizeof(T) == 2 && protection::virtual_interrupts(cpu.regs());
    if (r.virtual_8086() && r.iopl() < 3 && !virtual_flags)
        return cpu.fault(kGeneralProtection, 0);
    TRY(value, cpu.peek_stack<T>());
    if (virtual_flags) {
        if (!protection::set_virtual_flags(cpu.regs(), static_cast<u16>(value)))
            return cpu.fault(kGeneralProtection, 0);
        cpu.set_stack_pointer(r.esp() + u32{sizeof(T)});
        return cpu.leave_block(in);
    }
    const u32 mask = changeable_flags(cpu, sizeof(T));
    const u32 before = r.system_flags;
    r.set_eflags((r.eflags() & ~mask & ~(sizeof(T) == 4 ? u32{kFlagR} : 0)) | (value & mask));
    cpu.set_stack_pointer(r.esp() + u32{sizeof(T)});
    cpu.flags_changed(); // ends the block if an interrupt is let in
    return ((before ^ r.system_flags) & ~u32{kFlagI | kFlagD}) == 0 ? Step::Next : cpu.leave_block(in);
}

template <class T> Step enter(Context& cpu, const Instruction& in) {
    CpuState& r = cpu.regs();
    const u32 size = in.immediate & 0xFFFF;
    const u32 level = in.immediate2 & 31;
    const u32 mask = cpu.stack_mask();
    constexpr u32 kStep = sizeof(T);
    u32 top = (r.esp() - kStep) & mask;
    TRY_VOID(cpu.write<T>(kSs, top, r.reg<T>(kEbp)));
    // All of ESP, also on a 16-bit stack, where its upper half stands still (SDM 2A, ENTER: FrameTemp).
    const u32 frame = (r.esp() & ~mask) | top;
    u32 source = static_cast<u32>(r.gpr[kEbp]) & mask;
    for (u32 i = 1; i < level; ++i) {
        source = (source - kStep) & mask;
        TRY(link, cpu.read<T>(kSs, source));
        top = (top - kStep) & mask;
        TRY_VOID(cpu.write<T>(kSs, top, link));
    }
    if (level > 0) {
        top = (top - kStep) & mask;
        TRY_VOID(cpu.write<T>(kSs, top, static_cast<T>(frame)));
    }
    const u32 bottom = (top - size) & mask;
    // The manual checks that the new top of stack can be written.
    TRY_VOID(cpu.probe_stack(bottom, 1));
    r.set_reg<T>(kEbp, static_cast<T>(frame));
    cpu.set_stack_pointer(bottom);
    return Step::Next;
}

template <class T> Step leave(Context& cpu, const Instruction&) {
    CpuState& r = cpu.regs();
    const u32 frame = static_cast<u32>(r.gpr[kEbp]) & cpu.stack_mask();
    TRY(value, cpu.read<T>(kSs, frame));
    cpu.set_stack_pointer(frame + u32{sizeof(T)});
    r.set_reg<T>(kEbp, value);
    return Step::Next;
}

// --- Near control transfer

template <class T> u32 wrap_eip(u32 eip) { return sizeof(T) == 4 ? eip : eip & 0xFFFF; }

template <int N, class T> Step jcc(Context& cpu, const Instruction& in) {
    const u32 next = cpu.next_eip(in);
    if (condition<N>(cpu.regs().flags))
        return cpu.branch(wrap_eip<T>(next + in.displacement));
    cpu.regs().eip = next;
    return Step::Jump;
}

template <class T> Step jmp_relative(Context& cpu, const Instruction& in) {
    return cpu.branch(wrap_eip<T>(cpu.next_eip(in) + in.displacement));
}

// The target is checked before the push commits.
template <class T> Step call_to(Context& cpu, const Instruction& in, u32 target) {
    if (target > cpu.regs().segments[kCs].limit) [[unlikely]]
        return cpu.fault(kGeneralProtection, 0);
    TRY_VOID(cpu.push<T>(static_cast<T>(cpu.next_eip(in))));
    cpu.regs().eip = target;
    return Step::Jump;
}

template <class T> Step call_relative(Context& cpu, const Instruction& in) {
    return call_to<T>(cpu, in, wrap_eip<T>(cpu.next_eip(in) + in.displacement));
}

template <class T, bool kMemory> Step call_rm(Context& cpu, const Instruction& in) {
    TRY(target, (read_rm<T, kMemory>(cpu, in)));
    return call_to<T>(cpu, in, target);
}

template <class T, bool kMemory> Step jmp_rm(Context& cpu, const Instruction& in) {
    TRY(target, (read_rm<T, kMemory>(cpu, in)));
    return cpu.branch(target);
}

template <class T> Step ret(Context& cpu, const Instruction& in) {
    TRY(target, cpu.peek_stack<T>());
    if (target > cpu.regs().segments[kCs].limit) [[unlikely]]
        return cpu.fault(kGeneralProtection, 0);
    cpu.set_stack_pointer(cpu.regs().esp() + u32{sizeof(T)} + in.immediate);
    cpu.regs().eip = target;
    return Step::Jump;
}

template <LoopKind kKind, class T> Step loop(Context& cpu, const Instruction& in) {
    const u32 count = (static_cast<u32>(cpu.regs().gpr[kEcx]) - 1) & counter_mask(in);
    bool taken = count != 0;
    if constexpr (kKind == LoopKind::Equal)
        taken = taken && cpu.regs().flags.z();
    if constexpr (kKind == LoopKind::NotEqual)
        taken = taken && !cpu.regs().flags.z();
    const u32 next = cpu.next_eip(in);
    const u32 target = taken ? wrap_eip<T>(next + in.displacement) : next;
    const Step step = cpu.branch(target);
    if (step == Step::Jump)
        set_by_address_size(cpu, in, kEcx, count);
    return step;
}

template <class T> Step jcxz(Context& cpu, const Instruction& in) {
    const u32 next = cpu.next_eip(in);
    const bool taken = (static_cast<u32>(cpu.regs().gpr[kEcx]) & counter_mask(in)) == 0;
    return cpu.branch(taken ? wrap_eip<T>(next + in.displacement) : next);
}

// --- Far control transfer and interrupts

template <class T> Step call_far_pointer(Context& cpu, const Instruction& in) {
    return protection::far_call(cpu, in.immediate2, in.immediate, sizeof(T), cpu.next_eip(in)) ? Step::Jump
                                                                                               : Step::Fault;
}

template <class T> Step jmp_far_pointer(Context& cpu, const Instruction& in) {
    return protection::far_jump(cpu, in.immediate2, in.immediate, sizeof(T), cpu.next_eip(in)) ? Step::Jump
                                                                                               : Step::Fault;
}

template <class T> Step call_far_memory(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY(target, cpu.read<T>(in.segment, offset));
    TRY(selector, cpu.read<u16>(in.segment, (offset + u32{sizeof(T)}) & counter_mask(in)));
    return protection::far_call(cpu, selector, target, sizeof(T), cpu.next_eip(in)) ? Step::Jump : Step::Fault;
}

template <class T> Step jmp_far_memory(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY(target, cpu.read<T>(in.segment, offset));
    TRY(selector, cpu.read<u16>(in.segment, (offset + u32{sizeof(T)}) & counter_mask(in)));
    return protection::far_jump(cpu, selector, target, sizeof(T), cpu.next_eip(in)) ? Step::Jump : Step::Fault;
}

template <class T> Step ret_far(Context& cpu, const Instruction& in) {
    return protection::far_return(cpu, sizeof(T), in.immediate) ? Step::Jump : Step::Fault;
}

template <class T> Step iret(Context& cpu, const Instruction& in) {
    return protection::interrupt_return(cpu, sizeof(T), cpu.next_eip(in)) ? Step::Jump : Step::Fault;
}

inline Step software_interrupt(Context& cpu, const Instruction& in, u8 vector) {
    cpu.meter().charge_delivery();
    return protection::interrupt(cpu, {vector, InterruptCause::Software}, cpu.next_eip(in)) ? Step::Jump : Step::Fault;
}

inline Step int3(Context& cpu, const Instruction& in) { return software_interrupt(cpu, in, kBreakpoint); }

inline Step int_n(Context& cpu, const Instruction& in) {
    const u8 vector = static_cast<u8>(in.immediate);
    if (cpu.regs().virtual_8086()) {
        TRY(redirection, protection::redirect_interrupt(cpu, vector, cpu.next_eip(in)));
        if (redirection == protection::Redirection::Done)
            return Step::Jump;
        if (cpu.regs().iopl() < 3)
            return cpu.fault(kGeneralProtection, 0);
    }
    return software_interrupt(cpu, in, vector);
}

inline Step into(Context& cpu, const Instruction& in) {
    if (cpu.regs().flags.o())
        return software_interrupt(cpu, in, kOverflow);
    return cpu.leave_block(in);
}

// ICEBP: a debug trap without the privilege check of INT n.
inline Step int1(Context& cpu, const Instruction& in) {
    cpu.meter().charge_delivery();
    cpu.regs().system_flags &= ~u32{kFlagR}; // the instruction ends here, and its RF with it
    return protection::interrupt(cpu, {kDebugException, InterruptCause::Trap}, cpu.next_eip(in)) ? Step::Jump
                                                                                                 : Step::Fault;
}

template <class T> Step bound(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY(low, cpu.read<T>(in.segment, offset));
    TRY(high, cpu.read<T>(in.segment, (offset + u32{sizeof(T)}) & counter_mask(in)));
    using Signed = std::make_signed_t<T>;
    const auto index = static_cast<Signed>(cpu.regs().reg<T>(in.reg));
    if (index < static_cast<Signed>(low) || index > static_cast<Signed>(high))
        return cpu.fault(kBoundRange);
    return Step::Next;
}

// --- Segment registers

// To a register with 32-bit operand size the upper half is cleared (P6); to memory always 16 bits.
template <class T, bool kMemory> Step mov_rm_segment(Context& cpu, const Instruction& in) {
    const u16 selector = cpu.regs().segments[in.reg].selector;
    if constexpr (kMemory)
        TRY_VOID(cpu.write<u16>(in.segment, cpu.offset_of(in), selector));
    else
        cpu.regs().set_reg<T>(in.rm, selector);
    return Step::Next;
}

template <class T, bool kMemory> Step mov_segment_rm(Context& cpu, const Instruction& in) {
    TRY(selector, (read_rm<u16, kMemory>(cpu, in)));
    const SegmentCache before = cpu.regs().segments[in.reg];
    if (!protection::load_segment(cpu, in.reg, selector))
        return Step::Fault;
    if (in.reg == kSs)
        cpu.attention().cast_shadow(Shadow::InterruptsAndDebug);
    return behind_segment_load(cpu, in, in.reg, before);
}

template <u8 kSegment, class T> Step load_far(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY(value, cpu.read<T>(in.segment, offset));
    TRY(selector, cpu.read<u16>(in.segment, (offset + u32{sizeof(T)}) & counter_mask(in)));
    if (!protection::load_segment(cpu, kSegment, selector))
        return Step::Fault;
    cpu.regs().set_reg<T>(in.reg, value);
    return cpu.leave_block(in);
}

} // namespace forkscope::handlers
