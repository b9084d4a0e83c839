#include "guest/kernel/process/schedule.h"
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/signal.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

struct process* current_process;
struct thread* current_thread;

static struct process idle_process;
static struct thread idle_thread;
static bool quantum_over;
extern char boot_stack_top[];

/* Saves the running thread's registers and continues another one where it left off; in switch.S. */
void switch_thread(struct thread* from, struct thread* to, phys_t directory);

void schedule_init(void) {
    idle_process.page_directory = kernel_directory;
    list_init(&idle_process.threads);
    list_init(&idle_process.children);
    idle_process.name[0] = '-';
    idle_thread.process = &idle_process;
    idle_thread.state = THREAD_RUNNING;
    idle_thread.kstack = (ptr_t)boot_stack_top;
    list_init(&idle_thread.queue_link);
    current_process = &idle_process;
    current_thread = &idle_thread;
}

void schedule_idle(void) {
    /* The pair sti, hlt cannot lose an interrupt between its halves. */
    for (;;) {
        if (run_queue_is_empty()) {
            __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
        } else {
            schedule();
        }
    }
}

void schedule_add(struct thread* thread, enum ready_reason reason) {
    thread->state = THREAD_READY;
    run_queue_add(thread, reason);
}

void schedule(void) {
    struct thread* previous = current_thread;
    struct thread* next = run_queue_take();
    next = next != NULL ? next : &idle_thread;
    next->state = THREAD_RUNNING;
    quantum_over = false;
    if (next == previous) {
        return;
    }
    current_thread = next;
    current_process = next->process;
    descriptors_set_kernel_stack(next->kstack - next->kstack_kept);
    trace(TP_CONTEXT_SWITCH, (uint32_t)current_process->pid, (uint32_t)next->id, current_process->page_directory);
    switch_thread(previous, next, current_process->page_directory);
}

void schedule_yield(void) {
    schedule_add(current_thread, READY_YIELDED);
    schedule();
}

void schedule_block(void) {
    current_thread->state = THREAD_BLOCKED_FIRMLY;
    schedule();
}

void schedule_tick(unsigned quantum) {
    current_process->ticks++;
    quantum_over = current_thread != &idle_thread && run_queue_tick(current_thread, quantum);
}

void schedule_if_due(void) {
    if (quantum_over && !run_queue_is_empty()) {
        schedule_add(current_thread, READY_GAVE_WAY);
        schedule();
    }
}

void wait_queue_init(struct wait_queue* queue) { list_init(&queue->threads); }

/* Blocks the running thread at a place of a wait queue. Returns 0, or -EINTR where it must not or no longer wait. */
static int block_before(struct list* place, enum thread_state state) {
    if (current_thread->doomed || (state == THREAD_BLOCKED && signal_waiting(current_thread))) {
        return -EINTR;
    }
    current_thread->state = state;
    current_thread->interrupted = false;
    list_insert_before(place, &current_thread->queue_link);
    schedule();
    return current_thread->interrupted ? -EINTR : 0;
}

int wait_on(struct wait_queue* queue) { return block_before(&queue->threads, THREAD_BLOCKED); }

int wait_on_killable(struct wait_queue* queue) { return block_before(&queue->threads, THREAD_BLOCKED_KILLABLE); }

int wait_before(struct list* place) { return block_before(place, THREAD_BLOCKED); }

void wake(struct thread* thread) {
    list_remove(&thread->queue_link);
    schedule_add(thread, READY_WOKEN);
}

void wake_all(struct wait_queue* queue) {
    while (!list_empty(&queue->threads)) {
        wake(container_of(queue->threads.next, struct thread, queue_link));
    }
}

void mutex_init(struct mutex* mutex) {
    mutex->held = false;
    wait_queue_init(&mutex->waiters);
}

void mutex_lock(struct mutex* mutex) {
    while (mutex->held) {
        list_append(&mutex->waiters.threads, &current_thread->queue_link);
        schedule_block();
    }
    mutex->held = true;
}

void mutex_unlock(struct mutex* mutex) {
    mutex->held = false;
    wake_all(&mutex->waiters);
}

void schedule_interrupt(struct thread* thread) {
    if (thread->state == THREAD_BLOCKED || (thread->state == THREAD_BLOCKED_KILLABLE && thread->doomed)) {
        thread->interrupted = true;
        wake(thread);
    }
}
