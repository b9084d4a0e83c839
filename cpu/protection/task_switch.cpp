#include "cpu/protection/task_switch.hpp"

#include <algorithm>

#include "cpu/protection/segments.hpp"

namespace forkscope::protection {

namespace {

// Where the dynamic fields of a TSS lie. Registers in the order eax ecx edx ebx esp ebp esi edi.
struct TaskLayout {
    u32 eip, flags, registers, segments, ldt, size, step;
    u8 segment_count;
};

constexpr TaskLayout kWide{0x20, 0x24, 0x28, 0x48, 0x60, 0x67, 4, 6};

constexpr TaskLayout kNarrow{0x0E, 0x10, 0x12, 0x22, 0x2A, 0x2B, 2, 4};

// The TSS that a switch names, available or busy as the kind of switch asks.
bool read_task_descriptor(Context& cpu, u16 selector, TaskSwitch kind, u32 ext, Descriptor& target) {
    CpuState& r = cpu.regs();
    const u8 vector = kind == TaskSwitch::Return ? kInvalidTss : kGeneralProtection;
    const u32 error = (selector & 0xFFFCu) | ext;
    if ((selector & 0xFFFC) == 0 || (selector & 4) != 0)
        return cpu.fault(vector, error);
    if (!read_descriptor(cpu, selector, vector, ext, target))
        return false;
    if (!target.is_any(kind == TaskSwitch::Return ? kBusyTss : kAvailableTss))
        return cpu.fault(vector, error);
    if (!target.present())
        return cpu.fault(kSegmentNotPresent, error);
    const TaskLayout& layout = target.is_32bit() ? kWide : kNarrow;
    if (target.limit() < layout.size)
        return cpu.fault(kInvalidTss, error);
    const u32 old_size = ((r.tr.access & 8) != 0 ? kWide : kNarrow).size;
    const auto old_task = cpu.mmu().probe_write(LinearAddress(r.tr.base), old_size + 1, Privilege::Supervisor);
    if (!old_task.ok)
        return cpu.page_fault();
    // The new task's segment is only read, but for the link that CALL and interrupts leave there.
    const u32 base = target.base();
    if (!cpu.read_system<u8>(base).ok || !cpu.read_system<u8>(base + layout.size).ok)
        return false;
    if (kind == TaskSwitch::Call && !cpu.mmu().probe_write(LinearAddress(base), 2, Privilege::Supervisor).ok)
        return cpu.page_fault();
    return true;
}

// Into the present TSS, whose pages are known to be there.
void save_task(Context& cpu, u32 return_eip, u32 flags) {
    CpuState& r = cpu.regs();
    const u32 base = r.tr.base;
    const TaskLayout& layout = (r.tr.access & 8) != 0 ? kWide : kNarrow;
    const auto save = [&](u32 at, u32 value) {
        const auto stored = layout.step == 4 ? cpu.write_system<u32>(base + at, value)
                                             : cpu.write_system<u16>(base + at, static_cast<u16>(value));
        EMU_ASSERT(stored.ok, "a probed task segment could not be stored");
    };
    save(layout.eip, return_eip);
    save(layout.flags, flags);
    for (u8 i = 0; i < 8; ++i)
        save(layout.registers + i * layout.step, static_cast<u32>(r.gpr[i]));
    for (u8 i = 0; i < layout.segment_count; ++i)
        static_cast<void>(cpu.write_system<u16>(base + layout.segments + i * layout.step, r.segments[i].selector));
}

// Busy bits and the back link.
bool link_tasks(Context& cpu, u16 old_selector, Descriptor& target, TaskSwitch kind) {
    CpuState& r = cpu.regs();
    if (kind != TaskSwitch::Call) {
        const u32 at = r.gdtr.base + (old_selector & 0xFFF8u) + 5;
        const auto access = cpu.read_system<u8>(at);
        if (!access.ok || !cpu.write_system<u8>(at, static_cast<u8>(access.value & ~2u)).ok)
            return false;
    }
    if (kind != TaskSwitch::Return) {
        target.bits |= Descriptor::kBusy;
        if (!cpu.write_system<u8>(static_cast<u32>(target.address.value) + 5, target.access()).ok)
            return false;
    }
    return kind != TaskSwitch::Call || cpu.write_system<u16>(target.base(), old_selector).ok;
}

// An LDT selector that a task may hold: null, or an LDT's in the GDT. Whether it is present counts later.
bool check_task_ldt(Context& cpu, u16 selector, Descriptor& descriptor) {
    CpuState& r = cpu.regs();
    r.ldtr = SegmentCache::null(selector);
    if ((selector & 0xFFFC) == 0)
        return true;
    if ((selector & 4) == 0 && !read_descriptor(cpu, selector, kInvalidTss, 0, descriptor))
        return false;
    if ((selector & 4) != 0 || !descriptor.is(SystemType::Ldt))
        return cpu.fault(kInvalidTss, selector & 0xFFFCu);
    if (descriptor.present())
        r.ldtr = SegmentCache::from(selector, descriptor);
    return true;
}

// LDT, code and stack in the order of the checks that SDM 3A table 7-1 gives for the P6 family. Until all of them hold
// the new task's stack is not to be trusted: CPL 3 makes the fault's delivery take ring 0's.
bool load_task_code_and_stack(Context& cpu, u16 ldt, u16 cs, u16 ss) {
    CpuState& r = cpu.regs();
    const auto refuse = [&cpu](u8 vector, u16 selector) { return cpu.fault(vector, selector & 0xFFFCu); };
    const u8 ring = cs & 3;
    Descriptor table, code, stack;
    cpu.set_cpl(3);
    if (!check_task_ldt(cpu, ldt, table))
        return false;
    const bool has_code = (cs & 0xFFFC) != 0 && read_descriptor(cpu, cs, kInvalidTss, 0, code);
    if (!has_code && (cs & 0xFFFC) != 0 && cpu.pending().vector == kPageFault)
        return false;
    if (has_code && code.is_code() && (code.is_conforming() ? code.dpl() > ring : code.dpl() != ring))
        return refuse(kInvalidTss, cs);
    if ((ss & 0xFFFC) == 0)
        return refuse(kInvalidTss, ss);
    if (!read_descriptor(cpu, ss, kInvalidTss, 0, stack))
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
    if (!mark_accessed(cpu, stack) || !mark_accessed(cpu, code))
        return false;
    r.segments[kSs] = SegmentCache::from(ss, stack);
    set_code_segment(cpu, SegmentCache::from(cs, code), ring);
    return true;
}

// DS, ES, FS or GS of the new task: #TS where MOV would raise #GP (SDM 3A table 7-1).
bool load_task_data_segment(Context& cpu, u8 segment, u16 selector) {
    CpuState& r = cpu.regs();
    r.segments[segment] = SegmentCache::null(selector);
    if ((selector & 0xFFFC) == 0)
        return true;
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kInvalidTss, 0, descriptor))
        return false;
    const u8 ring = std::max<u8>(selector & 3, r.cpl);
    const bool fits = descriptor.is_data() || descriptor.is_readable_code();
    const bool reachable = descriptor.dpl() >= ring || descriptor.is_conforming();
    if (!fits || !reachable)
        return cpu.fault(kInvalidTss, selector & 0xFFFCu);
    if (!descriptor.present())
        return cpu.fault(kSegmentNotPresent, selector & 0xFFFCu);
    if (!mark_accessed(cpu, descriptor))
        return false;
    r.segments[segment] = SegmentCache::from(selector, descriptor);
    return true;
}

