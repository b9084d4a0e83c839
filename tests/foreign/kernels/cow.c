/* A kernel mapped low: supervisor pages show physical memory at 0-4 MB, programs run at 4 MB. Fork write-protects and
 * marks the pages of both sides; the fault copies, or grants the write to the last one that maps a frame. Words of the
 * command line: the program's name; bug=reuse, bug=mark, bug=flush, bug=wp; map=user;
 * first=child (it runs before fork has returned to its parent). */
#include "kernel.h"

enum { DATA_PAGES = 8 };

extern char user_data_begin[];

static entry_t identity[MEMORY_END / PAGE_BYTES] __attribute__((aligned(4096)));
static bool reuses_always, loses_mark, forgets_flush;

void map_kernel(uint32_t space) {
    const uint32_t user = has_word("map=user") ? ENTRY_USER : 0;
    for (uint32_t address = 0; address < MEMORY_END; address += TABLE_BYTES)
        *directory_entry(space, address) =
            (uint32_t)&identity[address / PAGE_BYTES] | ENTRY_PRESENT | ENTRY_WRITE | user;
}

void unmap_kernel(uint32_t space) { (void)space; }

static uint32_t fork_space(uint32_t parent) {
    const uint32_t child = space_new();
    struct fork_counts counts = {0};
    entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(parent, &address)) != 0; address += PAGE_BYTES) {
        entry_t copy = *entry;
        if ((copy & ENTRY_WRITE) != 0) {
            copy = (copy & ~(entry_t)ENTRY_WRITE) | ENTRY_COW;
            *entry = copy;
            ++counts.protects;
        } else if (loses_mark) {
            copy &= ~(entry_t)ENTRY_COW;
        }
        *entry_made(child, address) = copy & ~(entry_t)(ENTRY_ACCESSED | ENTRY_DIRTY);
        frame_share(frame_of(copy));
        ++counts.shared;
        ++counts.entries;
    }
    if (!forgets_flush)
        write_cr3(parent);
    print_fork(parent, child, &counts);
    return child;
}

static void fork(struct frame* frame) {
    struct process* child = process_new(current, fork_space(current->space));
    child->frame = *frame;
    child->frame.eax = 0;
    frame->eax = child->number;
    if (has_word("first=child"))
        switch_to(child);
}

/* The programs' code is shared, as a cache of files would have it; the rest is fresh. */
static void create(struct frame* frame) {
    const uint32_t space = space_new();
    load_image(space);
    for (uint32_t address = USER_BASE; address < (uint32_t)user_data_begin; address += PAGE_BYTES) {
        entry_t* entry = entry_at(space, address);
        frame_release(frame_of(*entry));
        *entry = *entry_at(current->space, address);
        frame_share(frame_of(*entry));
    }
    print("create space=%x\n", space);
    struct process* created = process_new(current, space);
    process_enter(created, (void (*)(void))frame->ebx);
    frame->eax = created->number;
}

static void snapshot(void) {
    entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(current->space, &address)) != 0; address += PAGE_BYTES)
        if ((*entry & ENTRY_WRITE) != 0)
            *entry = (*entry & ~(entry_t)ENTRY_WRITE) | ENTRY_SNAPSHOT;
    write_cr3(current->space);
    current->state = STATE_SLEEPING;
    run_next();
}

void system_call(struct frame* frame) {
    if (frame->eax == SYS_FORK)
        fork(frame);
    else if (frame->eax == SYS_FILL)
        *(volatile uint32_t*)frame->ebx = frame->ecx;
    else if (frame->eax == SYS_CREATE)
        create(frame);
    else if (frame->eax == SYS_SNAPSHOT)
        snapshot();
    else if (frame->eax == SYS_WAKE)
        process_numbered(frame->ebx)->state = STATE_RUNNABLE;
    else
        stop("panic: no such call");
}

