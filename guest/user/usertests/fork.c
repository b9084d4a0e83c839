/* Tests of fork itself: what it returns, what the child inherits, how it fails. */
#include "guest/user/usertests/usertests.h"

#define MOST_PROCESSES 600
#define SPARE_FRAMES 100 /* with fewer, a process may rightly be killed because its stack cannot be copied */

/* fork returns the child's pid to the parent and 0 to the child, and the child knows its parent. */
static void fork_returns_twice(void) {
    int parent = getpid();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(getpid() != parent);
        CHECK_EQUAL(getppid(), parent);
        exit(getpid() & 0x7F);
    }
    CHECK_EQUAL(getpid(), parent);
    CHECK(pid != parent && pid > 1);
    CHECK_EQUAL(wait_status(pid), (pid & 0x7F) << 8);
}

/* Forks a subtree and returns how many processes it had, this one included. */
static int grow_tree(int depth, int fanout) {
    int pids[8];
    int count = 1;

    for (int i = 0; i < fanout && depth > 0; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0)
            exit(grow_tree(depth - 1, fanout));
    }
    for (int i = 0; i < fanout && depth > 0; i++) {
        int status = wait_status(pids[i]);
        CHECK(status_exited(status));
        count += status_code(status);
    }
    return count;
}

/* A wide tree and a binary tree of processes come back complete. */
static void fork_tree(void) {
    CHECK_EQUAL(grow_tree(2, 5), 31);
    CHECK_EQUAL(grow_tree(4, 2), 31);
}

/* Is one link of a chain: sees what the link before wrote, writes its own, checks that it stays. */
static void chain_link(volatile unsigned* page, unsigned left) {
    unsigned mine = left * 1000 + 7;

    CHECK_EQUAL(*page, (left + 1) * 1000 + 7);
    *page = mine;
    if (left > 0) {
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            chain_link(page, left - 1);
            exit(0);
        }
        finish(pid);
    }
    CHECK_EQUAL(*page, mine);
}

/* Twenty generations live at once, and each writes the page that it inherited. */
static void fork_deep_chain(void) {
    volatile unsigned* page = map_pages(1, MAP_PRIVATE);

    *page = 20 * 1000 + 7;
    chain_link(page, 19);
    CHECK_EQUAL(*page, 19 * 1000 + 7);
}

/* A hundred generations follow each other: each writes one of the pages that all before have written, forks the next
 * and ends, so that a shadow chain or a reference count that grows with the generations shows, and what it keeps. The
 * last tells the test's own process through a pipe. */
static void fork_generations(void) {
    struct gate done = make_gate();
    volatile unsigned* pages = map_pages(4, MAP_PRIVATE);

    for (unsigned i = 0; i < 4; i++)
        pages[i * 1024] = 0;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        finish(pid);
        wait_gate(done);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQUAL(pages[i * 1024], 0);
        return;
    }
    for (unsigned generation = 1; generation <= 100; generation++) {
        for (unsigned back = 1; back <= 4; back++)
            CHECK_EQUAL(pages[(generation + 4 - back) % 4 * 1024], generation > back ? generation - back : 0);
        pages[generation % 4 * 1024] = generation;
        int next = fork();
        CHECK(next >= 0);
        if (next > 0)
            exit(0);
    }
    open_gate(done);
}

/* A hundred children one after the other, each writing what its parent does not write: the parent's memory does not
 * grow with them, and every child sees the moment of its birth. */
static void fork_hundred_children(void) {
    enum { PAGES = 8 };
    volatile unsigned* pages = map_pages(PAGES, MAP_PRIVATE);
    unsigned before = 0;

    for (unsigned round = 0; round < 100; round++) {
        if (round == 10)
            before = free_frames();
        for (unsigned i = 0; i < PAGES; i++)
            pages[i * 1024] = round * PAGES + i;
        int pid = fork();
        CHECK(pid >= 0);
        for (unsigned i = pid == 0; i < PAGES; i += 2)
            pages[i * 1024] = 7;
        for (unsigned i = 0; i < PAGES; i++)
            CHECK_EQUAL(pages[i * 1024], i % 2 == (pid == 0) ? 7 : round * PAGES + i);
        if (pid == 0)
            exit(0);
        finish(pid);
    }
    CHECK((int)(before - free_frames()) <= 1); /* the kernel's own stores may differ by one */
}

/* Forks and maps and writes until it is killed. */
static void work_for_ever(void* unused) {
    (void)unused;
    for (unsigned round = 0;; round++) {
        volatile unsigned* memory = map_pages(3, round % 2 ? MAP_PRIVATE : MAP_SHARED);
        memory[0] = round;
        int pid = fork();
        memory[1024] = round;
        memory[0] = 1;
        if (pid == 0)
            exit(0);
        if (pid > 0)
            waitpid(pid, NULL, 0);
        munmap((void*)memory, 3 * PAGE_BYTES);
    }
}

