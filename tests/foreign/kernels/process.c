/* Processes: who runs, who waits for whom. A process is its address space and the frame of its last trap. */
#include "kernel.h"

enum { PROCESSES = 32, SELECTOR_USER_CODE = 0x1B, SELECTOR_USER_STACK = 0x23, EFLAGS_FIXED = 2 };

static struct process processes[PROCESSES];
struct process* current;

struct process* process_new(struct process* parent, uint32_t space) {
    for (uint32_t i = 0; i < PROCESSES; ++i) {
        if (processes[i].state != STATE_FREE)
            continue;
        processes[i] = (struct process){.state = STATE_RUNNABLE, .number = i, .space = space, .parent = parent};
        print("process %u space=%x\n", i, space);
        return &processes[i];
    }
    stop("panic: too many processes");
}

struct process* process_numbered(uint32_t number) {
    if (number >= PROCESSES || processes[number].state == STATE_FREE)
        stop("panic: no such process");
    return &processes[number];
}

void process_enter(struct process* process, void (*program)(void)) {
    process->frame = (struct frame){.eip = (uint32_t)program - code_base(),
                                    .cs = SELECTOR_USER_CODE,
                                    .eflags = EFLAGS_FIXED,
                                    .esp = USER_STACK + PAGE_BYTES - 16,
                                    .ss = SELECTOR_USER_STACK};
}

void first_process(void (*program)(void)) {
    const uint32_t space = space_new();
    load_image(space);
    current = process_new(0, space);
    process_enter(current, program);
}

void switch_to(struct process* process) {
    current = process;
    if (read_cr3() != process->space)
        write_cr3(process->space);
}

/* The next one in turn; the present one only where no other can run. */
void run_next(void) {
    for (uint32_t i = 1; i <= PROCESSES; ++i) {
        struct process* next = &processes[(current->number + i) % PROCESSES];
        if (next->state == STATE_RUNNABLE)
            return switch_to(next);
    }
    stop("panic: nobody can run");
}

/* A process whose parent ends is the first one's. */
static void adopt(struct process* orphan) {
    orphan->parent = &processes[0];
    if (orphan->state != STATE_EXITED)
        return;
    orphan->state = STATE_FREE;
    orphan->parent = 0;
}

/* The first process's end is the end of the run. With "reap" the tables of one that ends are cleared before anybody
 * else runs. */
void process_exit(void) {
    struct process* ended = current;
    print("exit space=%x\n", ended->space);
    if (ended->parent == 0)
        stop("done");
    for (uint32_t i = 0; i < PROCESSES; ++i)
        if (processes[i].parent == ended)
            adopt(&processes[i]);
    struct process* parent = ended->parent;
    ended->state = STATE_EXITED;
    if (parent->state == STATE_WAITING) {
        parent->state = STATE_RUNNABLE;
        parent->frame.eax = ended->number;
        ended->state = STATE_FREE;
        ended->parent = 0;
    }
    if (has_word("reap")) {
        write_cr3(parent->space);
        space_free(ended->space);
        return run_next();
    }
    run_next();
    space_free(ended->space);
}

static void wait(struct frame* frame) {
    bool children = false;
    for (uint32_t i = 0; i < PROCESSES; ++i) {
        struct process* child = &processes[i];
        if (child->parent != current)
            continue;
        children = true;
        if (child->state != STATE_EXITED)
            continue;
        frame->eax = child->number;
        child->state = STATE_FREE;
        child->parent = 0;
        return;
    }
    if (!children) {
        frame->eax = NOBODY;
        return;
    }
    current->state = STATE_WAITING;
    run_next();
}

bool basic_call(struct frame* frame) {
    if (frame->eax == SYS_EXIT)
        process_exit();
    else if (frame->eax == SYS_WAIT)
        wait(frame);
    else if (frame->eax == SYS_YIELD)
        run_next();
    else if (frame->eax == SYS_PRINT)
        print("value %u space=%x\n", frame->ebx, current->space);
    else if (frame->eax == SYS_ROUNDS)
        frame->eax = number_after("rounds=", 1);
    else
        return false;
    return true;
}

void print_fork(uint32_t parent, uint32_t child, const struct fork_counts* counts) {
    print("fork parent=%x child=%x pages=%u copied=%u shared=%u\n", parent, child, counts->copied + counts->shared,
          counts->copied, counts->shared);
    print("tables child=%x entries=%u protects=%u\n", child, counts->entries, counts->protects);
}
