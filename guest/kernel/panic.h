/* Owns: how the kernel ends when it finds itself broken. Any code calls. Promises: message, registers, page walk and a
 * stack with names go to the console, TP_PANIC to the trace; then the machine stops, so that it can be inspected. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "guest/kernel/types.h"

struct trap_frame;

/* Ends the kernel with a message and the stack of its caller. */
void panic(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends the kernel with a message, the registers of a trap and the stack that it interrupted. */
void panic_trap(const struct trap_frame* frame, const char* format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#define KERNEL_ASSERT(condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            panic("%s:%d: assertion failed: %s", __FILE_NAME__, __LINE__, #condition);                                 \
        }                                                                                                              \
    } while (0)

#endif
