/* Tests of copy-on-write: which side writes first, which sees what, and the kernel as the writer. */
#include "guest/user/usertests/usertests.h"

#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(unsigned))

/* A private page, and a child that does something with it between two gates. */
static volatile unsigned* page;

/* Makes the page, its every word holding the value. */
static void make_page(unsigned value) {
    page = map_pages(1, MAP_PRIVATE);
    for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
        page[i] = value;
}

/* Checks that every word of the page holds the value. */
static void check_page(unsigned value) {
    for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
        CHECK_EQUAL(page[i], value);
}

/* Writes one word in the child and looks at the rest of the page. */
static void child_writes(void* unused) {
    (void)unused;
    page[5] = 77;
    CHECK_EQUAL(page[5], 77);
    page[5] = 1;
    check_page(1);
    page[6] = 78;
}

/* The child's write stays in the child. */
static void cow_child_writes(void) {
    make_page(1);
    finish(start(child_writes, NULL));
    check_page(1);
}

/* The parent's write, before the child has done anything, stays in the parent. */
static void cow_parent_writes(void) {
    struct gate gate = make_gate();

    make_page(1);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        wait_gate(gate);
        check_page(1);
        exit(0);
    }
    page[0] = 2;
    page[1023] = 3;
    open_gate(gate);
    finish(pid);
    CHECK_EQUAL(page[0], 2);
    CHECK_EQUAL(page[1023], 3);
    CHECK_EQUAL(page[500], 1);
}

/* The parent has just written the page when it forks, and writes it again at once: a writable translation left in the
 * TLB would let that write through to the child. */
static void cow_parent_writes_at_once(void) {
    struct gate gate = make_gate();

    make_page(1);
    for (unsigned round = 0; round < 8; round++) {
        page[0] = 100 + round;
        int pid = fork();
        page[0] = pid == 0 ? 900 : 500 + round;
        CHECK(pid >= 0);
        if (pid == 0) {
            page[1] = 6;
            exit(0);
        }
        CHECK_EQUAL(page[0], 500 + round);
        finish(pid);
        CHECK_EQUAL(page[0], 500 + round);
        CHECK_EQUAL(page[1], 1);
    }
    page[0] = 41;
    int pid = fork();
    if (pid == 0) {
        wait_gate(gate);
        exit(page[0] == 41 ? 0 : 1);
    }
    page[0] = 42;
    open_gate(gate);
    finish(pid);
}

/* After the child has ended the parent is alone with its pages and can write them; nothing is lost. */
static void cow_alone_again(void) {
    make_page(1);
    for (unsigned round = 2; round < 6; round++) {
        finish(start(child_writes, NULL));
        page[9] = round;
        CHECK_EQUAL(page[9], round);
        page[9] = 1;
        check_page(1);
    }
}

/* Each of several children keeps the picture of the moment when it was forked: a second fork must protect the parent's
 * page again, although it had become writable in between. */
static void cow_every_fork_is_a_snapshot(void) {
    enum { COUNT = 6 };
    struct gate gate = make_gate();
    int pids[COUNT];

    make_page(0);
    for (unsigned i = 0; i < COUNT; i++) {
        page[3] = i;
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            wait_gate(gate);
            exit((int)page[3]);
        }
    }
    page[3] = 1000;
    for (int i = 0; i < COUNT; i++)
        open_gate(gate);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQUAL(wait_status(pids[i]), i << 8);
}

/* A word that lies across two pages is written whole, and on one side only. */
static void cow_write_across_pages(void) {
    char* memory = map_pages(2, MAP_PRIVATE);
    unsigned address = (unsigned)memory + PAGE_BYTES - 2;

    poke(address, 0x11223344);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(peek(address), 0x11223344);
        poke(address, 0xAABBCCDD);
        CHECK_EQUAL(peek(address), (int)0xAABBCCDD);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(peek(address), 0x11223344);
}

/* An instruction that reads and writes its operand does so once, although it faults in between. */
static void cow_read_modify_write(void) {
    make_page(10);
    int pid = fork();
    CHECK(pid >= 0);
    unsigned old = 4;
    __asm__ volatile("addl $1, %0" : "+m"(page[0]));
    __asm__ volatile("xaddl %1, %0" : "+m"(page[0]), "+r"(old));
    __asm__ volatile("lock; incl %0" : "+m"(page[0]));
    CHECK_EQUAL(old, 11);
    CHECK_EQUAL(page[0], 16);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* A string instruction over several shared pages continues where the faults interrupted it. */
static void cow_string_instruction(void) {
    unsigned char* memory = map_pages(5, MAP_PRIVATE);

    memset(memory, 0x55, 5 * PAGE_BYTES);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        memset(memory + 100, 0x66, 4 * PAGE_BYTES);
        for (unsigned i = 0; i < 5 * PAGE_BYTES; i += 3)
            CHECK_EQUAL(memory[i], i >= 100 && i < 100 + 4 * PAGE_BYTES ? 0x66 : 0x55);
        exit(0);
    }
    finish(pid);
    for (unsigned i = 0; i < 5 * PAGE_BYTES; i += 3)
        CHECK_EQUAL(memory[i], 0x55);
}

