/* Owns: which thread runs. A thread is on the personality's run queue, on one wait queue, running, or dead. The kernel
 * is never preempted: a switch happens only where code blocks, yields, or leaves for user mode. */
#ifndef KERNEL_SCHEDULE_H
#define KERNEL_SCHEDULE_H

#include "guest/kernel/types.h"

struct process;
struct thread;

struct wait_queue {
    struct list threads;
};

/* Held across a sleep, in copies to and from user memory for example; other threads that want it wait. */
struct mutex {
    bool held;
    struct wait_queue waiters;
};

/* Why a thread joins the run queue: just made, woken, its turn over, or it asked others to go first. */
enum ready_reason { READY_NEW, READY_WOKEN, READY_GAVE_WAY, READY_YIELDED };

extern struct process* current_process;
extern struct thread* current_thread;

/* Makes the boot stack the idle thread of process 0. */
void schedule_init(void);
/* Waits for work, for ever; kernel_main() ends here. */
void schedule_idle(void) __attribute__((noreturn));
/* Makes a thread ready; the personality decides its place among the others. */
void schedule_add(struct thread* thread, enum ready_reason reason);
/* Gives the CPU to the next thread, or to the idle thread, and returns when it is the caller's turn again. The caller
 * has put the running thread where it belongs. */
void schedule(void);
/* Lets others run first. */
void schedule_yield(void);
/* Blocks the running thread until wake(); no signal and no order to die wakes it. For answers that are sure to come. */
void schedule_block(void);
/* Charges the running thread one tick; clock_interrupt() calls it with the length of a quantum in ticks. */
void schedule_tick(unsigned quantum);
/* Switches if the quantum is over and another thread is ready; trap_leave() calls it. */
void schedule_if_due(void);

/* Makes an empty wait queue. */
void wait_queue_init(struct wait_queue* queue);
/* Blocks until somebody wakes the queue; the caller checks its condition again. 0, or -EINTR if a signal is pending or
 * the thread must die. */
int wait_on(struct wait_queue* queue);
/* The same, but only the order to die interrupts it. */
int wait_on_killable(struct wait_queue* queue);
/* The same as wait_on(), before a given member of a sorted queue; clock_sleep() calls it. */
int wait_before(struct list* place);
/* Makes one blocked thread ready. */
void wake(struct thread* thread);
/* Makes every thread of a queue ready. */
void wake_all(struct wait_queue* queue);
/* Makes a mutex that nobody holds. */
void mutex_init(struct mutex* mutex);
/* Locks a mutex, waiting until its holder unlocks it; the holder must not depend on the caller for that. */
void mutex_lock(struct mutex* mutex);
/* Unlocks a mutex. */
void mutex_unlock(struct mutex* mutex);
/* Wakes a blocked thread because a signal or its death is due; a thread that cannot be interrupted stays blocked. */
void schedule_interrupt(struct thread* thread);

#endif
