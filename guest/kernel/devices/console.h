/* Owns: the VGA text screen and the first serial line: characters go out to both, those received go to the terminal.
 * The terminal and printk() call. Promises: output never blocks for long and never fails. */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include "guest/kernel/types.h"

/* Finds the devices and clears the screen; kernel_main() calls it first, so that a panic can be seen. */
void console_init(void);
/* Reads console=serial|vga|both from the command line; any other value means both. */
void console_configure(void);
/* Writes characters to every device that is on; \n \r \b \t are interpreted. printk() and the terminal call it. */
void console_write(const char* text, size_t bytes);
/* Passes received characters to the terminal; the interrupt of the serial line calls it. */
void console_serial_interrupt(void);

#endif
