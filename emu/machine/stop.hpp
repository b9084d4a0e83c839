// Owns: StopReason, why Machine::run returned.
// Callers: Machine answers with it; sessions, debuggers and tests read it. Promises: plain data.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

enum class StopKind : u8 {
    Limit,      // the cycle or instruction count asked for
    Breakpoint, // the next instruction has one: `id` is the first that was set there
    Requested,  // request_stop(): `id` is what it was given; kNobody: the Cpu alone was asked
    Exit,       // the guest ended the machine: exit_status()
    Shutdown,   // triple fault
    Halted,     // HLT, or a wait for an x87 error's interrupt, and nothing can ever wake the CPU
};

inline constexpr u32 kNobody = ~u32{0};

struct StopReason {
    StopKind kind = StopKind::Limit;
    u32 id = 0;
};

} // namespace forkscope
