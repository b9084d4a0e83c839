/* Owns: formatted output and reading by line.
 * Callers: every user program.
 * Promises: nothing stays in a buffer between two calls, so that fork never makes text appear twice.
 * Formats: %d %i %u %x %X %o %c %s %p %%, with the flags - and 0, a width and a precision (also *), and l, z, h. */
#ifndef FORKSCOPE_USER_STDIO_H
#define FORKSCOPE_USER_STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define STDIN 0
#define STDOUT 1
#define STDERR 2

int printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
int dprintf(int fd, const char* format, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char* to, size_t size, const char* format, ...) __attribute__((format(printf, 3, 4)));
int vdprintf(int fd, const char* format, va_list arguments);
int vsnprintf(char* to, size_t size, const char* format, va_list arguments);

int write_all(int fd, const void* bytes, size_t count);
int puts(const char* text);
int read_line(int fd, char* line, size_t size);
void complain(const char* program, const char* what);

#endif