bool load_task_segments(Context& cpu, u16 ldt, const std::array<u16, kSegmentCount>& selectors) {
    CpuState& r = cpu.regs();
    for (u8 i = 0; i < kSegmentCount; ++i)
        r.segments[i] = SegmentCache::null(selectors[i]);
    if (!r.virtual_8086()) {
        if (!load_task_code_and_stack(cpu, ldt, selectors[kCs], selectors[kSs]))
            return false;
        for (const u8 segment : {kDs, kEs, kFs, kGs})
            if (!load_task_data_segment(cpu, segment, selectors[segment]))
                return false;
        return true;
    }
    for (u8 i = 0; i < kSegmentCount; ++i)
        r.segments[i].load_virtual_8086(selectors[i]);
    cpu.set_cpl(3);
    Descriptor table;
    if (!check_task_ldt(cpu, ldt, table))
        return false;
    if ((ldt & 0xFFFC) == 0 || table.present())
        return true;
    return cpu.fault(kInvalidTss, ldt & 0xFFFCu);
}

// Loads the segments that the new task names. A fault here is the new task's, with the context already switched.
bool enter_task(Context& cpu, u16 ldt, const std::array<u16, kSegmentCount>& selectors, const InterruptRequest* event,
                u32 error_size) {
    CpuState& r = cpu.regs();
    if (!load_task_segments(cpu, ldt, selectors))
        return false;
    if (event != nullptr && event->has_error) {
        const bool pushed =
            error_size == 4 ? cpu.push<u32>(event->error).ok : cpu.push<u16>(static_cast<u16>(event->error)).ok;
        if (!pushed)
            return false;
    }
    if (r.eip > r.segments[kCs].limit)
        return cpu.fault(kGeneralProtection, 0);
    const auto trap = (r.tr.access & 8) != 0 ? cpu.read_system<u16>(r.tr.base + 0x64) : Access<u16>{};
    if (trap.ok && (trap.value & 1) != 0) {
        cpu.attention().pend_trap(kDebugTaskSwitch);
    }
    return true;
}

} // namespace

