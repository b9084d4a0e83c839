/* Which thread runs next: 64 queues by priority; threads that used the CPU much lately are further back. The mechanism
 * asks. */
#include "guest/kernel/devices/clock.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/personality/freebsd/proc.h"

#define RQ_NQS 64u /* queues */
#define RQ_PPQ 4u  /* priorities in one queue */
#define RQB_BITS 32u

#define PRI_MIN_TIMESHARE 120 /* the best priority of a user program */
#define PRI_MAX_TIMESHARE 223
#define PUSER PRI_MIN_TIMESHARE
#define INVERSE_ESTCPU_WEIGHT 8u /* so much estimated use is one priority */
#define ESTCPU_LIMIT 295u
#define TICKS_PER_STATCLOCK 8u
#define DECAY_MILLISECONDS 1000u

/* The run queues, and a bit for each that is not empty. */
struct runq {
    uint32_t rqb_bits[RQ_NQS / RQB_BITS];
    struct list rq_queues[RQ_NQS]; /* of struct thread, by queue_link */
};

static struct runq runq;
static unsigned runq_length;
static unsigned quantum_used, statclock_ticks;
static uint32_t next_decay;

/* Makes the empty queues; personality_init() calls it. */
void sched_initticks(void) {
    for (unsigned i = 0; i < RQ_NQS; i++) {
        list_init(&runq.rq_queues[i]);
    }
}

/* Puts a thread at the end of its priority's queue. */
static void runq_add(struct td* td) {
    unsigned index = td->td_priority / RQ_PPQ;
    td->td_rqindex = (uint8_t)index;
    runq.rqb_bits[index / RQB_BITS] |= 1u << index % RQB_BITS;
    list_append(&runq.rq_queues[index], &td->td_thread->queue_link);
    runq_length++;
}

/* Removes a thread from its queue. */
static void runq_remove(struct td* td) {
    unsigned index = td->td_rqindex;
    list_remove(&td->td_thread->queue_link);
    if (list_empty(&runq.rq_queues[index])) {
        runq.rqb_bits[index / RQB_BITS] &= ~(1u << index % RQB_BITS);
    }
    runq_length--;
}

/* Finds the thread that has waited longest in the best queue; NULL if none is ready. */
static struct td* runq_choose(void) {
    for (unsigned word = 0; word < RQ_NQS / RQB_BITS; word++) {
        if (runq.rqb_bits[word] != 0) {
            unsigned index = word * RQB_BITS + (unsigned)__builtin_ctz(runq.rqb_bits[word]);
            return thread_td(container_of(runq.rq_queues[index].next, struct thread, queue_link));
        }
    }
    return NULL;
}

/* Computes a thread's priority from its recent use of the CPU. */
static void resetpriority(struct td* td) {
    unsigned priority = PUSER + td->td_estcpu / INVERSE_ESTCPU_WEIGHT;
    td->td_user_pri = (uint8_t)(priority < PRI_MAX_TIMESHARE ? priority : PRI_MAX_TIMESHARE);
}

/* Lets a thread's recent use decay by the load: the longer the queue, the slower; threads that wait move forward. */
static void sched_decay_thread(struct td* td) {
    unsigned loadfac = 2 * (runq_length + 1);
    td->td_estcpu = loadfac * td->td_estcpu / (loadfac + 1);
    resetpriority(td);
    if (td->td_thread->state == THREAD_READY && td->td_priority != td->td_user_pri) {
        runq_remove(td);
        td->td_priority = td->td_user_pri;
        runq_add(td);
    }
}

/* Once a second every thread's estimate decays; the choice of the next thread looks at the clock. */
static void schedcpu(void) {
    if ((int32_t)(clock_milliseconds() - next_decay) >= 0) {
        next_decay = clock_milliseconds() + DECAY_MILLISECONDS;
        proc_for_each_thread(sched_decay_thread);
    }
}

/* Queues a thread. Nothing is preempted: the kernel switches only where code blocks or leaves for user mode. */
void sched_add(struct td* td, int flags) {
    KERNEL_ASSERT((flags & ~SRQ_YIELDING) == 0);
    td->td_priority = td->td_user_pri;
    runq_add(td);
}

/* Starts the estimate and the priority of a new thread as its creator's; the very first begins with nothing. */
void sched_fork_thread(const struct td* td, struct td* child) {
    child->td_estcpu = td != NULL ? td->td_estcpu : 0;
    resetpriority(child);
    child->td_priority = child->td_user_pri;
}

/* The scheduler's part of fork. */
void sched_fork(struct td* td, struct td* child) { sched_fork_thread(td, child); }

/* Charges a parent with what its dying child has used, so that forking gains nothing; vm_exit() calls it. */
void sched_exit(struct proc* parent, const struct td* child) {
    struct thread *thread, *following;
    list_for_each(thread, following, &parent->p_process->threads, link) {
        struct td* td = thread_td(thread);
        td->td_estcpu += child->td_estcpu;
        td->td_estcpu = td->td_estcpu < ESTCPU_LIMIT ? td->td_estcpu : ESTCPU_LIMIT;
        resetpriority(td);
        return;
    }
}

/* Returns the worst priority of those that are ready, or the given one where that is worse still. */
static uint8_t runq_worst(uint8_t priority) {
    for (unsigned index = RQ_NQS - 1; index > priority / RQ_PPQ; index--) {
        if (!list_empty(&runq.rq_queues[index])) {
            return (uint8_t)(index * RQ_PPQ);
        }
    }
    return priority;
}

/* Door: queues a thread. A thread that yields goes behind all that are ready, because it may wait for one that has used
 * the CPU more. (The original's sys_yield() gives it PRI_MAX_TIMESHARE: behind all that become ready, too.) */
void run_queue_add(struct thread* thread, enum ready_reason reason) {
    struct td* td = thread_td(thread);
    if (reason == READY_YIELDED) {
        td->td_priority = runq_worst(td->td_user_pri);
        runq_add(td);
        return;
    }
    sched_add(td, reason == READY_GAVE_WAY ? SRQ_YIELDING : SRQ_BORING);
}

/* Door: takes the best thread and gives it a whole quantum; NULL if none is ready. The original's sched_choose(). */
struct thread* run_queue_take(void) {
    quantum_used = 0;
    schedcpu();
    struct td* td = runq_choose();
    if (td == NULL) {
        return NULL;
    }
    runq_remove(td);
    return td->td_thread;
}

/* Door: says whether no thread is ready. */
bool run_queue_is_empty(void) { return runq_length == 0; }

/* Door: charges the running thread one tick: the original's sched_clock(). Says whether its quantum of so many ticks is
 * used up. */
bool run_queue_tick(struct thread* running, unsigned quantum) {
    struct td* td = thread_td(running);
    td->td_runticks++;
    td->td_proc->p_runticks++;
    if (++statclock_ticks % TICKS_PER_STATCLOCK == 0 && td->td_estcpu < ESTCPU_LIMIT) {
        td->td_estcpu++;
        resetpriority(td);
    }
    return ++quantum_used >= quantum;
}

/* Door: all of FreeBSD's memory is the kernel's, which counts it. */
void failing_ordered(void) {}

/* Door: FreeBSD has no servers, and so no calls of its own. */
int personality_call(struct trap_frame* frame) {
    (void)frame;
    return -ENOSYS;
}