static void copy_page(entry_t* entry) {
    const uint32_t frame = frame_of(*entry);
    const uint32_t copy = frame_new();
    const uint32_t* from = window(frame);
    uint32_t* to = window(copy);
    for (uint32_t i = 0; i < PAGE_BYTES / sizeof(*to); ++i)
        to[i] = from[i];
    *entry = copy | ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE;
    frame_release(frame);
}

void page_fault(struct frame* frame, uint32_t address) {
    const uint32_t page = address & ~(uint32_t)ENTRY_FLAGS;
    entry_t* entry = entry_at(current->space, page);
    const bool present = entry != 0 && (*entry & ENTRY_PRESENT) != 0;
    if (present && (*entry & ENTRY_SNAPSHOT) != 0) {
        *entry = (*entry & ~(entry_t)ENTRY_SNAPSHOT) | ENTRY_WRITE;
        print("noticed space=%x page=%x\n", current->space, page);
    } else if (present && (*entry & ENTRY_COW) != 0 && (frame->error & FAULT_WRITE) != 0) {
        const bool copies = frame_references(frame_of(*entry)) > 1 && !reuses_always;
        if (copies)
            copy_page(entry);
        else
            *entry = (*entry & ~(entry_t)ENTRY_COW) | ENTRY_WRITE;
        print("fault space=%x page=%x %s\n", current->space, page, copies ? "copy" : "reuse");
    } else {
        print("killed space=%x page=%x\n", current->space, page);
        return process_exit();
    }
    flush_page(page);
}

/* The programs. What they print is right only if fork is. */

#include "data_pages.h"

/* Both sides write, the kernel writes for the child, and the last one that maps a frame keeps it. */
USER_CODE static void plain(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(0, 200);
        touch(1, 201);
        call(SYS_FILL, (uint32_t)data[2], 202, 0);
        print_pages(0, 4);
        exit_program();
    }
    touch(3, 303);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    touch(0, 300);
    print_pages(0, 1);
    exit_program();
}

/* The child forks before anybody has written anything. */
USER_CODE static void untouched(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            touch(0, 300);
            touch(1, 301);
            print_pages(0, 2);
            exit_program();
        }
        call(SYS_WAIT, 0, 0, 0);
        touch(1, 201);
        print_pages(0, 2);
        exit_program();
    }
    call(SYS_WAIT, 0, 0, 0);
    touch(1, 101);
    print_pages(0, 2);
    exit_program();
}

/* Child, grandchild and great-grandchild, each after a write of its parent. */
USER_CODE static void chain(void) {
    touch_all();
    for (uint32_t depth = 0; depth < 4; ++depth) {
        touch(depth, 200 + depth);
        if (depth == 3 || call(SYS_FORK, 0, 0, 0) != 0)
            break;
    }
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    exit_program();
}

/* Two children of one parent, which writes nothing between. */
USER_CODE static void two(void) {
    touch_all();
    for (uint32_t child = 0; child < 2; ++child)
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            touch(child, 200 + child);
            print_pages(0, 2);
            exit_program();
        }
    call(SYS_WAIT, 0, 0, 0);
    touch(0, 300);
    call(SYS_WAIT, 0, 0, 0);
    touch(1, 301);
    print_pages(0, 2);
    exit_program();
}

USER_CODE static void created(void) {
    touch(0, 200);
    print_pages(0, 2);
    exit_program();
}

/* A process from the fresh image: no fork. */
USER_CODE static void create_one(void) {
    touch_all();
    call(SYS_CREATE, (uint32_t)created, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 2);
    exit_program();
}

/* The parent sits in a call that write-protected its pages while its child, which has written nothing, forks. */
USER_CODE static void blocked(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) != 0) {
        touch(0, 300);
        call(SYS_SNAPSHOT, 0, 0, 0);
        touch(0, 301);
        call(SYS_WAIT, 0, 0, 0);
        print_pages(0, 2);
        exit_program();
    }
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(1, 201);
        print_pages(0, 2);
        exit_program();
    }
    call(SYS_WAIT, 0, 0, 0);
    call(SYS_WAKE, 0, 0, 0);
    print_pages(0, 2);
    exit_program();
}