/* A process may be killed at any moment, also amid fork, mmap or a fault: nothing of it stays. */
static void fork_killed_at_any_moment(void) {
    unsigned before = 0;

    for (int round = 0; round < 24; round++) {
        if (round == 4)
            before = free_frames();
        int pid = start(work_for_ever, NULL);
        for (int i = 0; i < round; i++)
            yield();
        if (round % 3 == 0)
            sleep_ms((unsigned)round % 5);
        CHECK_EQUAL(kill(pid, SIGKILL), 0);
        CHECK_EQUAL(wait_status(pid), SIGKILL);
    }
    await_frames(before); /* its children are init's now */
    CHECK((int)(before - free_frames()) <= 1);
}

/* What the child does at the place of an exclusive region is its own, and the parent keeps all of it. */
static void fork_exclusive_is_own(void) {
    volatile unsigned* memory = map_pages(40, MAP_EXCLUSIVE);
    struct gate gate = make_gate();

    for (unsigned i = 0; i < 40; i++)
        memory[i * 1024] = i + 1;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        volatile unsigned* own = mmap((void*)memory, 40 * PAGE_BYTES, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        CHECK(own == memory);
        for (unsigned i = 0; i < 40; i++) {
            CHECK_EQUAL(own[i * 1024], 0);
            own[i * 1024] = 99;
        }
        wait_gate(gate);
        exit(0);
    }
    for (unsigned i = 0; i < 40; i++)
        memory[i * 1024 + 1] = i;
    open_gate(gate);
    finish(pid);
    for (unsigned i = 0; i < 40; i++)
        CHECK(memory[i * 1024] == i + 1 && memory[i * 1024 + 1] == i);
}

/* Many children at once have distinct pids, and each is reaped exactly once. */
static void fork_many_children(void) {
    enum { COUNT = 24 };
    int pids[COUNT];

    for (int i = 0; i < COUNT; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0)
            exit(i);
        for (int j = 0; j < i; j++)
            CHECK(pids[i] != pids[j]);
    }
    for (int left = COUNT; left > 0; left--) {
        int status;
        int pid = wait(&status);
        for (int i = 0; i < COUNT; i++)
            if (pids[i] == pid) {
                CHECK_EQUAL(status, i << 8);
                pids[i] = 0;
                pid = 0;
            }
        CHECK_EQUAL(pid, 0);
    }
    CHECK_ERROR(wait(NULL), ECHILD);
}

/* Calls fork with known values in all registers; returns its result if both sides keep all of them, else -1000. */
static int fork_with_known_registers(void) {
    int result;
    int good;

    __asm__ volatile("pushl %%ebp\n\t"
                     "movl $0x11111111, %%ebx\n\t"
                     "movl $0x22222222, %%ecx\n\t"
                     "movl $0x33333333, %%edx\n\t"
                     "movl $0x44444444, %%esi\n\t"
                     "movl $0x55555555, %%edi\n\t"
                     "movl $0x66666666, %%ebp\n\t"
                     "cmpl %%edi, %%edi\n\t"
                     "int $0x80\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x11111111, %%ebx\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x22222222, %%ecx\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x33333333, %%edx\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x44444444, %%esi\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x55555555, %%edi\n\t"
                     "jne 1f\n\t"
                     "cmpl $0x66666666, %%ebp\n\t"
                     "jne 1f\n\t"
                     "movl $1, %%ebx\n\t"
                     "jmp 2f\n"
                     "1:\tmovl $0, %%ebx\n"
                     "2:\tpopl %%ebp"
                     : "=a"(result), "=&b"(good)
                     : "0"(SYS_fork)
                     : "ecx", "edx", "esi", "edi", "memory", "cc");
    return good ? result : -1000;
}

/* All registers and the zero flag survive fork on both sides, but for eax; a kernel may use the carry flag for errors.
 */
static void fork_keeps_registers(void) {
    int pid = fork_with_known_registers();

    CHECK(pid >= 0);
    if (pid == 0)
        exit(42);
    CHECK_EQUAL(wait_status(pid), 42 << 8);
}

static unsigned data_words[3000] = {1, 2, 3};
static unsigned bss_words[3000];

/* Adds up words in a way that depends on their places. */
static unsigned sum_words(const unsigned* words, unsigned count) {
    unsigned sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum = (sum << 1 | sum >> 31) ^ words[i];
    return sum;
}

/* The child finds the same data, heap, stack and mapped memory as its parent. */
static void fork_copies_all_memory(void) {
    unsigned stack_words[1500];
    unsigned* heap_words = malloc(3000 * sizeof(unsigned));
    unsigned* mapped_words = map_pages(3, MAP_PRIVATE);

    CHECK(heap_words != NULL);
    for (unsigned i = 0; i < 1500; i++)
        stack_words[i] = data_words[2 * i + 1] = bss_words[2 * i] = heap_words[i] = mapped_words[2 * i] = i * i + 5;
    for (unsigned i = 1500; i < 3000; i++)
        heap_words[i] = i;
    unsigned before = sum_words(stack_words, 1500) ^ sum_words(data_words, 3000) ^ sum_words(bss_words, 3000) ^
                      sum_words(heap_words, 3000) ^ sum_words(mapped_words, 3000);
    int pid = fork();
    CHECK(pid >= 0);
    unsigned after = sum_words(stack_words, 1500) ^ sum_words(data_words, 3000) ^ sum_words(bss_words, 3000) ^
                     sum_words(heap_words, 3000) ^ sum_words(mapped_words, 3000);
    CHECK_EQUAL(after, before);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* fork copies no data page: a process of 256 pages costs far fewer frames to duplicate. */
static void fork_copies_lazily(void) {
    volatile unsigned* memory = map_pages(256, MAP_PRIVATE);
    struct gate gate = make_gate();

    for (unsigned i = 0; i < 256; i++)
        memory[i * 1024] = i;
    unsigned before = free_frames();
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        wait_gate(gate);
        exit(0);
    }
    unsigned used = before - free_frames();
    open_gate(gate);
    finish(pid);
    if (used > 64)
        FAIL("a fork of 256 pages took %u frames", used);
}

