#include "cpu/register_number.hpp"

#include "cpu/cpu.hpp"

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

} // namespace

bool write_register(Cpu& cpu, const PagingState& paging, RegisterNumber number, u32 value) {
    CpuState state = cpu.state();
    const auto index = static_cast<u8>(number);
    const auto within = [number](RegisterNumber first, RegisterNumber last) {
        return number >= first && number <= last;
    };
    if (number <= RegisterNumber::Edi)
        state.set_reg<u32>(index, value);
    else if (number == RegisterNumber::Eip)
        state.eip = value;
    else if (number == RegisterNumber::Eflags)
        state.set_eflags((state.eflags() & ~kWritableFlags) | (value & kWritableFlags & cpu.model().eflags));
    else if (within(RegisterNumber::Cr0, RegisterNumber::Cr4)) {
        if (!set_control(cpu, paging, state, static_cast<u8>(index - static_cast<u8>(RegisterNumber::Cr0)), value))
            return false;
    } else if (within(RegisterNumber::Dr0, RegisterNumber::Dr3))
        state.dr[index - static_cast<u8>(RegisterNumber::Dr0)] = value;
    else
        return false;
    cpu.set_state(state);
    return true;
}

} // namespace forkscope
