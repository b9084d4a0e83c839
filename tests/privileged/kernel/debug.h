/* Owns: what the topics of debug registers and of single steps share.
 * Callers: debugs.c, steps.c. Promises: nothing is left set from one case to the next. */
#ifndef PRIVILEGED_DEBUG_H
#define PRIVILEGED_DEBUG_H

#include "case.h"

enum condition { ON_EXECUTE, ON_WRITE, ON_PORT, ON_ACCESS };
enum { LOCAL_ENABLE = 1, GLOBAL_ENABLE = 2, LENGTH_1 = 0, LENGTH_2 = 1, LENGTH_8 = 2, LENGTH_4 = 3 };
enum { DR7_EXACT = 0x300, DR7_GD = 0x2000, CR4_DE = 8 };
enum { V_SEGMENT = V_CODE >> 4 };

static inline void break_at(u32 number, u32 address, u32 condition, u32 length, u32 enables) {
    start_dr[number] = address;
    start_dr7 |= enables << (2 * number) | (condition | length << 2) << (16 + 4 * number);
}

/* Rings 0 to 3 in 32 bits, ring 0 and 3 in 16 bits on a flat stack, virtual-8086 mode with IOPL 3. */
enum { IN_16_BITS = 4, IN_16_BITS_RING_3 = 5, IN_VIRTUAL = 6, MODES = 7 };
void start_in_mode(u32 mode);
/* The linear address of the case's first instruction. */
u32 first_instruction(u32 mode);
/* An operand-size prefix where the mode is of 16 bits: what follows has 32. */
void emit_wide(u32 mode);
/* DATA, or what lies there in virtual-8086 mode: reached by EBX. */
u32 data_of_mode(u32 mode);

#endif
