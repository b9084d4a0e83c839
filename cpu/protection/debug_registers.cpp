// Breakpoints, single step and the resume flag (SDM 3B 17.2, 17.3).
#include <algorithm>

#include "cpu/cpu.hpp"

namespace forkscope {

namespace {

// R/Wn of DR7.
enum class Condition : u8 { Execute = 0, Write = 1, Port = 2, ReadWrite = 3 };

struct Breakpoint {
    Condition condition;
    u32 address;
    u32 size;
};

bool enabled(u32 dr7, u8 number) { return (dr7 >> (2 * number) & 3) != 0; } // L or G: both mean the same here

// The low bits of the address that the length covers are ignored. Length 2 is undefined on 32-bit processors: 8 bytes.
Breakpoint breakpoint_of(const std::array<u32, 8>& dr, u8 number) {
    constexpr u8 kSizes[] = {1, 2, 8, 4};
    const u32 fields = dr[7] >> (16 + 4 * number);
    const u32 size = kSizes[fields >> 2 & 3];
    return {static_cast<Condition>(fields & 3), dr[number] & ~(size - 1), size};
}

} // namespace

// Sorts the enabled breakpoints by who has to look for them. Those of undefined kind (I/O without CR4.DE) find nothing.
void Cpu::debug_registers_changed() {
    std::vector<LinearWatch> watches;
    code_breakpoints_ = port_breakpoints_ = 0;
    for (u8 number = 0; number < 4; ++number) {
        if (!enabled(state_.dr[7], number))
            continue;
        const Breakpoint at = breakpoint_of(state_.dr, number);
        const u8 bit = static_cast<u8>(1u << number);
        switch (at.condition) {
        case Condition::Execute:
            code_breakpoints_ |= bit;
            break;
        case Condition::Port:
            if ((state_.cr4 & kCr4De) != 0)
                port_breakpoints_ |= bit;
            break;
        case Condition::Write:
        case Condition::ReadWrite:
            watches.push_back({at.address, at.size, at.condition == Condition::ReadWrite, number});
            break;
        }
    }
    mmu_.set_watches(watches);
    if (any_breakpoint())
        attention_ |= kAttentionBreakpoint;
    else
        attention_ &= ~u32{kAttentionBreakpoint};
}

u32 Cpu::code_breakpoints_at(u32 linear) const {
    u32 hits = 0;
    for (u8 number = 0; number < 4; ++number) {
        if ((code_breakpoints_ >> number & 1) != 0 && state_.dr[number] == linear)
            hits |= 1u << number;
    }
    return hits;
}

// A breakpoint of the guest's or of a debugger's.
bool Cpu::breaks_at(u32 linear) const {
    return code_breakpoints_at(linear) != 0 || std::binary_search(breakpoints_.begin(), breakpoints_.end(), linear);
}

void Cpu::match_port_breakpoints(u16 port, u32 size) {
    for (u8 number = 0; number < 4; ++number) {
        const Breakpoint at = breakpoint_of(state_.dr, number);
        const bool overlaps = port - at.address < at.size || at.address - port < size;
        if ((port_breakpoints_ >> number & 1) != 0 && overlaps)
            breakpoint_hit(number);
    }
}

// An instruction goes on to its end, a repeated one to the end of its iteration.
void Cpu::breakpoint_hit(u8 number) {
    if (current_ != nullptr)
        watch_hits_ |= 1u << number;
    else
        trap_pending_ |= 1u << number; // the frame of an interrupt or fault
    raise_attention(kAttentionTrap);
}

// DR6 only gathers bits; the handler clears it.
void Cpu::deliver_debug(u32 dr6_bits) {
    state_.dr[6] |= dr6_bits;
    deliver_hardware({kDebugException, InterruptCause::Trap});
}

// After an instruction that began with TF or RF. TF counts as it was before: POPF that clears it still traps, POPF that
// sets it does not. An interrupt that the instruction delivered has taken the trap's place, and so has the shadow of
// MOV SS.
void Cpu::after_special_instruction(u32 special, Step step) {
    if ((special & kFlagT) == 0 || step == Step::Fault || !step_trap_ || debug_shadowed())
        return;
    trap_pending_ |= kDebugSingleStep;
    attention_ |= kAttentionTrap;
}

} // namespace forkscope
