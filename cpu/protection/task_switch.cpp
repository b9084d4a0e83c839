// Hardware task switching (SDM 3A chapter 7).
#include "cpu/cpu.hpp"

#include <algorithm>

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
    if ((selector & 0xFFFC) == 0 || (selector & 4) != 0)
        return fault(vector, error);
    if (!read_descriptor(selector, vector, ext, target))
        return false;
    if (!target.is_any(kind == TaskSwitch::Return ? kBusyTss : kAvailableTss))
        return fault(vector, error);
    if (!target.present())
        return fault(kSegmentNotPresent, error);
    const TaskLayout& layout = target.is_32bit() ? kWide : kNarrow;
    if (target.limit() < layout.size)
        return fault(kInvalidTss, error);
    const u32 old_size = ((state_.tr.access & 8) != 0 ? kWide : kNarrow).size;
    const auto old_task = mmu_.probe_write(LinearAddress(state_.tr.base), old_size + 1, Privilege::Supervisor);
    if (!old_task.ok)
        return page_fault();
    // The new task's segment is only read, but for the link that CALL and interrupts leave there.
    const u32 base = target.base();
    if (!read_system<u8>(base).ok || !read_system<u8>(base + layout.size).ok)
        return false;
    if (kind == TaskSwitch::Call && !mmu_.probe_write(LinearAddress(base), 2, Privilege::Supervisor).ok)
        return page_fault();
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
        target.bits |= Descriptor::kBusy;
        if (!write_system<u8>(static_cast<u32>(target.address.value) + 5, target.access()).ok)
            return false;
    }
    return kind != TaskSwitch::Call || write_system<u16>(target.base(), old_selector).ok;
}

