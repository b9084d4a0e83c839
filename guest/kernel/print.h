/* Owns: formatted kernel messages. Anybody in the kernel calls, interrupts included.
 * Promises: every message reaches the console and, where the host has one, the debug console; never fails. */
#ifndef KERNEL_PRINT_H
#define KERNEL_PRINT_H

#include "guest/kernel/types.h"

/* Prints a kernel message, at any time after console_init(). Knows %s %c %d %u %x %%, a width and a leading zero. */
void printk(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* Prints a kernel message on the console and on the host's debug console, if there is one. */
void vprintk(const char* format, va_list arguments);
/* Formats into a bounded array, always ended by a zero; returns the characters written. */
size_t format_text(char* text, size_t capacity, const char* format, va_list arguments);

extern bool print_quiet; /* the command line says quiet: boot messages are left out */

#endif