/* Many pages, every second written by the child, the others by the parent, at the same time. */
static void cow_many_pages(void) {
    enum { PAGES = 64 };
    volatile unsigned* memory = map_pages(PAGES, MAP_PRIVATE);

    for (unsigned i = 0; i < PAGES; i++)
        memory[i * WORDS_PER_PAGE] = i;
    int pid = fork();
    CHECK(pid >= 0);
    for (unsigned i = pid == 0; i < PAGES; i += 2) {
        memory[i * WORDS_PER_PAGE] = 1000 + i;
        if (i % 16 < 2)
            yield();
    }
    for (unsigned i = 0; i < PAGES; i++)
        CHECK_EQUAL(memory[i * WORDS_PER_PAGE], i % 2 == (pid == 0) ? 1000 + i : i);
    if (pid == 0)
        exit(0);
    finish(pid);
}

static volatile unsigned data_word = 31;
static volatile unsigned bss_word;

/* Data, bss, heap and stack are copied on write like mapped memory. */
static void cow_data_heap_and_stack(void) {
    volatile unsigned stack_word = 33;
    volatile unsigned* heap_word = malloc(sizeof(unsigned));

    CHECK(heap_word != NULL);
    bss_word = 32;
    *heap_word = 34;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        data_word++;
        bss_word++;
        stack_word++;
        ++*heap_word;
        CHECK(data_word == 32 && bss_word == 33 && stack_word == 34 && *heap_word == 35);
        exit(0);
    }
    finish(pid);
    CHECK(data_word == 31 && bss_word == 32 && stack_word == 33 && *heap_word == 34);
}

/* Calls the function in a child with the shared page as buffer; afterwards the parent's page must be untouched. */
static void kernel_writes(void (*function)(void* argument)) {
    make_page(0x5A5A5A5A);
    finish(start(function, NULL));
    check_page(0x5A5A5A5A);
}

/* Reads a file into the shared page. */
static void read_file_into_page(void* unused) {
    (void)unused;
    int fd = open_file(LINES_PATH);
    CHECK_EQUAL(read(fd, (void*)page, PAGE_BYTES), PAGE_BYTES);
    check_lines((const char*)page, 0, PAGE_BYTES);
}

/* The kernel's write by read() of a file respects copy-on-write. */
static void cow_kernel_read_file(void) { kernel_writes(read_file_into_page); }

/* Reads a pipe into the shared page. */
static void read_pipe_into_page(void* unused) {
    int fds[2];

    (void)unused;
    CHECK_EQUAL(pipe(fds), 0);
    CHECK_EQUAL(write(fds[1], "seventeen letters", 17), 17);
    CHECK_EQUAL(read(fds[0], (char*)page + 10, 100), 17);
    CHECK(memcmp((char*)page + 10, "seventeen letters", 17) == 0);
    CHECK_EQUAL(page[0], 0x5A5A5A5A);
}

/* The kernel's write by read() of a pipe respects copy-on-write. */
static void cow_kernel_read_pipe(void) { kernel_writes(read_pipe_into_page); }

/* Lets stat write to the shared page. */
static void stat_into_page(void* unused) {
    struct stat* status = (struct stat*)&page[20];

    (void)unused;
    CHECK_EQUAL(stat(LINES_PATH, status), 0);
    CHECK_EQUAL(status->size, LINES_BYTES);
}

/* The kernel's write by stat() respects copy-on-write. */
static void cow_kernel_stat(void) { kernel_writes(stat_into_page); }

/* Does nothing; the child of a child. */
static void do_nothing(void* unused) { (void)unused; }

/* Lets pipe, waitpid, getcwd and meminfo write to the shared page. */
static void others_into_page(void* unused) {
    (void)unused;
    CHECK_EQUAL(pipe((int*)&page[0]), 0);
    CHECK(page[0] != page[1]);
    int pid = start(do_nothing, NULL);
    CHECK_EQUAL(waitpid(pid, (int*)&page[2], 0), pid);
    CHECK_EQUAL(page[2], 0);
    CHECK(getcwd((char*)&page[4], 64) > 0);
    CHECK_EQUAL(*(char*)&page[4], '/');
    CHECK_EQUAL(meminfo((struct meminfo*)&page[100]), 0);
    CHECK_EQUAL(page[100], PAGE_BYTES);
}

/* So do the kernel's writes by other calls. */
static void cow_kernel_other_calls(void) { kernel_writes(others_into_page); }