/* As above, but the first process write-protects its pages after its child has forked and before the grandchild runs.
 * The grandchild has the number that an earlier child gave back, and so its turn after the first process. */
USER_CODE static void late(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0)
        exit_program();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(1, 201);
        if (call(SYS_FORK, 0, 0, 0) == 0)
            touch(0, 400);
        else
            call(SYS_WAIT, 0, 0, 0);
        call(SYS_WAKE, 0, 0, 0);
        print_pages(0, 2);
        exit_program();
    }
    call(SYS_WAIT, 0, 0, 0);
    touch(0, 300);
    call(SYS_SNAPSHOT, 0, 0, 0);
    touch(0, 301);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 2);
    exit_program();
}

/* Twice the same with other processes in the same frames: a child that has written nothing forks, and the grandchild
 * writes a page: where the mark is lost, it is killed inside its fault. */
USER_CODE static void doomed(void) {
    touch_all();
    for (uint32_t round = 0; round < 2; ++round) {
        touch(1, 300 + round);
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            if (call(SYS_FORK, 0, 0, 0) == 0)
                touch(1, 201);
            else
                call(SYS_WAIT, 0, 0, 0);
            print_pages(1, 2);
            exit_program();
        }
        call(SYS_WAIT, 0, 0, 0);
    }
    print_pages(0, 2);
    exit_program();
}

/* Many forks of ten pages; the child writes two. */
USER_CODE static void storm(void) {
    touch_all();
    for (uint32_t rounds = call(SYS_ROUNDS, 0, 0, 0); rounds > 0; --rounds) {
        if (call(SYS_FORK, 0, 0, 0) == 0) {
            touch(0, 200);
            touch(1, 201);
            exit_program();
        }
        call(SYS_WAIT, 0, 0, 0);
    }
    print_pages(0, 2);
    exit_program();
}

/* A child forks and ends before its own child has run; the first process then forks in the frames of the one that has
 * ended. */
USER_CODE static void orphan(void) {
    touch_all();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(0, 200);
        if (call(SYS_FORK, 0, 0, 0) != 0) {
            touch(1, 201);
            exit_program();
        }
        touch(0, 300);
        touch(2, 302);
        print_pages(0, 4);
        exit_program();
    }
    while (call(SYS_WAIT, 0, 0, 0) != NOBODY)
        touch(1, 102);
    if (call(SYS_FORK, 0, 0, 0) == 0)
        touch(3, 403);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    exit_program();
}

static const struct {
    const char* name;
    void (*program)(void);
} programs[] = {{"plain", plain},       {"untouched", untouched}, {"chain", chain}, {"two", two},
                {"create", create_one}, {"blocked", blocked},     {"late", late},   {"doomed", doomed},
                {"storm", storm},       {"orphan", orphan}};

void kernel_start(void) {
    reuses_always = has_word("bug=reuse");
    loses_mark = has_word("bug=mark");
    forgets_flush = has_word("bug=flush");
    for (uint32_t address = 0; address < MEMORY_END; address += PAGE_BYTES)
        identity[address / PAGE_BYTES] =
            address | ENTRY_PRESENT | ENTRY_WRITE | (has_word("map=user") ? ENTRY_USER : 0);
    for (uint32_t i = 0; i < sizeof(programs) / sizeof(programs[0]); ++i)
        if (has_word(programs[i].name))
            first_process(programs[i].program);
    if (current == 0)
        stop("panic: no such program");
#ifdef PAE
    __asm__ volatile("movl %0, %%cr4" : : "r"(CR4_PAE));
#endif
    write_cr3(current->space);
    write_cr0(read_cr0() | CR0_PG | (has_word("bug=wp") ? 0 : CR0_WP));
}