// Everything of the old task is stored and everything of the new one read before registers change; faults while the new
// task's segments are loaded belong to the new task.
bool Cpu::switch_task(u16 selector, TaskSwitch kind, u32 return_eip, const InterruptRequest* event, TaskName name) {
    const TaskSwitchOrigin origin{kind, name, event != nullptr, state_.virtual_8086()};
    Descriptor target;
    if (!read_task_descriptor(selector, kind, event != nullptr ? event->ext() : 0, target))
        return false;
    const u32 base = target.base();
    const TaskLayout& layout = target.is_32bit() ? kWide : kNarrow;
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
    const bool new_space = (state_.cr0 & kCr0Pg) != 0 && new_cr3 != state_.cr3;
    if (new_space && !mmu_.paging().accepts_cr3(new_cr3))
        return fault(kGeneralProtection, 0);
    if (!link_tasks(state_.tr.selector, target, kind))
        return false;

    state_.tr = SegmentCache::from(selector, target);
    state_.cr0 |= kCr0Ts;
    if (new_space) {
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
    task_switched_ = true;
    charge_task_switch(origin, layout.step == 4);
    return enter_task(new_ldt, selectors, event, layout.step);
}

// An LDT selector that a task may hold: null, or an LDT's in the GDT. Whether it is present counts later.
bool Cpu::check_task_ldt(u16 selector, Descriptor& descriptor) {
    state_.ldtr = SegmentCache::null(selector);
    if ((selector & 0xFFFC) == 0)
        return true;
    if ((selector & 4) == 0 && !read_descriptor(selector, kInvalidTss, 0, descriptor))
        return false;
    if ((selector & 4) != 0 || !descriptor.is(SystemType::Ldt))
        return fault(kInvalidTss, selector & 0xFFFCu);
    if (descriptor.present())
        state_.ldtr = SegmentCache::from(selector, descriptor);
    return true;
}

// LDT, code and stack in the order of the checks that SDM 3A table 7-1 gives for the P6 family. Until all of them hold
// the new task's stack is not to be trusted: CPL 3 makes the fault's delivery take ring 0's.
bool Cpu::load_task_code_and_stack(u16 ldt, u16 cs, u16 ss) {
    const auto refuse = [this](u8 vector, u16 selector) { return fault(vector, selector & 0xFFFCu); };
    const u8 ring = cs & 3;
    Descriptor table, code, stack;
    set_cpl(3);
    if (!check_task_ldt(ldt, table))
        return false;
    const bool has_code = (cs & 0xFFFC) != 0 && read_descriptor(cs, kInvalidTss, 0, code);
    if (!has_code && (cs & 0xFFFC) != 0 && pending_.vector == kPageFault)
        return false;
    if (has_code && code.is_code() && (code.is_conforming() ? code.dpl() > ring : code.dpl() != ring))
        return refuse(kInvalidTss, cs);
    if ((ss & 0xFFFC) == 0)
        return refuse(kInvalidTss, ss);
    if (!read_descriptor(ss, kInvalidTss, 0, stack))
        return false;
    if (!stack.is_writable_data())
        return refuse(kInvalidTss, ss);
    if (!stack.present())
        return refuse(kStackFault, ss);
    if (stack.dpl() != ring)
        return refuse(kInvalidTss, ss);
    if ((ldt & 0xFFFC) != 0 && !table.present())
        return refuse(kInvalidTss, ldt);
    if (!has_code || !code.is_code())
        return refuse(kInvalidTss, cs);
    if (!code.present())
        return refuse(kSegmentNotPresent, cs);
    if ((ss & 3) != ring)
        return refuse(kInvalidTss, ss);
    if (!mark_accessed(stack) || !mark_accessed(code))
        return false;
    state_.segments[kSs] = SegmentCache::from(ss, stack);
    set_code_segment(SegmentCache::from(cs, code), ring);
    return true;
}

// DS, ES, FS or GS of the new task: #TS where MOV would raise #GP (SDM 3A table 7-1).
bool Cpu::load_task_data_segment(u8 segment, u16 selector) {
    state_.segments[segment] = SegmentCache::null(selector);
    if ((selector & 0xFFFC) == 0)
        return true;
    Descriptor descriptor;
    if (!read_descriptor(selector, kInvalidTss, 0, descriptor))
        return false;
    const u8 ring = std::max<u8>(selector & 3, state_.cpl);
    const bool fits = descriptor.is_data() || descriptor.is_readable_code();
    const bool reachable = descriptor.dpl() >= ring || descriptor.is_conforming();
    if (!fits || !reachable)
        return fault(kInvalidTss, selector & 0xFFFCu);
    if (!descriptor.present())
        return fault(kSegmentNotPresent, selector & 0xFFFCu);
    if (!mark_accessed(descriptor))
        return false;
    state_.segments[segment] = SegmentCache::from(selector, descriptor);
    return true;
}

bool Cpu::load_task_segments(u16 ldt, const std::array<u16, kSegmentCount>& selectors) {
    for (u8 i = 0; i < kSegmentCount; ++i)
        state_.segments[i] = SegmentCache::null(selectors[i]);
    if (!state_.virtual_8086()) {
        if (!load_task_code_and_stack(ldt, selectors[kCs], selectors[kSs]))
            return false;
        for (const u8 segment : {kDs, kEs, kFs, kGs})
            if (!load_task_data_segment(segment, selectors[segment]))
                return false;
        return true;
    }
    for (u8 i = 0; i < kSegmentCount; ++i)
        enter_virtual_segment(i, selectors[i]);
    set_cpl(3);
    Descriptor table;
    if (!check_task_ldt(ldt, table))
        return false;
    if ((ldt & 0xFFFC) == 0 || table.present())
        return true;
    return fault(kInvalidTss, ldt & 0xFFFCu);
}

// Loads the segments that the new task names. A fault here is the new task's, with the context already switched.
bool Cpu::enter_task(u16 ldt, const std::array<u16, kSegmentCount>& selectors, const InterruptRequest* event,
                     u32 error_size) {
    if (!load_task_segments(ldt, selectors))
        return false;
    flags_changed();
    if (event != nullptr && event->has_error) {
        const bool pushed = error_size == 4 ? push<u32>(event->error).ok : push<u16>(static_cast<u16>(event->error)).ok;
        if (!pushed)
            return false;
    }
    if (state_.eip > state_.segments[kCs].limit)
        return fault(kGeneralProtection, 0);
    const auto trap = (state_.tr.access & 8) != 0 ? read_system<u16>(state_.tr.base + 0x64) : Access<u16>{};
    if (trap.ok && (trap.value & 1) != 0) {
        trap_pending_ |= kDebugTaskSwitch;
        raise_attention(kAttentionTrap);
    }
    return true;
}

} // namespace forkscope