/* Reads a file over three pages, of which the middle one is already the child's own. */
static void cow_kernel_read_over_pages(void) {
    char* memory = map_pages(4, MAP_PRIVATE);

    memset(memory, 'x', 4 * PAGE_BYTES);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        memory[PAGE_BYTES + 50] = 'y';
        int fd = open_file(LINES_PATH);
        CHECK_EQUAL(read(fd, memory + 1000, 3 * PAGE_BYTES), 3 * PAGE_BYTES);
        check_lines(memory + 1000, 0, 3 * PAGE_BYTES);
        CHECK_EQUAL(memory[999], 'x');
        CHECK_EQUAL(memory[1000 + 3 * PAGE_BYTES], 'x');
        exit(0);
    }
    finish(pid);
    for (unsigned i = 0; i < 4 * PAGE_BYTES; i += 7)
        CHECK_EQUAL(memory[i], 'x');
}

/* The frames that children copied come back when they end. */
static void cow_frames_come_back(void) {
    volatile unsigned* memory = map_pages(50, MAP_PRIVATE);

    for (unsigned i = 0; i < 50; i++)
        memory[i * WORDS_PER_PAGE] = i;
    finish(start(do_nothing, NULL));
    unsigned before = free_frames();
    for (int round = 0; round < 4; round++) {
        int pid = fork();
        CHECK(pid >= 0);
        for (unsigned i = 0; i < 50; i++)
            memory[i * WORDS_PER_PAGE] = i + 1;
        if (pid == 0)
            exit(0);
        finish(pid);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

/* The kernel counts its copies: a child that writes 20 pages makes at least as many, and not hundreds. */
static void cow_copies_are_counted(void) {
    volatile unsigned* memory = map_pages(200, MAP_PRIVATE);
    struct meminfo before;
    struct meminfo after;

    for (unsigned i = 0; i < 200; i++)
        memory[i * WORDS_PER_PAGE] = i;
    meminfo(&before);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (unsigned i = 0; i < 20; i++)
            memory[i * WORDS_PER_PAGE] = 0;
        exit(0);
    }
    finish(pid);
    meminfo(&after);
    CHECK_EQUAL(after.forks - before.forks, 1);
    CHECK(after.cow_copies - before.cow_copies >= 20);
    CHECK(after.cow_copies - before.cow_copies < 100);
    CHECK(after.faults - before.faults >= 20);
}

/* Whose sharers are gone writes its pages again: LunaixOS copies them once more, the others just make them writable.
 * Either way each page costs one fault at most, no copy is counted that was not made, and no frame is gained or lost.
 */
static void cow_alone_copies_or_reuses(void) {
    enum { PAGES = 30 };
    volatile unsigned* memory = map_pages(PAGES, MAP_PRIVATE);
    struct meminfo before;
    struct meminfo after;

    for (unsigned i = 0; i < PAGES; i++)
        memory[i * WORDS_PER_PAGE] = i;
    memset(&after, 0, sizeof after);
    memset(&before, 0, sizeof before);
    finish(start(do_nothing, NULL));
    meminfo(&before);
    for (unsigned i = 0; i < PAGES; i++)
        memory[i * WORDS_PER_PAGE] = i + 1;
    meminfo(&after);
    unsigned copies = after.cow_copies - before.cow_copies;
    CHECK(copies <= PAGES + 4);
    CHECK(copies == 0 || copies >= PAGES);
    CHECK(after.faults - before.faults <= PAGES + 4);
    CHECK((int)(before.frames_free - after.frames_free) <= 1);
    for (unsigned i = 0; i < PAGES; i++)
        CHECK_EQUAL(memory[i * WORDS_PER_PAGE], i + 1);
}

const struct test cow_tests[] = {
    {"cow_child_writes", cow_child_writes},
    {"cow_parent_writes", cow_parent_writes},
    {"cow_parent_writes_at_once", cow_parent_writes_at_once},
    {"cow_alone_again", cow_alone_again},
    {"cow_every_fork_is_a_snapshot", cow_every_fork_is_a_snapshot},
    {"cow_write_across_pages", cow_write_across_pages},
    {"cow_read_modify_write", cow_read_modify_write},
    {"cow_string_instruction", cow_string_instruction},
    {"cow_many_pages", cow_many_pages},
    {"cow_data_heap_and_stack", cow_data_heap_and_stack},
    {"cow_kernel_read_file", cow_kernel_read_file},
    {"cow_kernel_read_pipe", cow_kernel_read_pipe},
    {"cow_kernel_stat", cow_kernel_stat},
    {"cow_kernel_other_calls", cow_kernel_other_calls},
    {"cow_kernel_read_over_pages", cow_kernel_read_over_pages},
    {"cow_frames_come_back", cow_frames_come_back},
    {"cow_copies_are_counted", cow_copies_are_counted},
    {"cow_alone_copies_or_reuses", cow_alone_copies_or_reuses},
    {NULL, NULL},
};
