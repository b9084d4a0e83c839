/* Owns: the line discipline between keyboard or serial line and the processes that read the console.
 * Interrupts put characters in, /dev/console takes lines out. Promises: echo, backspace, ^U, ^D, ^C -> SIGINT. */
#ifndef KERNEL_TERMINAL_H
#define KERNEL_TERMINAL_H

#include "guest/kernel/types.h"

void terminal_init(void);
/* Takes one typed character; interrupts call. */
void terminal_input(char character);
/* Reads at most one line into user memory; blocks. Returns bytes, 0 at end of file, or a negative error. */
int terminal_read(ptr_t buffer, size_t bytes);
/* Writes user memory on the console. Returns bytes or a negative error. */
int terminal_write(ptr_t buffer, size_t bytes);

#endif
