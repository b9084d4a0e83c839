/* Owns: the way into and out of the kernel: traps, interrupts, the saved registers of a user program.
 * Promises: the kernel runs with interrupts off, except in the idle process; a thread that returns to user mode has
 * first died if it must, given way if its time is over, and met its signals. */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

#include "guest/kernel/types.h"

/* What trap_entry.S pushes, from the lowest address up. user_esp and user_ss exist only for traps from ring 3. */
struct trap_frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags, user_esp, user_ss;
};

#define TRAP_DIVIDE 0
#define TRAP_DEBUG 1
#define TRAP_NMI 2
#define TRAP_BREAKPOINT 3
#define TRAP_INVALID 6
#define TRAP_NO_FPU 7
#define TRAP_DOUBLE_FAULT 8
#define TRAP_PAGE_FAULT 14
#define TRAP_FPU 16
#define TRAP_IRQ_BASE 32
#define TRAP_IRQ_COUNT 16
#define TRAP_SYSTEM_CALL 0x80

#define PAGE_FAULT_PRESENT 1u
#define PAGE_FAULT_WRITE 2u
#define PAGE_FAULT_USER 4u

/* Says whether a trap came from ring 3. */
static inline bool trap_from_user(const struct trap_frame* frame) { return (frame->cs & 3) == 3; }

/* Fills the GDT, the task segments and the IDT, and loads them; kernel_main() calls it after pmap_init(). */
void descriptors_init(void);
/* Tells the CPU which stack to enter the kernel on; the scheduler calls it at each switch. */
void descriptors_set_kernel_stack(ptr_t top);
/* The double-fault task's function: the kernel's stack was unusable. Prints what the CPU saved of the broken task and
 * panics. */
void double_fault(void) __attribute__((noreturn));

/* Sets a frame's segments and flags for ring 3 and where it continues; other registers stay. New threads, exec and
 * signals call it. */
void trap_prepare_user(struct trap_frame* frame, ptr_t eip, ptr_t esp);

/* Handles a trap; trap_entry.S calls it with the saved registers. */
void trap_dispatch(struct trap_frame* frame);
/* Does what is due before a return to user mode; trap_entry.S calls it, for fresh threads too. May not return, for the
 * thread may die here. */
void trap_leave(struct trap_frame* frame);

/* Where a thread that never ran begins: leaves the kernel through the frame at esp. In trap_entry.S. */
void trap_return(void);

#endif
