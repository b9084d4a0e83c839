// Owns: delivery of exceptions and interrupts, and the return from them (SDM 3A chapter 6).
// Callers: handlers of INT and IRET; the run loop and engines deliver. Promises: interrupt() and interrupt_return()
// commit everything, or record a fault and return false; the others end with the processor in a handler, or shut down.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

[[nodiscard]] bool interrupt(Context& cpu, const InterruptRequest& request, u32 return_eip);
[[nodiscard]] bool interrupt_return(Context& cpu, u32 size, u32 next_eip);

// The recorded exception, at the present eip; on trouble the double fault, then shutdown.
void deliver_exception(Context& cpu);
inline void deliver(Context& cpu, Faulted) { deliver_exception(cpu); }
// INTR, NMI or a debug trap, between two instructions. DR6 only gathers bits; the guest's handler clears it.
void deliver_hardware(Context& cpu, const InterruptRequest& request);
void deliver_debug(Context& cpu, u32 dr6_bits);

} // namespace forkscope::protection
