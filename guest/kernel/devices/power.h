/* Owns: the end of the machine. */
#ifndef KERNEL_POWER_H
#define KERNEL_POWER_H

#include "guest/kernel/types.h"

/* Ends the machine with a status where the host lets us; stands still elsewhere. */
void power_off(uint8_t status) __attribute__((noreturn));

#endif
