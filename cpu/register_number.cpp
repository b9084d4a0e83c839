#include "cpu/register_number.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "cpu/cpu.hpp"
#include "cpu/numbers/simd_float.hpp"

namespace forkscope {

namespace {

constexpr u32 kWritableFlags = kFlagsArithmetic | kFlagT | kFlagI | kFlagD | kFlagIopl | kFlagNt | kFlagAc | kFlagId;

// What MOV to the register would take without a fault, whatever the privilege.
bool accepts_cr0(const Cpu& cpu, const PagingState& paging, u32 value) {
    const bool paging_without_protection = (value & kCr0Pg) != 0 && (value & kCr0Pe) == 0;
    const bool not_write_through = (value & kCr0Nw) != 0 && (value & kCr0Cd) == 0;
    const bool leaves_virtual_8086 = cpu.state().virtual_8086() && (value & kCr0Pe) == 0;
    return !paging_without_protection && !not_write_through && !leaves_virtual_8086 && paging.accepts_cr0(value);
}

bool set_control(const Cpu& cpu, const PagingState& paging, CpuState& state, u8 number, u32 value) {
    switch (number) {
    case 0:
        state.cr0 = (value & cpu.model().cr0) | cpu.model().cr0_ones;
        return accepts_cr0(cpu, paging, state.cr0);
    case 2:
        state.cr2 = value;
        return true;
    case 3:
        state.cr3 = value;
        return paging.accepts_cr3(value);
    case 4:
        state.cr4 = value;
        return (value & ~cpu.model().cr4) == 0 && paging.accepts_cr4(value);
    default:
        return false;
    }
}

Result<Descriptor> descriptor_of(const CpuState& r, const PagingState& paging, u16 selector) {
    const bool local = (selector & 4) != 0;
    const u32 at = selector & 0xFFF8u;
    const u32 base = local ? r.ldtr.base : r.gdtr.base;
    if ((local && !r.ldtr.valid) || at + 7 > (local ? r.ldtr.limit : r.gdtr.limit))
        return Error{fmt::format("selector {:#06x} lies outside of the {}", selector, local ? "LDT" : "GDT")};
    std::array<u8, sizeof(u64)> bytes{};
    for (u32 i = 0; i < bytes.size(); ++i) { // a table may lie anywhere: page by page, byte by byte
        const LinearAddress linear(u32{base + at + i});
        PhysicalAddress physical = paging.on_bus(linear.value);
        if (paging.control().paging()) {
            const Walk walk = paging.look(linear, Privilege::Supervisor, AccessKind::Read);
            if (!walk.ok)
                return Error{fmt::format("the descriptor of selector {:#06x} is not mapped", selector)};
            physical = walk.physical;
        }
        if (!paging.memory().read(physical, std::span(bytes).subspan(i, 1)))
            return Error{fmt::format("the descriptor of selector {:#06x} is not in memory", selector)};
    }
    Descriptor descriptor;
    descriptor.address = LinearAddress(u32{base + at});
    std::memcpy(&descriptor.bits, bytes.data(), sizeof descriptor.bits);
    return descriptor;
}

// The checks of MOV to a segment register (SDM 3A 5.5 to 5.7); of CS those of a far jump that stays in its ring
// (5.8.1).
bool may_load(const Descriptor& descriptor, u8 segment, u8 rpl, u8 cpl) {
    if (segment == kSs)
        return descriptor.is_writable_data() && rpl == cpl && descriptor.dpl() == cpl;
    if (segment == kCs)
        return descriptor.is_segment() && !descriptor.is_data() && rpl == cpl &&
               (descriptor.is_conforming() ? descriptor.dpl() <= cpl : descriptor.dpl() == cpl);
    return (descriptor.is_data() || descriptor.is_readable_code()) &&
           (descriptor.is_conforming() || (descriptor.dpl() >= rpl && descriptor.dpl() >= cpl));
}

Result<SegmentCache> loaded_segment(const CpuState& r, const PagingState& paging, u8 segment, u64 value) {
    if (value > 0xFFFF)
        return Error{"a selector has 16 bits"};
    const auto selector = static_cast<u16>(value);
    SegmentCache cache = r.segments[segment];
    if (!r.protected_mode() || r.virtual_8086()) {
        if (r.virtual_8086())
            cache.load_virtual_8086(selector);
        else
            cache.load_real(selector);
        return cache;
    }
    if ((selector & 0xFFFC) == 0) {
        if (segment == kSs || segment == kCs)
            return Error{"CS and SS cannot hold a null selector"};
        return SegmentCache::null(selector);
    }
    auto descriptor = descriptor_of(r, paging, selector);
    if (!descriptor.ok())
        return descriptor.error();
    if (!may_load(*descriptor, segment, selector & 3, r.cpl))
        return Error{fmt::format(
            "the descriptor of selector {:#06x} is of no segment that this register takes at CPL {}", selector, r.cpl)};
    if (!descriptor->present())
        return Error{fmt::format("the descriptor of selector {:#06x} is not present", selector)};
    descriptor->bits |= Descriptor::kAccessed;
    return SegmentCache::from(selector, *descriptor);
}

bool set_float_control(X87State& x87, u8 index, u64 value) {
    const u64 most = index == 4 || index == 6 ? 0xFFFFFFFF : index == 7 ? 0x7FF : 0xFFFF;
    const auto word = static_cast<u16>(value);
    if (value > most)
        return false;
    switch (index) {
    case 0:
        x87.set_control_word(word);
        return true;
    case 1:
        x87.set_status_word(word);
        return true;
    case 2:
        x87.set_tag_word(word);
        return true;
    case 3:
        x87.instruction_selector = word;
        return true;
    case 4:
        x87.instruction_offset = static_cast<u32>(value);
        return true;
    case 5:
        x87.data_selector = word;
        return true;
    case 6:
        x87.data_offset = static_cast<u32>(value);
        return true;
    default:
        x87.opcode = word;
        return true;
    }
}

// Registers of one, two or four words of 32 bits.
bool set_plain(const Cpu& cpu, const PagingState& paging, CpuState& state, RegisterNumber number, u64 value) {
    const auto within = [number](RegisterNumber first, RegisterNumber last) {
        return number >= first && number <= last;
    };
    const auto from = [number](RegisterNumber first) {
        return static_cast<u8>(static_cast<u8>(number) - static_cast<u8>(first));
    };
    const u8 half = from(RegisterNumber::Xmm0Low);
    if (within(RegisterNumber::St0Low, RegisterNumber::St7High)) {
        const u8 part = from(RegisterNumber::St0Low);
        Float80& target = state.x87.registers[state.x87.physical(part / 2u)];
        if (part % 2 == 0)
            target.significand = value;
        else
            target.sign_exponent = static_cast<u16>(value);
        return part % 2 == 0 || value <= 0xFFFF;
    }
    if (within(RegisterNumber::Xmm0Low, RegisterNumber::Xmm7High)) {
        (half % 2 == 0 ? state.xmm[half / 2].low : state.xmm[half / 2].high) = value;
        return cpu.model().has(Feature::Sse);
    }
    const auto word = static_cast<u32>(value);
    if (value > 0xFFFFFFFF)
        return false;
    if (number <= RegisterNumber::Edi)
        state.set_reg<u32>(static_cast<u8>(number), word);
    else if (number == RegisterNumber::Eip)
        state.eip = word;
    else if (number == RegisterNumber::Eflags)
        state.set_eflags((state.eflags() & ~kWritableFlags) | (word & kWritableFlags & cpu.model().eflags));
    else if (within(RegisterNumber::Cr0, RegisterNumber::Cr4))
        return set_control(cpu, paging, state, from(RegisterNumber::Cr0), word);
    else if (within(RegisterNumber::Dr0, RegisterNumber::Dr3))
        state.dr[from(RegisterNumber::Dr0)] = word;
    else if (within(RegisterNumber::FloatControl, RegisterNumber::FloatOpcode))
        return set_float_control(state.x87, from(RegisterNumber::FloatControl), value);
    else if (number == RegisterNumber::Mxcsr) {
        state.mxcsr = word;
        return cpu.model().has(Feature::Sse) && (word & ~u32{kMxcsrAll}) == 0;
    } else
        return false;
    return true;
}

Result<CpuState> with_register(const Cpu& cpu, const PagingState& paging, RegisterNumber number, u64 value) {
    CpuState state = cpu.state();
    if (number < RegisterNumber::Es || number > RegisterNumber::Gs) {
        if (!set_plain(cpu, paging, state, number, value))
            return Error{"the processor does not take this value there"};
        return state;
    }
    const auto segment = static_cast<u8>(static_cast<u8>(number) - static_cast<u8>(RegisterNumber::Es));
    auto cache = loaded_segment(state, paging, segment, value);
    if (!cache.ok())
        return cache.error();
    state.segments[segment] = *cache;
    return state;
}

} // namespace

Result<void> check_register(const Cpu& cpu, const PagingState& paging, RegisterNumber number, u64 value) {
    const auto state = with_register(cpu, paging, number, value);
    return state.ok() ? Result<void>() : state.error();
}

bool write_register(Cpu& cpu, const PagingState& paging, RegisterNumber number, u64 value) {
    const auto state = with_register(cpu, paging, number, value);
    if (state.ok())
        cpu.set_state(*state);
    return state.ok();
}

} // namespace forkscope
