/* Owns: the tick (8254 channel 0) and the threads that sleep until one. Promises: 1 kHz unless tick=HZ says otherwise.
 * */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "guest/kernel/types.h"

/* Starts the tick. tick=HZ sets its rate; timerphase=N makes the first period N timer counts longer. */
void clock_init(void);
/* Counts a tick, wakes sleepers, and charges the running thread; the timer's interrupt calls it. */
void clock_interrupt(void);
/* Returns milliseconds since boot. */
uint32_t clock_milliseconds(void);
/* Puts the running thread to sleep. Returns 0, or -EINTR if a signal arrived first. */
int clock_sleep(uint32_t milliseconds);

#endif
