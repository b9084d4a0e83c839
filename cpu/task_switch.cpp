// Hardware task switching (SDM 3A chapter 7).
#include "cpu/cpu.hpp"

namespace forkscope {

namespace {

// Where the dynamic fields of a TSS lie. Registers in the order eax ecx edx ebx esp ebp esi edi.
struct TaskLayout {
    u32 eip, flags, registers, segments, ldt, size, step;
    u8 segment_count;
};
constexpr TaskLayout kWide{0x20, 0x24, 0x28, 0x48, 0x60, 0x67, 4, 6};
constexpr TaskLayout kNarrow{0x0E, 0x10, 0x12, 0x22, 0x2A, 0x2B, 2, 4};

} // namespace

// Everything of the old task is stored and everything of the new one read before registers change; faults while the new
// task's segments are loaded belong to the new task.
bool Cpu::switch_task(u16 selector, TaskSwitch kind, u32 return_eip, bool has_error, u32 error_code) {
    const u8 fault_vector = kind == TaskSwitch::Return ? kInvalidTss : kGeneralProtection;
    const u32 error = selector & 0xFFFCu;
    Descriptor target;
    if (error == 0 || (selector & 4) != 0) {
        raise(fault_vector, error);
        return false;
    }
    if (!read_descriptor(selector, fault_vector, 0, target))
        return false;
    const bool busy = (target.type() & 2) != 0;
    const bool is_tss = !target.is_segment() && (target.type() & 5) == 1;
    if (!is_tss || busy != (kind == TaskSwitch::Return)) {
        raise(fault_vector, error);
        return false;
    }
    if (!target.present()) {
        raise(kSegmentNotPresent, error);
        return false;
    }
    SegmentCache next = target.cache(selector);
    const TaskLayout& to = (target.type() & 8) != 0 ? kWide : kNarrow;
    if (next.limit < to.size) {
        raise(kInvalidTss, error);
        return false;
    }
    const SegmentCache previous = state_.tr;
    const TaskLayout& from = (previous.access & 8) != 0 ? kWide : kNarrow;
    const auto reachable = mmu_.probe_write(LinearAddress(previous.base), from.size + 1, Privilege::Supervisor);
    const auto next_reachable = mmu_.probe_write(LinearAddress(next.base), to.size + 1, Privilege::Supervisor);
    if (!reachable.ok || !next_reachable.ok) {
        raise_page_fault();
        return false;
    }

    // Both segments are now known to be present: plain loads and stores from here on.
    const auto save = [&](u32 at, u32 value) {
        const auto stored = from.step == 4 ? write_system<u32>(previous.base + at, value)
                                           : write_system<u16>(previous.base + at, static_cast<u16>(value));
        EMU_ASSERT(stored.ok, "a probed task segment could not be stored");
    };
    const auto fetch = [&](u32 at) -> u32 {
        if (to.step == 4)
            return read_system<u32>(next.base + at).value;
        return read_system<u16>(next.base + at).value;
    };
    u32 flags = state_.eflags();
    if (kind == TaskSwitch::Return)
        flags &= ~u32{kFlagNt};
    save(from.eip, return_eip);
    save(from.flags, flags);
    for (u8 i = 0; i < 8; ++i)
        save(from.registers + i * from.step, static_cast<u32>(state_.gpr[i]));
    for (u8 i = 0; i < from.segment_count; ++i)
        static_cast<void>(
            write_system<u16>(previous.base + from.segments + i * from.step, state_.segments[i].selector));

    std::array<u32, 8> registers{};
    std::array<u16, kSegmentCount> selectors{};
    const u32 new_eip = fetch(to.eip);
    u32 new_flags = fetch(to.flags);
    for (u8 i = 0; i < 8; ++i)
        registers[i] = fetch(to.registers + i * to.step);
    for (u8 i = 0; i < to.segment_count; ++i)
        selectors[i] = read_system<u16>(next.base + to.segments + i * to.step).value;
    const u16 new_ldt = read_system<u16>(next.base + to.ldt).value;
    const u32 new_cr3 = to.step == 4 ? read_system<u32>(next.base + 0x1C).value : state_.cr3;

    // Busy bits and the back link.
    if (kind != TaskSwitch::Call) {
        const u32 at = state_.gdtr.base + (previous.selector & 0xFFF8u) + 5;
        const auto access = read_system<u8>(at);
        if (!access.ok || !write_system<u8>(at, static_cast<u8>(access.value & ~2u)).ok)
            return false;
    }
    if (kind != TaskSwitch::Return) {
        target.high |= 0x200;
        if (!write_system<u8>(static_cast<u32>(target.address.value) + 5, static_cast<u8>(target.high >> 8)).ok)
            return false;
    }
    if (kind == TaskSwitch::Call) {
        static_cast<void>(write_system<u16>(next.base, previous.selector));
        new_flags |= kFlagNt;
    }

    state_.tr = target.cache(selector);
    state_.cr0 |= kCr0Ts;
    if (state_.cr0 & kCr0Pg && new_cr3 != state_.cr3) {
        state_.cr3 = new_cr3;
        mmu_.write_cr3(new_cr3, TlbFlushReason::TaskSwitch);
    }
    for (u8 i = 0; i < 8; ++i)
        if (to.step == 4)
            state_.set_reg<u32>(i, registers[i]);
        else
            state_.set_reg<u32>(i, registers[i] | 0xFFFF0000u);
    state_.set_eflags(new_flags & 0x3F7FD7);
    state_.eip = new_eip;
    return enter_task(new_ldt, selectors, has_error, error_code, to.step);
}

// Loads the segments that the new task names. A fault here is the new task's, with the context already switched.
bool Cpu::enter_task(u16 ldt, const std::array<u16, kSegmentCount>& selectors, bool has_error, u32 error_code,
                     u32 error_size) {
    for (u8 i = 0; i < kSegmentCount; ++i) {
        state_.segments[i] = SegmentCache{};
        state_.segments[i].selector = selectors[i];
    }
    const auto invalid = [this](u16 selector) {
        raise(kInvalidTss, selector & 0xFFFCu);
        return false;
    };
    if ((ldt & 4) != 0)
        return invalid(ldt);
    if (!load_ldtr(ldt))
        return pending_.vector == kPageFault ? false : invalid(ldt);
    if (state_.virtual_8086()) {
        for (u8 i = 0; i < kSegmentCount; ++i)
            enter_virtual_segment(i, selectors[i]);
        set_cpl(3);
    } else {
        const u16 cs = selectors[kCs];
        Descriptor code;
        if ((cs & 0xFFFC) == 0 || !read_descriptor(cs, kInvalidTss, 0, code))
            return invalid(cs);
        const u8 rpl = cs & 3;
        const bool fits = code.is_code() && (code.is_conforming() ? code.dpl() <= rpl : code.dpl() == rpl);
        if (!fits)
            return invalid(cs);
        if (!code.present()) {
            raise(kSegmentNotPresent, cs & 0xFFFCu);
            return false;
        }
        if (!mark_accessed(code))
            return false;
        set_code_segment(code.cache(cs), rpl);
        for (const u8 segment : {kSs, kEs, kDs, kFs, kGs})
            if (!load_segment(segment, selectors[segment])) {
                if (pending_.vector == kGeneralProtection)
                    pending_.vector = kInvalidTss;
                return false;
            }
    }
    flags_changed();
    if (has_error) {
        const bool pushed = error_size == 4 ? push<u32>(error_code).ok : push<u16>(static_cast<u16>(error_code)).ok;
        if (!pushed)
            return false;
    }
    if (state_.eip > state_.segments[kCs].limit) {
        raise(kGeneralProtection, 0);
        return false;
    }
    const auto trap = (state_.tr.access & 8) != 0 ? read_system<u16>(state_.tr.base + 0x64) : Access<u16>{};
    if (trap.ok && (trap.value & 1) != 0) {
        trap_pending_ |= kDebugTaskSwitch;
        raise_attention(kAttentionTrap);
    }
    return true;
}

} // namespace forkscope
