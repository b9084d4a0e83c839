/* Owns: the two 8259 interrupt controllers. Devices are unmasked by their driver's line. */
#ifndef KERNEL_INTERRUPTS_H
#define KERNEL_INTERRUPTS_H

#include "guest/kernel/types.h"

#define IRQ_TIMER 0
#define IRQ_KEYBOARD 1
#define IRQ_SERIAL 4

/* Moves the sixteen lines to vectors 32..47 and masks them all. */
void interrupts_init(void);
/* Unmasks one line; the init functions of drivers call it. */
void interrupts_unmask(unsigned line);
/* Handles one interrupt and acknowledges it; trap_dispatch() calls it. Spurious ones are dropped. */
void interrupts_handle(unsigned line);

#endif