/* Grows the heap and maps memory, which the parent must not notice. */
static void change_layout(void* memory) {
    CHECK(sbrk(5 * PAGE_BYTES) != MAP_FAILED);
    CHECK_EQUAL(munmap(memory, PAGE_BYTES), 0);
    map_pages(3, MAP_PRIVATE);
}

/* What the child does to the layout of its memory does not happen to the parent's. */
static void fork_layout_is_own(void) {
    volatile unsigned* memory = map_pages(2, MAP_PRIVATE);
    void* end = sbrk(0);

    memory[0] = 11;
    memory[1024] = 12;
    finish(start(change_layout, (void*)memory));
    CHECK(sbrk(0) == end);
    CHECK_EQUAL(memory[0], 11);
    CHECK_EQUAL(memory[1024], 12);
}

/* Sixty-four regions, one of each kind after the other, are all right in the child. */
static void fork_many_regions(void) {
    enum { COUNT = 64 };
    volatile unsigned* regions[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        regions[i] = map_pages(1 + i % 3, i % 2 ? MAP_SHARED : MAP_PRIVATE);
        *regions[i] = i;
    }
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (unsigned i = 0; i < COUNT; i++) {
            CHECK_EQUAL(*regions[i], i);
            *regions[i] = i + 500;
        }
        exit(0);
    }
    finish(pid);
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_EQUAL(*regions[i], i % 2 ? i + 500 : i);
}

/* Forks until the kernel refuses, lets all children go, and forks again. */
static void fork_process_table_full(void) {
    int* pids = malloc(MOST_PROCESSES * sizeof(int));
    struct gate gate = make_gate();
    int count = 0;
    int pid = 0;

    CHECK(pids != NULL);
    while (count < MOST_PROCESSES && free_frames() >= SPARE_FRAMES && (pid = fork()) > 0)
        pids[count++] = pid;
    if (pid == 0 && count < MOST_PROCESSES) {
        char byte;
        close(gate.fds[1]);
        read(gate.fds[0], &byte, 1); /* comes back with the end of the file, when the parent closes the gate */
        exit(5);
    }
    int error = errno;
    drop_gate(gate);
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(wait_status(pids[i]), 5 << 8);
    if (count == MOST_PROCESSES || pid > 0)
        skip(count == MOST_PROCESSES ? "no limit below 600 processes" : "too little memory for so many");
    CHECK(error == EAGAIN || error == ENOMEM);
    CHECK(count >= 16);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* Forty forks one after the other do not lose a frame. */
static void fork_leaks_nothing(void) {
    volatile unsigned* page = map_pages(1, MAP_PRIVATE);
    unsigned before = 0;

    for (int i = 0; i < 41; i++) {
        if (i == 1) /* the first fork may fill the kernel's own stores */
            before = free_frames();
        *page = (unsigned)i;
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            *page = 99;
            exit(0);
        }
        finish(pid);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

/* The program forkstorm, which allocates and releases around forks, finds nothing wrong. */
static void fork_storm(void) {
    char* arguments[] = {"forkstorm", "12", "7", NULL};
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0)
            dup2(null, STDOUT);
        else
            close(STDOUT);
        exec("/bin/forkstorm", arguments);
        FAIL("exec: %s", error_text(errno));
    }
    finish(pid);
}

const struct test fork_tests[] = {
    {"fork_returns_twice", fork_returns_twice},
    {"fork_tree", fork_tree},
    {"fork_deep_chain", fork_deep_chain},
    {"fork_generations", fork_generations},
    {"fork_hundred_children", fork_hundred_children},
    {"fork_killed_at_any_moment", fork_killed_at_any_moment},
    {"fork_exclusive_is_own", fork_exclusive_is_own},
    {"fork_many_children", fork_many_children},
    {"fork_keeps_registers", fork_keeps_registers},
    {"fork_copies_all_memory", fork_copies_all_memory},
    {"fork_copies_lazily", fork_copies_lazily},
    {"fork_layout_is_own", fork_layout_is_own},
    {"fork_many_regions", fork_many_regions},
    {"fork_process_table_full", fork_process_table_full},
    {"fork_leaks_nothing", fork_leaks_nothing},
    {"fork_storm", fork_storm},
    {NULL, NULL},
};