bool switch_task(Context& cpu, const TaskSwitchRequest& request) {
    CpuState& r = cpu.regs();
    const auto [selector, kind, name, return_eip, event] = request;
    const bool from_virtual_8086 = r.virtual_8086();
    Descriptor target;
    if (!read_task_descriptor(cpu, selector, kind, event != nullptr ? event->ext() : 0, target))
        return false;
    const u32 base = target.base();
    const TaskLayout& layout = target.is_32bit() ? kWide : kNarrow;
    const u32 flags = event != nullptr ? event->saved_flags(r.eflags()) : r.eflags();
    save_task(cpu, return_eip, kind == TaskSwitch::Return ? flags & ~u32{kFlagNt} : flags);

    const auto fetch = [&](u32 at) -> u32 {
        return layout.step == 4 ? cpu.read_system<u32>(base + at).value : cpu.read_system<u16>(base + at).value;
    };
    std::array<u32, 8> registers{};
    std::array<u16, kSegmentCount> selectors{};
    const u32 new_eip = fetch(layout.eip);
    const u32 new_flags = fetch(layout.flags) | (kind == TaskSwitch::Call ? u32{kFlagNt} : 0);
    for (u8 i = 0; i < 8; ++i)
        registers[i] = fetch(layout.registers + i * layout.step);
    for (u8 i = 0; i < layout.segment_count; ++i)
        selectors[i] = cpu.read_system<u16>(base + layout.segments + i * layout.step).value;
    const u16 new_ldt = cpu.read_system<u16>(base + layout.ldt).value;
    const u32 new_cr3 = layout.step == 4 ? cpu.read_system<u32>(base + 0x1C).value : r.cr3;
    const bool new_space = (r.cr0 & kCr0Pg) != 0 && new_cr3 != r.cr3;
    if (new_space && !cpu.mmu().paging().accepts_cr3(new_cr3))
        return cpu.fault(kGeneralProtection, 0);
    if (!link_tasks(cpu, r.tr.selector, target, kind))
        return false;

    r.tr = SegmentCache::from(selector, target);
    r.cr0 |= kCr0Ts;
    if (new_space) {
        r.cr3 = new_cr3;
        cpu.mmu().write_cr3(new_cr3, TlbFlushReason::TaskSwitch);
    }
    for (u8 i = 0; i < 8; ++i)
        r.set_reg<u32>(i, layout.step == 4 ? registers[i] : registers[i] | 0xFFFF0000u);
    r.set_eflags(new_flags & cpu.model().eflags);
    cpu.flags_changed();
    r.eip = new_eip;
    constexpr u32 kLocalEnables = 0x155; // L0..L3, LE
    if ((r.dr[7] & kLocalEnables) != 0) {
        r.dr[7] &= ~kLocalEnables;
        cpu.debug_registers_changed();
    }
    cpu.progress().task_switched = true;
    cpu.meter().charge_task_switch(request, from_virtual_8086, layout.step == 4);
    return enter_task(cpu, new_ldt, selectors, event, layout.step);
}

} // namespace forkscope::protection
