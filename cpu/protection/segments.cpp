// Segment registers, descriptor tables and the checks around them (SDM 3A chapters 3 and 5).
#include "cpu/cpu.hpp"

namespace forkscope {

Faulted Cpu::fault(u8 vector) {
    pending_ = {vector, false, 0};
    return {};
}

Faulted Cpu::fault(u8 vector, u32 error) {
    pending_ = {vector, true, error};
    return {};
}

Faulted Cpu::page_fault() {
    pending_ = {mmu_.fault().misaligned ? kAlignmentCheck : kPageFault, true, mmu_.fault().error_code};
    return {};
}

Access<void> Cpu::probe_write(u8 segment, u32 offset, u32 size) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, size))
        return segment_fault(segment);
    const auto probed = mmu_.probe_write(LinearAddress(cache.base + offset), size, privilege_);
    if (!probed.ok)
        return page_fault();
    return probed;
}

bool Cpu::read_descriptor(u16 selector, u8 vector, u32 ext, Descriptor& descriptor) {
    const bool local = (selector & 4) != 0;
    const u32 base = local ? state_.ldtr.base : state_.gdtr.base;
    const u32 limit = local ? (state_.ldtr.valid ? state_.ldtr.limit : 0) : state_.gdtr.limit;
    const u32 at = selector & 0xFFF8u;
    if ((local && !state_.ldtr.valid) || at + 7 > limit)
        return fault(vector, (selector & 0xFFFCu) | ext);
    descriptor.address = LinearAddress(base + at);
    const auto low = read_system<u32>(base + at);
    if (!low.ok)
        return false;
    const auto high = read_system<u32>(base + at + 4);
    if (!high.ok)
        return false;
    descriptor.bits = u64{high.value} << 32 | low.value;
    return true;
}

bool Cpu::mark_accessed(Descriptor& descriptor) {
    if ((descriptor.access() & kAccessAccessed) != 0)
        return true;
    descriptor.bits |= Descriptor::kAccessed;
    charge(cost_model_.path(CostPath::DescriptorUnaccessed));
    const u32 at = static_cast<u32>(descriptor.address.value) + 5;
    return write_system<u8>(at, descriptor.access()).ok;
}

void Cpu::enter_virtual_segment(u8 segment, u16 selector) { state_.segments[segment].load_virtual_8086(selector); }

// MOV, POP and LxS to a data or stack segment register. CS goes through set_code_segment.
bool Cpu::load_segment(u8 segment, u16 selector) {
    if (!state_.protected_mode()) {
        // Real mode changes selector and base only; limit and rights stay ("unreal mode").
        state_.segments[segment].load_real(selector);
        return true;
    }
    if (state_.virtual_8086()) {
        enter_virtual_segment(segment, selector);
        return true;
    }
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    if (error == 0) {
        if (segment == kSs)
            return fault(kGeneralProtection, 0);
        state_.segments[segment] = SegmentCache::null(selector);
        return true;
    }
    Descriptor descriptor;
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    bool allowed;
    if (segment == kSs) {
        allowed = descriptor.is_writable_data() && rpl == state_.cpl && descriptor.dpl() == state_.cpl;
    } else {
        const bool type_fits = descriptor.is_data() || descriptor.is_readable_code();
        allowed =
            type_fits && (descriptor.is_conforming() || (descriptor.dpl() >= rpl && descriptor.dpl() >= state_.cpl));
    }
    if (!allowed)
        return fault(kGeneralProtection, error);
    if (!descriptor.present())
        return fault(segment == kSs ? kStackFault : kSegmentNotPresent, error);
    if (!mark_accessed(descriptor))
        return false;
    state_.segments[segment] = SegmentCache::from(selector, descriptor);
    return true;
}

void Cpu::set_code_segment(const SegmentCache& cache, u8 cpl) {
    state_.segments[kCs] = cache;
    state_.segments[kCs].selector = static_cast<u16>((cache.selector & 0xFFFC) | cpl);
    set_cpl(cpl);
}

// The limit stays as it was, but the segment can be written again after a way through protected mode.
void Cpu::set_real_code_segment(u16 selector) {
    SegmentCache& cs = state_.segments[kCs];
    cs.access = static_cast<u8>((cs.access & kAccessDpl) | kAccessPresent | kAccessNotSystem | kAccessReadWrite |
                                kAccessAccessed);
    cs.load_real(selector);
}

bool Cpu::load_ldtr(u16 selector) {
    if ((selector & 0xFFFC) == 0) {
        state_.ldtr = SegmentCache{};
        state_.ldtr.selector = selector;
        return true;
    }
    Descriptor descriptor;
    if ((selector & 4) != 0)
        return fault(kGeneralProtection, selector & 0xFFFCu);
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is(SystemType::Ldt))
        return fault(kGeneralProtection, selector & 0xFFFCu);
    if (!descriptor.present())
        return fault(kSegmentNotPresent, selector & 0xFFFCu);
    state_.ldtr = SegmentCache::from(selector, descriptor);
    return true;
}

bool Cpu::load_task_register(u16 selector) {
    Descriptor descriptor;
    if ((selector & 0xFFFC) == 0)
        return fault(kGeneralProtection, 0);
    if ((selector & 4) != 0)
        return fault(kGeneralProtection, selector & 0xFFFCu);
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is_any(kAvailableTss))
        return fault(kGeneralProtection, selector & 0xFFFCu);
    if (!descriptor.present())
        return fault(kSegmentNotPresent, selector & 0xFFFCu);
    descriptor.bits |= Descriptor::kBusy;
    const u32 upper = static_cast<u32>(descriptor.bits >> 32);
    if (!write_system<u32>(static_cast<u32>(descriptor.address.value) + 4, upper).ok)
        return false;
    state_.tr = SegmentCache::from(selector, descriptor);
    return true;
}

Access<bool> Cpu::visible_descriptor(u16 selector, Descriptor& descriptor) {
    if ((selector & 0xFFFC) == 0)
        return {false};
    const bool local = (selector & 4) != 0;
    const u32 limit = local ? state_.ldtr.limit : state_.gdtr.limit;
    if ((local && !state_.ldtr.valid) || (selector & 0xFFF8u) + 7 > limit)
        return {false};
    if (!read_descriptor(selector, kGeneralProtection, 0, descriptor))
        return Access<bool>::fault(); // a page fault in the table itself
    if (descriptor.is_conforming())
        return {true};
    return {descriptor.dpl() >= state_.cpl && descriptor.dpl() >= (selector & 3)};
}

// IOPL first, then the TSS's bitmap (SDM 1, 18.5).
bool Cpu::io_allowed(u16 port, u32 size) {
    if (!state_.protected_mode() || (!state_.virtual_8086() && state_.cpl <= state_.iopl()))
        return true;
    const SegmentCache& tr = state_.tr;
    const bool has_bitmap = tr.valid && (tr.access & 0x1D) == 0x09 && tr.limit >= 0x67;
    if (has_bitmap) {
        const auto start = read_system<u16>(tr.base + 0x66);
        if (!start.ok)
            return false;
        const u32 at = start.value + (port >> 3);
        if (at + 1 <= tr.limit) {
            const auto bits = read_system<u16>(tr.base + at);
            if (!bits.ok)
                return false;
            if (((bits.value >> (port & 7)) & ((1u << size) - 1)) == 0)
                return true;
        }
    }
    return fault(kGeneralProtection, 0);
}

} // namespace forkscope
