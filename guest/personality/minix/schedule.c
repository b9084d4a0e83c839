/* Which thread runs next: MINIX's sixteen queues. Servers are above programs. A program that uses up a quantum goes one
 * queue down, and from time to time all come one up again, as MINIX's SCHED server decides it. */
#include "guest/kernel/personality.h"
#include "guest/personality/minix/proc.h"

#define BALANCE_QUANTA 100 /* how often, in quanta of the clock, all come one queue up */

static struct list run_queues[NR_SCHED_QUEUES];
static unsigned ticks_to_balance;

/* Makes the queues empty; personality_init() calls it. */
void run_queues_init(void) {
    for (unsigned q = 0; q < NR_SCHED_QUEUES; q++) {
        list_init(&run_queues[q]);
    }
}

/* Returns the first queue that is not empty, NR_SCHED_QUEUES if all are. */
static unsigned first_queue(void) {
    unsigned q = 0;
    while (q < NR_SCHED_QUEUES && list_empty(&run_queues[q])) {
        q++;
    }
    return q;
}

/* Door: puts a thread at the end of its process's queue, whatever the reason. */
void run_queue_add(struct thread* thread, enum ready_reason reason) {
    (void)reason;
    list_append(&run_queues[proc_of(thread->process)->p_priority], &thread->queue_link);
}

/* Door: takes the first thread of the highest queue; NULL if none is ready. */
struct thread* run_queue_take(void) {
    unsigned q = first_queue();
    if (q == NR_SCHED_QUEUES) {
        return NULL;
    }
    struct thread* thread = container_of(run_queues[q].next, struct thread, queue_link);
    list_remove(&thread->queue_link);
    return thread;
}

/* Door: says whether no thread is ready. */
bool run_queue_is_empty(void) { return first_queue() == NR_SCHED_QUEUES; }

/* Lets every program that went down come one queue up; threads that are in a queue move when they next join one. */
static void balance_queues(void) {
    for (struct proc* rp = proc; rp < &proc[NR_PROCS]; rp++) {
        if (!rp->p_server && rp->p_priority > USER_Q) {
            rp->p_priority--;
        }
    }
}

/* Door: charges the running thread's process one tick. Says whether its turn is over: its quantum is used up, which
 * costs a program its place in the queue, or a thread in a higher queue is ready. */
bool run_queue_tick(struct thread* running, unsigned quantum) {
    struct proc* rp = proc_of(running->process);
    if (ticks_to_balance-- == 0) {
        ticks_to_balance = BALANCE_QUANTA * quantum;
        balance_queues();
    }
    if (rp->p_ticks_left == 0) {
        rp->p_ticks_left = quantum * rp->p_quantum;
    }
    rp->p_ticks_left -= rp->p_ticks_left > 0 ? 1 : 0;
    if (rp->p_ticks_left > 0) {
        return first_queue() < rp->p_priority;
    }
    if (!rp->p_server && rp->p_priority < MIN_USER_Q) {
        rp->p_priority++;
    }
    return true;
}
