// Owns: virtual interrupts: CR4.VME in virtual-8086 mode, CR4.PVI at CPL 3 (SDM 3A 20.3, 20.4).
// Callers: handlers of flags and INT, IRET, the run loop. Promises: as the tables there; but for redirection, functions
// of the registers alone.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

enum class InterruptFlag : u8 { Real, Virtual, Neither };
enum class Redirection : u8 { No, Done };

// What CLI and STI act on at this privilege (SDM 2A, table 3-7).
InterruptFlag interrupt_flag(const CpuState& r);
// A task that is entered with interrupts enabled while one is pending must tell its monitor before it runs (SDM 3A
// 20.3.2). Only IRET and task switches bring that about.
bool virtual_interrupt_due(const CpuState& r);
// The rules of CR4.VME for 16-bit PUSHF, POPF, IRET and INT n hold: virtual-8086 mode with IOPL < 3.
inline bool virtual_interrupts(const CpuState& r) { return r.virtual_8086() && r.iopl() < 3 && (r.cr4 & kCr4Vme) != 0; }
// FLAGS as a virtual-8086 task sees them then: VIF for IF, IOPL 3. And back: IF and IOPL keep their values; false =
// #GP(0) is due, as a task that enables interrupts while one is pending, or single step, must tell its monitor.
u16 virtual_flags(const CpuState& r);
[[nodiscard]] bool set_virtual_flags(CpuState& r, u16 flags);
// INT n in virtual-8086 mode with CR4.VME, if the TSS's bitmap leaves it to the 8086 program's own handler.
Access<Redirection> redirect_interrupt(Context& cpu, u8 vector, u32 return_eip);

} // namespace forkscope::protection
