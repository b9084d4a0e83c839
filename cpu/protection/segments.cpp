// Descriptor tables and the checks around them (SDM 3A chapters 3 and 5).
#include "cpu/protection/segments.hpp"

namespace forkscope::protection {

bool read_table_entry(Context& cpu, u32 linear, Descriptor& entry) {
    entry.address = LinearAddress(linear);
    const u8* plain = cpu.mmu().plain_bytes(entry.address, 8, Privilege::Supervisor, AccessKind::Read);
    if (plain != nullptr) [[likely]] {
        std::memcpy(&entry.bits, plain, sizeof entry.bits);
        return true;
    }
    const auto low = cpu.read_system<u32>(linear);
    if (!low.ok)
        return false;
    const auto high = cpu.read_system<u32>(linear + 4);
    if (!high.ok)
        return false;
    entry.bits = u64{high.value} << 32 | low.value;
    return true;
}

bool read_descriptor(Context& cpu, u16 selector, u8 vector, u32 ext, Descriptor& descriptor) {
    CpuState& r = cpu.regs();
    const bool local = (selector & 4) != 0;
    const u32 base = local ? r.ldtr.base : r.gdtr.base;
    const u32 limit = local ? (r.ldtr.valid ? r.ldtr.limit : 0) : r.gdtr.limit;
    const u32 at = selector & 0xFFF8u;
    if ((local && !r.ldtr.valid) || at + 7 > limit)
        return cpu.fault(vector, (selector & 0xFFFCu) | ext);
    return read_table_entry(cpu, base + at, descriptor);
}

bool mark_accessed(Context& cpu, Descriptor& descriptor) {
    if ((descriptor.access() & kAccessAccessed) != 0)
        return true;
    descriptor.bits |= Descriptor::kAccessed;
    cpu.meter().charge_path(CostPath::DescriptorUnaccessed);
    const u32 at = static_cast<u32>(descriptor.address.value) + 5;
    return cpu.write_system<u8>(at, descriptor.access()).ok;
}

bool load_segment(Context& cpu, u8 segment, u16 selector) {
    CpuState& r = cpu.regs();
    if (!r.protected_mode()) {
        // Real mode changes selector and base only; limit and rights stay ("unreal mode").
        r.segments[segment].load_real(selector);
        return true;
    }
    if (r.virtual_8086()) {
        r.segments[segment].load_virtual_8086(selector);
        return true;
    }
    const u32 error = selector & 0xFFFCu;
    const u8 rpl = selector & 3;
    if (error == 0) {
        if (segment == kSs)
            return cpu.fault(kGeneralProtection, 0);
        r.segments[segment] = SegmentCache::null(selector);
        return true;
    }
    Descriptor descriptor;
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    bool allowed;
    if (segment == kSs) {
        allowed = descriptor.is_writable_data() && rpl == r.cpl && descriptor.dpl() == r.cpl;
    } else {
        const bool type_fits = descriptor.is_data() || descriptor.is_readable_code();
        allowed = type_fits && (descriptor.is_conforming() || (descriptor.dpl() >= rpl && descriptor.dpl() >= r.cpl));
    }
    if (!allowed)
        return cpu.fault(kGeneralProtection, error);
    if (!descriptor.present())
        return cpu.fault(segment == kSs ? kStackFault : kSegmentNotPresent, error);
    if (!mark_accessed(cpu, descriptor))
        return false;
    r.segments[segment] = cpu.parsed().of(selector, descriptor);
    return true;
}

void set_code_segment(Context& cpu, const SegmentCache& cache, u8 cpl) {
    CpuState& r = cpu.regs();
    r.segments[kCs] = cache;
    r.segments[kCs].selector = static_cast<u16>((cache.selector & 0xFFFC) | cpl);
    cpu.set_cpl(cpl);
}

void set_real_code_segment(Context& cpu, u16 selector) {
    CpuState& r = cpu.regs();
    SegmentCache& cs = r.segments[kCs];
    cs.access = static_cast<u8>((cs.access & kAccessDpl) | kAccessPresent | kAccessNotSystem | kAccessReadWrite |
                                kAccessAccessed);
    cs.load_real(selector);
}

bool load_ldtr(Context& cpu, u16 selector) {
    CpuState& r = cpu.regs();
    if ((selector & 0xFFFC) == 0) {
        r.ldtr = SegmentCache{};
        r.ldtr.selector = selector;
        return true;
    }
    Descriptor descriptor;
    if ((selector & 4) != 0)
        return cpu.fault(kGeneralProtection, selector & 0xFFFCu);
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is(SystemType::Ldt))
        return cpu.fault(kGeneralProtection, selector & 0xFFFCu);
    if (!descriptor.present())
        return cpu.fault(kSegmentNotPresent, selector & 0xFFFCu);
    r.ldtr = cpu.parsed().of(selector, descriptor);
    return true;
}

bool load_task_register(Context& cpu, u16 selector) {
    CpuState& r = cpu.regs();
    Descriptor descriptor;
    if ((selector & 0xFFFC) == 0)
        return cpu.fault(kGeneralProtection, 0);
    if ((selector & 4) != 0)
        return cpu.fault(kGeneralProtection, selector & 0xFFFCu);
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return false;
    if (!descriptor.is_any(kAvailableTss))
        return cpu.fault(kGeneralProtection, selector & 0xFFFCu);
    if (!descriptor.present())
        return cpu.fault(kSegmentNotPresent, selector & 0xFFFCu);
    descriptor.bits |= Descriptor::kBusy;
    const u32 upper = static_cast<u32>(descriptor.bits >> 32);
    if (!cpu.write_system<u32>(static_cast<u32>(descriptor.address.value) + 4, upper).ok)
        return false;
    r.tr = cpu.parsed().of(selector, descriptor);
    return true;
}

Access<bool> visible_descriptor(Context& cpu, u16 selector, Descriptor& descriptor) {
    CpuState& r = cpu.regs();
    if ((selector & 0xFFFC) == 0)
        return {false};
    const bool local = (selector & 4) != 0;
    const u32 limit = local ? r.ldtr.limit : r.gdtr.limit;
    if ((local && !r.ldtr.valid) || (selector & 0xFFF8u) + 7 > limit)
        return {false};
    if (!read_descriptor(cpu, selector, kGeneralProtection, 0, descriptor))
        return Access<bool>::fault(); // a page fault in the table itself
    if (descriptor.is_conforming())
        return {true};
    return {descriptor.dpl() >= r.cpl && descriptor.dpl() >= (selector & 3)};
}

bool io_allowed(Context& cpu, u16 port, u32 size) {
    CpuState& r = cpu.regs();
    if (!r.protected_mode() || (!r.virtual_8086() && r.cpl <= r.iopl()))
        return true;
    const SegmentCache& tr = r.tr;
    const bool has_bitmap = tr.valid && (tr.access & 0x1D) == 0x09 && tr.limit >= 0x67;
    if (has_bitmap) {
        const auto start = cpu.read_system<u16>(tr.base + 0x66);
        if (!start.ok)
            return false;
        const u32 at = start.value + (port >> 3);
        if (at + 1 <= tr.limit) {
            const auto bits = cpu.read_system<u16>(tr.base + at);
            if (!bits.ok)
                return false;
            if (((bits.value >> (port & 7)) & ((1u << size) - 1)) == 0)
                return true;
        }
    }
    return cpu.fault(kGeneralProtection, 0);
}

} // namespace forkscope::protection
