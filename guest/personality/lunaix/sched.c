/* Which thread runs next: one queue, round robin. The scheduler of the mechanism asks. */
#include "guest/personality/lunaix/lunaix.h"

static struct list run_queue;
static unsigned quantum_used;

/* Door: prepares the run queue; LunaixOS has no other tables of its own. */
void personality_init(void) {
    list_init(&run_queue);
    history_init();
}

/* Door: puts a thread at the end of the queue, whatever the reason. */
void run_queue_add(struct thread* thread, enum ready_reason reason) {
    (void)reason;
    list_append(&run_queue, &thread->queue_link);
}

/* Door: takes the thread that has waited longest and gives it a whole quantum; NULL if none is ready. */
struct thread* run_queue_take(void) {
    quantum_used = 0;
    if (run_queue_is_empty()) {
        return NULL;
    }
    struct thread* thread = container_of(run_queue.next, struct thread, queue_link);
    list_remove(&thread->queue_link);
    return thread;
}

/* Door: says whether no thread is ready. */
bool run_queue_is_empty(void) { return list_empty(&run_queue); }

/* Door: charges the running thread one tick. Says whether its quantum of so many ticks is used up. */
bool run_queue_tick(struct thread* running, unsigned quantum) {
    (void)running;
    return ++quantum_used >= quantum;
}

/* Door: LunaixOS keeps nothing of a thread but its stack's region. */
bool thread_attach(struct thread* thread) {
    (void)thread;
    return true;
}

/* Door: see thread_attach(). */
void thread_detach(struct thread* thread) { (void)thread; }

/* Door: finds a process by its pid; NULL if there is none. */
struct process* process_find(pid_t pid) {
    return process_search(pid);
}

/* Door: all of LunaixOS's memory is the kernel's, which counts it. */
void failing_ordered(void) {}

/* Door: LunaixOS has no servers, and so no calls of its own. */
int personality_call(struct trap_frame* frame) {
    (void)frame;
    return -ENOSYS;
}
