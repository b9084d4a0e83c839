/* Owns: where the user half ends, where a program's stack lies in it, and where the kernel begins.
 * Callers: the kernel (through guest/kernel/layout.h), user programs. Plain C and C++; no types of either side.
 * Promises: the same in every process, on every personality. */
#ifndef FORKSCOPE_ABI_LAYOUT_H
#define FORKSCOPE_ABI_LAYOUT_H

#define USER_TOP 0xC0000000u
#define USER_STACK_TOP 0xBFFFF000u
#define USER_STACK_BYTES 0x00100000u /* the main thread's stack, its guard page included */

#define KERNEL_BASE 0xC0000000u

#endif
