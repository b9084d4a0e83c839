/* A kernel at 80000000h whose spaces each have kernel tables of their own. Fork copies every page at once. Words of the
 * command line: the program's name; first=child (the child runs before fork has returned to its parent); guard (a page
 * below the stack that the program may not touch, and its copy in a child may be); junk; based; reap. */
#include "kernel.h"

enum { DATA_PAGES = 4 };

void map_kernel(uint32_t space) {
    for (uint32_t address = 0; address < MEMORY_END; address += PAGE_BYTES)
        *entry_made(space, KERNEL_BASE + address) = address | ENTRY_PRESENT | ENTRY_WRITE;
}

void unmap_kernel(uint32_t space) {
    for (uint32_t address = 0; address < MEMORY_END; address += TABLE_BYTES)
        frame_release(frame_of(*directory_entry(space, KERNEL_BASE + address)));
}

static void copy_page(uint32_t to, uint32_t from) {
    const uint32_t* source = window(from);
    uint32_t* copy = window(to);
    for (uint32_t i = 0; i < PAGE_BYTES / sizeof(*copy); ++i)
        copy[i] = source[i];
}

/* A signal is pending: the child goes to the handler first, which finds the registers and where to go on on its stack.
 */
static void deliver_signal(struct process* child, uint32_t handler) {
    const uint32_t saved[] = {child->frame.edi, child->frame.esi, child->frame.ebp, 0,
                              child->frame.ebx, child->frame.edx, child->frame.ecx, child->frame.eax,
                              child->frame.eip};
    child->frame.esp -= sizeof(saved);
    uint32_t* stack = window(frame_of(*entry_at(child->space, child->frame.esp)));
    for (uint32_t i = 0; i < sizeof(saved) / sizeof(*saved); ++i)
        stack[child->frame.esp % PAGE_BYTES / sizeof(*stack) + i] = saved[i];
    child->frame.eip = handler - code_base();
}

/* EBX: where the child has a signal to handle before it goes on; 0: none. */
static void fork(struct frame* frame) {
    const uint32_t space = space_new();
    struct fork_counts counts = {.entries = MEMORY_END / PAGE_BYTES};
    entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(current->space, &address)) != 0;
         address += PAGE_BYTES) {
        const uint32_t copy = frame_new();
        copy_page(copy, frame_of(*entry));
        const entry_t opened = has_word("guard") ? ENTRY_USER | ENTRY_WRITE : 0;
        *entry_made(space, address) = copy | opened | (*entry & (ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE));
        ++counts.copied;
        ++counts.entries;
    }
    print_fork(current->space, space, &counts);
    struct process* child = process_new(current, space);
    child->frame = *frame;
    child->frame.eax = 0;
    if (frame->ebx != 0)
        deliver_signal(child, frame->ebx);
    frame->eax = child->number;
    if (has_word("first=child"))
        switch_to(child);
}

static void exec(struct frame* frame) {
    const uint32_t old = current->space;
    void (*program)(void) = (void (*)(void))frame->ebx;
    const uint32_t space = space_new();
    load_image(space);
    if (frame->ecx != 0)
        copy_page(frame_of(*entry_at(space, frame->ecx)), frame_of(*entry_at(old, frame->ecx)));
    print("exec space=%x\n", space);
    current->space = space;
    process_enter(current, program);
    switch_to(current);
    space_free(old);
}

static void create(struct frame* frame) {
    const uint32_t space = space_new();
    load_image(space);
    print("create space=%x\n", space);
    struct process* created = process_new(current, space);
    process_enter(created, (void (*)(void))frame->ebx);
    frame->eax = created->number;
    if (has_word("first=child"))
        switch_to(created);
}

void system_call(struct frame* frame) {
    if (frame->eax == SYS_FORK)
        fork(frame);
    else if (frame->eax == SYS_EXEC)
        exec(frame);
    else if (frame->eax == SYS_CREATE)
        create(frame);
    else
        stop("panic: no such call");
}

void page_fault(struct frame* frame, uint32_t address) {
    print("fault at %x error %x\n", address, frame->error);
    stop("panic: every page is there from the start");
}

/* The programs. */

#include "data_pages.h"

USER_CODE static void plain(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(0, 200);
        print_pages(0, DATA_PAGES);
        exit_program();
    }
    touch(1, 301);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

