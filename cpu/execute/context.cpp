#include "cpu/execute/context.hpp"

#include "cpu/numbers/float80_fast.hpp"

namespace forkscope {

Faulted Context::page_fault() {
    const PageFaultInfo& info = mmu_.fault();
    return fault(info.misaligned ? kAlignmentCheck : kPageFault, info.error_code);
}

Access<void> Context::probe_write(u8 segment, u32 offset, u32 size) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, size))
        return segment_fault(segment);
    if (!mmu_.probe_write(LinearAddress(cache.base + offset), size, privilege_).ok)
        return page_fault();
    return {};
}

void Context::set_cpl(u8 cpl) {
    if (meter_.counting()) [[unlikely]]
        meter_.bring_counters_up_to_date();
    state_.cpl = cpl;
    privilege_ = cpl == 3 ? Privilege::User : Privilege::Supervisor;
    if (cpl == 3 && (state_.cr4 & (kCr4Vme | kCr4Pvi)) != 0)
        attention_.want(Attention::kVirtualInterrupt);
}

void Context::flags_changed() {
    mmu_.set_alignment_check(state_.flag(kFlagAc) && (state_.cr0 & kCr0Am) != 0);
    if (state_.flag(kFlagT))
        attention_.want(Attention::kTrap);
    if (state_.flag(kFlagI))
        attention_.interrupts_enabled();
}

void Context::debug_registers_changed() {
    breakpoints_.registers_changed(state_, mmu_);
    breakpoints_changed();
}

void Context::report_port_breakpoints(u16 port, u32 size) {
    const u32 hits = breakpoints_.hits_on_port(state_, port, size);
    for (u8 number = 0; number < 4; ++number) {
        if ((hits >> number & 1) != 0)
            attention_.breakpoint_hit(number);
    }
}

void Context::set_host_float(HostFloat host) {
    static const bool whole = host_x87_is_whole();
    host_x87_ = whole ? host : HostFloat::Never;
    host_sse_ = host;
}

} // namespace forkscope
