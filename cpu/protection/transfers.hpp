// Owns: far jumps, calls and returns (SDM 2: JMP, CALL, RET; SDM 3A 5.8).
// Callers: handlers; interrupts.cpp returns to outer rings with it. Promises: each commits everything, or records a
// fault and returns false.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

// `size`: of the operand in bytes, 2 or 4.
[[nodiscard]] bool far_jump(Context& cpu, u16 selector, u32 offset, u32 size, u32 next_eip);
[[nodiscard]] bool far_call(Context& cpu, u16 selector, u32 offset, u32 size, u32 return_eip);
// `release`: bytes of parameters.
[[nodiscard]] bool far_return(Context& cpu, u32 size, u32 release);

// What a return pops that leads outwards.
struct OuterReturn {
    u32 eip;
    u16 selector;
    u32 esp;
    u16 ss;
    u8 absent_stack; // the vector for a stack segment that is not present
    CostPath path;
};
// The code segment that a far return or IRET names, at the same or an outer ring.
[[nodiscard]] bool read_return_segment(Context& cpu, u16 selector, Descriptor& code);
[[nodiscard]] bool check_return_address(Context& cpu, u32 eip, const Descriptor& code);
[[nodiscard]] bool return_outer(Context& cpu, const OuterReturn& to, Descriptor& code);

} // namespace forkscope::protection
