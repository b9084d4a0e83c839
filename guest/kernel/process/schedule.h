/* Owns: who runs. A thread is on the personality's run queue, on one wait queue, running, or dead.
 * The kernel is never preempted: a switch happens only where code blocks, yields, or leaves for user mode. */
#ifndef KERNEL_SCHEDULE_H
#define KERNEL_SCHEDULE_H

#include "guest/kernel/types.h"

struct process;
struct thread;

struct wait_queue {
    struct list threads;
};

/* Held across a sleep, in copies to and from user memory for example; who wants it meanwhile waits. */
struct mutex {
    bool held;
    struct wait_queue waiters;
};

/* Why a thread joins the run queue. */
/* Why a thread is ready: just made, woken, its turn over, or it asked others to go first. */
enum ready_reason { READY_NEW, READY_WOKEN, READY_GAVE_WAY, READY_YIELDED };

extern struct process* current_process;
extern struct thread* current_thread;

/* Makes the boot stack the idle thread of process 0. */
void schedule_init(void);
/* Waits for work, for ever; kernel_main() ends here. */
void schedule_idle(void) __attribute__((noreturn));
/* Makes a thread ready. */
void schedule_add(struct thread* thread, enum ready_reason reason);
/* Gives the CPU to the next thread. The caller has put the running one where it belongs. */
void schedule(void);
/* Lets others run first. */
void schedule_yield(void);
/* Blocks the running thread until wake(); neither signal nor doom wakes it. */
void schedule_block(void);
/* Charges the running thread one tick of its quantum. */
void schedule_tick(unsigned quantum);
/* Gives way if the quantum is over; trap_leave() calls. */
void schedule_if_due(void);

void wait_queue_init(struct wait_queue* queue);
/* Blocks until somebody wakes the queue. Returns 0, or -EINTR where a signal waits or the thread must die. */
int wait_on(struct wait_queue* queue);
/* The same, but only the order to die interrupts it. */
int wait_on_killable(struct wait_queue* queue);
/* The same as wait_on(), at a chosen place of a sorted queue. */
int wait_before(struct list* place);
/* Makes one blocked thread ready. */
void wake(struct thread* thread);
/* Makes every thread of a queue ready. */
void wake_all(struct wait_queue* queue);
void mutex_init(struct mutex* mutex);
void mutex_lock(struct mutex* mutex);
void mutex_unlock(struct mutex* mutex);
/* Wakes a blocked thread because a signal or its death is due. */
void schedule_interrupt(struct thread* thread);

#endif