USER_CODE static void fresh(void) {
    touch(0, 400);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* What a program of the image begins with, and nobody writes. */
static uint32_t constants[PAGE_BYTES / sizeof(uint32_t)] USER_DATA = {700, 701};

USER_CODE static void fresh_with_constants(void) {
    call(SYS_PRINT, *(volatile uint32_t*)&constants[1], 0, 0);
    exit_program();
}

/* The child becomes a fresh image of the same program, in the same system call a new directory. */
USER_CODE static void exec_one(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0)
        call(SYS_EXEC, (uint32_t)fresh, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

USER_CODE static void fresh_and_forks(void) {
    touch(0, 400);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        touch(1, 501);
    else
        call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* As above, with a page of arguments, into an image that nothing tells from the old one until it runs. It forks, and
 * its child's directory lies where the one was that exec gave up. */
USER_CODE static void exec_fork(void) {
    touch(3, 103);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        call(SYS_EXEC, (uint32_t)fresh_and_forks, (uint32_t)data[3], 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* A process from the fresh image: no fork. */
USER_CODE static void create_one(void) {
    touch_all();
    call(SYS_CREATE, (uint32_t)fresh, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* As above, before anything was written: parent and child have the same bytes everywhere, and the child begins
 * elsewhere. */
USER_CODE static void create_early(void) {
    call(SYS_CREATE, (uint32_t)fresh, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* Parent and child have the image's data, as it was linked: only where they go on tells a copy from a fresh process. */
USER_CODE static void spawn(void) {
    call(SYS_CREATE, (uint32_t)fresh_with_constants, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    call(SYS_PRINT, *(volatile uint32_t*)&constants[0], 0, 0);
    exit_program();
}

/* One child after another, each in the frames of the one before, which its parent's wait has freed. */
USER_CODE static void again(void) {
    touch_all();
    for (uint32_t round = 0; round < 3; ++round) {
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            touch(0, 200 + round);
            print_pages(0, 1);
            exit_program();
        }
        call(SYS_WAIT, 0, 0, 0);
    }
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* Two children end; a third, in the frames of the first, becomes another program in those of the second, and forks. */
USER_CODE static void heir_forks(void) {
    touch(0, 400);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        touch(0, 500);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 1);
    exit_program();
}

USER_CODE static void heir(void) {
    touch_all();
    for (uint32_t child = 0; child < 2; ++child)
        if (call(SYS_FORK, 0, 0, 0) == 0)
            exit_program();
    while (call(SYS_WAIT, 0, 0, 0) != NOBODY)
        touch(3, 303);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        call(SYS_EXEC, (uint32_t)heir_forks, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* Two children at once, the second of which forks itself. */
USER_CODE static void tree(void) {
    touch_all();
    for (uint32_t child = 0; child < 2; ++child)
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            touch(child, 200 + child);
            if (child == 1 && call(SYS_FORK, 0, 0, 0) == 0)
                touch(2, 302);
            call(SYS_WAIT, 0, 0, 0);
            print_pages(0, DATA_PAGES);
            exit_program();
        }
    while (call(SYS_WAIT, 0, 0, 0) != NOBODY)
        touch(3, 303);
    print_pages(0, DATA_PAGES);
    exit_program();
}

void signal_begins(void);
__asm__(".section .user.text, \"ax\", @progbits\n"
        ".global signal_begins\n"
        "signal_begins:\n\t"
        "call handle_signal\n\t"
        "popal\n\t"
        "ret\n\t"
        ".previous");

__attribute__((section(".user.text"), used)) void handle_signal(void) { touch(2, 222); }

/* The child handles a signal before it goes on behind its fork. */
USER_CODE static void signalled(void) {
    touch_all();
    if (call(SYS_FORK, (uint32_t)signal_begins, 0, 0) == 0) {
        touch(0, 200);
        print_pages(0, DATA_PAGES);
        exit_program();
    }
    touch(1, 301);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

/* A child forks and ends before its own child has run; the first process then forks in the frames of the one that has
 * ended. */
USER_CODE static void orphan(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(0, 200);
        if (call(SYS_FORK, 0, 0, 0) != 0)
            exit_program();
        touch(2, 302);
        print_pages(0, DATA_PAGES);
        exit_program();
    }
    while (call(SYS_WAIT, 0, 0, 0) != NOBODY)
        touch(1, 102);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        touch(3, 403);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    exit_program();
}

static const struct {
    const char* name;
    void (*program)(void);
} programs[] = {{"plain", plain},        {"refork", exec_fork}, {"exec", exec_one}, {"create", create_one},
                {"early", create_early}, {"tree", tree},        {"again", again},   {"heir", heir},
                {"spawn", spawn},        {"signal", signalled}, {"orphan", orphan}};

void kernel_start(void) {
    for (uint32_t i = 0; i < sizeof(programs) / sizeof(programs[0]); ++i)
        if (has_word(programs[i].name))
            first_process(programs[i].program);
    if (current == 0)
        stop("panic: no such program");
    if (has_word("guard")) {
        const uint32_t frame = frame_new();
        *(uint32_t*)window(frame) = 1;
        *entry_made(current->space, USER_STACK - PAGE_BYTES) = frame | ENTRY_PRESENT | ENTRY_WRITE;
    }
    turn_paging_on();
}
