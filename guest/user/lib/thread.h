/* Owns: threads and the lock that they share memory with.
 * Callers: programs with threads; malloc.
 * Promises: functions return -errno themselves, for errno is not per thread. */
#ifndef FORKSCOPE_USER_THREAD_H
#define FORKSCOPE_USER_THREAD_H

#include <stddef.h>

#define THREAD_STACK_BYTES 16384u

typedef int (*thread_function)(void* argument);

int thread_create(thread_function function, void* argument);
int thread_create_sized(thread_function function, void* argument, size_t stack_bytes);
int thread_join(int thread, int* value);
void thread_exit(int value) __attribute__((noreturn));
int thread_self(void);

struct spinlock {
    unsigned taken;
};
void spinlock_take(struct spinlock* lock);
void spinlock_give(struct spinlock* lock);

#endif
