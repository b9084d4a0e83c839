/* Owns: the line discipline between keyboard or serial line and the processes that read the console.
 * Interrupts put characters in, /dev/console takes lines out. Promises: echo, backspace, ^U, ^D, ^C -> SIGINT; in the
 * mode for keys nothing of that, and every character at once. */
#ifndef KERNEL_TERMINAL_H
#define KERNEL_TERMINAL_H

#include "guest/kernel/types.h"

/* Prepares the queue; kernel_main() calls it. */
void terminal_init(void);
/* Takes one typed character; the interrupts of keyboard and serial line call it. */
void terminal_input(char character);
/* Chooses TERMINAL_LINES or TERMINAL_KEYS; what was typed before can be read. Returns the mode before. */
int terminal_set_mode(int mode);
/* Reads at most one line into user memory; blocks until there is one. Returns the bytes read, 0 at end of file, -EINTR
 * or -EFAULT. */
int terminal_read(ptr_t buffer, size_t bytes);
/* Writes user memory to the console. Returns the bytes written, or -EFAULT if none could be read. */
int terminal_write(ptr_t buffer, size_t bytes);

#endif
