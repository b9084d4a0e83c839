/* Owns: where characters go out: the VGA text screen and the first serial line. The terminal and printk() call.
 * Promises: output never blocks for long and never fails. */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include "guest/kernel/types.h"

/* Finds the devices and clears the screen. */
void console_init(void);
/* Reads console=serial|vga|both from the command line. */
void console_configure(void);
/* Writes characters; \n \r \b \t have their meaning. */
void console_write(const char* text, size_t bytes);
/* Takes characters received by the serial line; its interrupt calls. */
void console_serial_interrupt(void);

#endif
