/* Owns: the tick (8254 channel 0) and those who sleep until one. Promises: 1 kHz unless tick=HZ says otherwise. */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "guest/kernel/types.h"

/* Starts the tick; tick=HZ and timerphase=N on the command line shape it. */
void clock_init(void);
/* Counts a tick; the timer's interrupt calls. */
void clock_interrupt(void);
/* Returns milliseconds since boot. */
uint32_t clock_milliseconds(void);
/* Lets the running thread sleep; 0, or -EINTR where a signal came first. */
int clock_sleep(uint32_t milliseconds);

#endif
