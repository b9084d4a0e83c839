// Owns: segment registers and the tables that they are loaded from, with the checks around them (SDM 3A chapters 3, 5).
// Callers: handlers, and the rest of cpu/protection. Promises: false, or an Access that is not ok, says that a fault
// was recorded; then nothing has changed that the guest can see.
#pragma once

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

// MOV, POP and LxS to a data or stack segment register.
[[nodiscard]] bool load_segment(Context& cpu, u8 segment, u16 selector);
// CS, checked, with the ring that it brings; and as real and virtual-8086 mode load it: the limit stays as it was, but
// the segment can be written again after protected mode was left.
void set_code_segment(Context& cpu, const SegmentCache& cache, u8 cpl);
void set_real_code_segment(Context& cpu, u16 selector);
[[nodiscard]] bool load_ldtr(Context& cpu, u16 selector);
[[nodiscard]] bool load_task_register(Context& cpu, u16 selector);

// Reads eight bytes of the GDT, LDT or IDT. The descriptor of the GDT or LDT; outside the table: `vector` with the
// selector's error code | `ext`.
[[nodiscard]] bool read_table_entry(Context& cpu, u32 linear, Descriptor& entry);
[[nodiscard]] bool read_descriptor(Context& cpu, u16 selector, u8 vector, u32 ext, Descriptor& descriptor);
[[nodiscard]] bool mark_accessed(Context& cpu, Descriptor& descriptor);
// For LAR, LSL, VERR, VERW: may the present privilege see the descriptor?
Access<bool> visible_descriptor(Context& cpu, u16 selector, Descriptor& descriptor);

// IOPL first, then the TSS's bitmap (SDM 1, 18.5).
[[nodiscard]] bool io_allowed(Context& cpu, u16 port, u32 size);

} // namespace forkscope::protection
