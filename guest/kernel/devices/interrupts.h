/* Owns: the two 8259 interrupt controllers. Devices are unmasked by their driver's line. */
#ifndef KERNEL_INTERRUPTS_H
#define KERNEL_INTERRUPTS_H

#include "guest/kernel/types.h"

#define IRQ_TIMER 0
#define IRQ_KEYBOARD 1
#define IRQ_SERIAL 4

/* Moves the sixteen lines to vectors 32..47 and masks them all. */
void interrupts_init(void);
/* Lets one line through. */
void interrupts_unmask(unsigned line);
/* Handles one interrupt; trap_dispatch() calls. Spurious ones are dropped. */
void interrupts_handle(unsigned line);

#endif
