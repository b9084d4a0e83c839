/* Owns: threads on top of the kernel's, and the spinlock. */
#include "guest/user/lib/thread.h"

#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/system.h"

/* What a new thread must know; made by the creator, freed by the new thread. */
struct thread_start {
    thread_function function;
    void* argument;
};

/* The kernel starts each new thread here; there is no caller to return to. */
static void thread_entry(void* memory) {
    struct thread_start start = *(struct thread_start*)memory;

    free(memory);
    thread_exit(start.function(start.argument));
}

/* Starts a thread with a stack of the usual size; returns its id or -errno. */
int thread_create(thread_function function, void* argument) {
    return thread_create_sized(function, argument, THREAD_STACK_BYTES);
}

/* Starts a thread with a stack of `stack_bytes`; returns its id or -errno. */
int thread_create_sized(thread_function function, void* argument, size_t stack_bytes) {
    struct thread_start* start = malloc(sizeof *start);

    if (start == NULL)
        return -ENOMEM;
    *start = (struct thread_start){function, argument};
    int thread = system_call(SYS_thread_create, (unsigned)thread_entry, (unsigned)start, stack_bytes, 0, 0);
    if (thread < 0)
        free(start);
    return thread;
}

/* Waits for a thread of this process to end and takes its value (may be NULL); returns 0 or -errno. */
int thread_join(int thread, int* value) {
    return system_call(SYS_thread_join, (unsigned)thread, (unsigned)value, 0, 0, 0);
}

/* Ends the calling thread; the process lives on while it has another. */
void thread_exit(int value) {
    for (;;)
        system_call(SYS_thread_exit, (unsigned)value, 0, 0, 0, 0);
}

/* Returns the calling thread's id. */
int thread_self(void) { return system_call(SYS_thread_self, 0, 0, 0, 0, 0); }

/* Takes the lock, letting other threads run while it is held. */
void spinlock_take(struct spinlock* lock) {
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE) != 0)
        system_call(SYS_yield, 0, 0, 0, 0, 0);
}

/* Releases the lock. */
void spinlock_give(struct spinlock* lock) { __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE); }
