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

// The TSS that a switch names, available or busy as the kind of switch asks.
bool Cpu::read_task_descriptor(u16 selector, TaskSwitch kind, u32 ext, Descriptor& target) {
    const u8 vector = kind == TaskSwitch::Return ? kInvalidTss : kGeneralProtection;
    const u32 error = (selector & 0xFFFCu) | ext;
    if ((selector & 0xFFFC) == 0 || (selector & 4) != 0) {
        raise(vector, error);
        return false;
    }
    if (!read_descriptor(selector, vector, ext, target))
        return false;
    const bool busy = (target.type() & 2) != 0;
    const bool is_tss = !target.is_segment() && (target.type() & 5) == 1;
    if (!is_tss || busy != (kind == TaskSwitch::Return)) {
        raise(vector, error);
        return false;
    }
    if (!target.present()) {
        raise(kSegmentNotPresent, error);
        return false;
    }
    const TaskLayout& layout = (target.type() & 8) != 0 ? kWide : kNarrow;
    if (target.cache(selector).limit < layout.size) {
        raise(kInvalidTss, error);
        return false;
    }
    const u32 old_size = ((state_.tr.access & 8) != 0 ? kWide : kNarrow).size;
    const auto old_task = mmu_.probe_write(LinearAddress(state_.tr.base), old_size + 1, Privilege::Supervisor);
    const auto new_task = old_task.ok ? mmu_.probe_write(LinearAddress(target.cache(selector).base), layout.size + 1,
                                                         Privilege::Supervisor)
                                      : old_task;
    if (!new_task.ok) {
        raise_page_fault();
        return false;
    }
    return true;
}

// Into the present TSS, whose pages are known to be there.
void Cpu::save_task(u32 return_eip, u32 flags) {
    const u32 base = state_.tr.base;
    const TaskLayout& layout = (state_.tr.access & 8) != 0 ? kWide : kNarrow;
    const auto save = [&](u32 at, u32 value) {
        const auto stored = layout.step == 4 ? write_system<u32>(base + at, value)
                                             : write_system<u16>(base + at, static_cast<u16>(value));
        EMU_ASSERT(stored.ok, "a probed task segment could not be stored");
    };
    save(layout.eip, return_eip);
    save(layout.flags, flags);
    for (u8 i = 0; i < 8; ++i)
        save(layout.registers + i * layout.step, static_cast<u32>(state_.gpr[i]));
    for (u8 i = 0; i < layout.segment_count; ++i)
        static_cast<void>(write_system<u16>(base + layout.segments + i * layout.step, state_.segments[i].selector));
}

// Busy bits and the back link.
bool Cpu::link_tasks(u16 old_selector, Descriptor& target, TaskSwitch kind) {
    if (kind != TaskSwitch::Call) {
        const u32 at = state_.gdtr.base + (old_selector & 0xFFF8u) + 5;
        const auto access = read_system<u8>(at);
        if (!access.ok || !write_system<u8>(at, static_cast<u8>(access.value & ~2u)).ok)
            return false;
    }
    if (kind != TaskSwitch::Return) {
        target.high |= 0x200;
        if (!write_system<u8>(static_cast<u32>(target.address.value) + 5, static_cast<u8>(target.high >> 8)).ok)
            return false;
    }
    return kind != TaskSwitch::Call || write_system<u16>(target.cache(0).base, old_selector).ok;
}

// Everything of the old task is stored and everything of the new one read before registers change; faults while the new
// task's segments are loaded belong to the new task.
bool Cpu::switch_task(u16 selector, TaskSwitch kind, u32 return_eip, const InterruptRequest* event) {
    Descriptor target;
    if (!read_task_descriptor(selector, kind, event != nullptr ? event->ext() : 0, target))
        return false;
    const u32 base = target.cache(selector).base;
    const TaskLayout& layout = (target.type() & 8) != 0 ? kWide : kNarrow;
    const u32 flags = event != nullptr ? event->saved_flags(state_.eflags()) : state_.eflags();
    save_task(return_eip, kind == TaskSwitch::Return ? flags & ~u32{kFlagNt} : flags);

    const auto fetch = [&](u32 at) -> u32 {
        return layout.step == 4 ? read_system<u32>(base + at).value : read_system<u16>(base + at).value;
    };
    std::array<u32, 8> registers{};
    std::array<u16, kSegmentCount> selectors{};
    const u32 new_eip = fetch(layout.eip);
    const u32 new_flags = fetch(layout.flags) | (kind == TaskSwitch::Call ? u32{kFlagNt} : 0);
    for (u8 i = 0; i < 8; ++i)
        registers[i] = fetch(layout.registers + i * layout.step);
    for (u8 i = 0; i < layout.segment_count; ++i)
        selectors[i] = read_system<u16>(base + layout.segments + i * layout.step).value;
    const u16 new_ldt = read_system<u16>(base + layout.ldt).value;
    const u32 new_cr3 = layout.step == 4 ? read_system<u32>(base + 0x1C).value : state_.cr3;
    if (!link_tasks(state_.tr.selector, target, kind))
        return false;

    state_.tr = target.cache(selector);
    state_.cr0 |= kCr0Ts;
    if ((state_.cr0 & kCr0Pg) != 0 && new_cr3 != state_.cr3) {
        state_.cr3 = new_cr3;
        mmu_.write_cr3(new_cr3, TlbFlushReason::TaskSwitch);
    }
    for (u8 i = 0; i < 8; ++i)
        state_.set_reg<u32>(i, layout.step == 4 ? registers[i] : registers[i] | 0xFFFF0000u);
    state_.set_eflags(new_flags & model_->eflags);
    state_.eip = new_eip;
    constexpr u32 kLocalEnables = 0x155; // L0..L3, LE
    if ((state_.dr[7] & kLocalEnables) != 0) {
        state_.dr[7] &= ~kLocalEnables;
        debug_registers_changed();
    }
    return enter_task(new_ldt, selectors, event, layout.step);
}

// Loads the segments that the new task names. A fault here is the new task's, with the context already switched.
bool Cpu::enter_task(u16 ldt, const std::array<u16, kSegmentCount>& selectors, const InterruptRequest* event,
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
    if (event != nullptr && event->has_error) {
        const bool pushed = error_size == 4 ? push<u32>(event->error).ok : push<u16>(static_cast<u16>(event->error)).ok;
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
