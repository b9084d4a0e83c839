/* Owns: the end of the machine. */
#ifndef KERNEL_POWER_H
#define KERNEL_POWER_H

#include "guest/kernel/types.h"

/* Ends the machine with a status, through the exit port of Forkscope and QEMU; Bochs can only power off. Halts for ever
 * on any other machine. */
void power_off(uint8_t status) __attribute__((noreturn));

#endif
