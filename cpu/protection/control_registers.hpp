// Owns: the effects of writes to CR0, CR3 and CR4. Callers: handlers of MOV CRn, LMSW and CLTS.
// Promises: the caller has checked that the value is one that the register takes.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

void write_cr0(Context& cpu, u32 value);
void write_cr3(Context& cpu, u32 value);
void write_cr4(Context& cpu, u32 value);

} // namespace forkscope::protection
