/* Tests of the heap's end and of what happens when memory or addresses run out. */
#include "guest/user/usertests/usertests.h"

#define MEGABYTE (1024u * 1024u)
#define MOST_FRAMES 20000 /* beyond 80 MB free, filling all memory would take too long */

/* brk grows, shrinks and grows; what is mapped again is zero, and what stayed is unchanged. */
static void brk_grow_and_shrink(void) {
    char* end = sbrk(0);

    CHECK(sbrk(5 * PAGE_BYTES) == end);
    for (unsigned i = 0; i < 5 * PAGE_BYTES; i++)
        CHECK_EQUAL(end[i], 0);
    memset(end, 0x77, 5 * PAGE_BYTES);
    CHECK_EQUAL(brk(end + 2 * PAGE_BYTES), 0);
    CHECK(sbrk(0) == end + 2 * PAGE_BYTES);
    CHECK_EQUAL(brk(end + 4 * PAGE_BYTES), 0);
    for (unsigned i = 0; i < 2 * PAGE_BYTES; i += 9)
        CHECK_EQUAL(end[i], 0x77);
    for (unsigned i = 3 * PAGE_BYTES; i < 4 * PAGE_BYTES; i++)
        CHECK_EQUAL(end[i], 0);
    CHECK_EQUAL(brk(end), 0);
}

/* Touches memory beyond the heap's end. */
static void touch_behind_end(void* end) { poke(((unsigned)end + 2 * PAGE_BYTES - 1) & ~(PAGE_BYTES - 1), 1); }

/* Beyond the end of the heap nothing is mapped, also after it has shrunk; its frames are free. */
static void brk_shrink_gives_back(void) {
    char* end = sbrk(0);
    unsigned before = free_frames();

    CHECK(sbrk(64 * PAGE_BYTES) == end);
    memset(end, 1, 64 * PAGE_BYTES);
    CHECK(before - free_frames() >= 63);
    CHECK_EQUAL(brk(end), 0);
    CHECK(before - free_frames() <= 3);
    must_die(touch_behind_end, end, SIGSEGV);
}

/* Ends below the heap, in the kernel or beyond all addresses are refused and change nothing. */
static void brk_refusals(void) {
    void* end = sbrk(0);

    CHECK_EQUAL(brk((void*)0x1000), -1);
    CHECK_EQUAL(brk((void*)0x00400000), -1);
    CHECK_EQUAL(brk((void*)0xC0000000), -1);
    CHECK_EQUAL(brk((void*)0xFFFFFFFF), -1);
    CHECK(sbrk(0) == end);
}

/* The heap of a child begins as its parent's and goes its own way. */
static void brk_across_fork(void) {
    char* end = sbrk(0);

    CHECK(sbrk(2 * PAGE_BYTES) == end);
    end[0] = 1;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(sbrk(0) == end + 2 * PAGE_BYTES);
        CHECK_EQUAL(end[0], 1);
        CHECK_EQUAL(brk(end), 0);
        CHECK(sbrk(4 * PAGE_BYTES) == end);
        CHECK_EQUAL(end[3 * PAGE_BYTES], 0);
        exit(0);
    }
    finish(pid);
    CHECK(sbrk(0) == end + 2 * PAGE_BYTES);
    CHECK_EQUAL(end[0], 1);
}

/* malloc and free of many sizes give distinct, aligned memory, and reuse it. */
static void malloc_reuses(void) {
    char* pieces[40];

    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 40; i++) {
            pieces[i] = malloc(i * 97 + 1);
            CHECK(pieces[i] != NULL && (unsigned)pieces[i] % 16 == 0);
            memset(pieces[i], (int)i, i * 97 + 1);
        }
        for (unsigned i = 0; i < 40; i++)
            for (unsigned j = 0; j <= i * 97; j += 48)
                CHECK_EQUAL(pieces[i][j], i);
        for (unsigned i = 0; i < 40; i++)
            free(pieces[(i * 7) % 40]);
    }
    CHECK((char*)sbrk(0) - pieces[0] < 256 * 1024);
    CHECK(malloc(0x7FFFFFF0) == NULL);
}

/* When the address space is full mmap says ENOMEM; when some is unmapped it works again. */
static void map_no_addresses_left(void) {
    enum { MOST = 200 };
    void* regions[MOST];
    int count = 0;

    CHECK_ERROR(mmap(NULL, 0xF0000000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    while (count < MOST) {
        regions[count] = mmap(NULL, 64 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (regions[count] == MAP_FAILED)
            break;
        count++;
    }
    CHECK(count < 64);
    CHECK_EQUAL(errno, ENOMEM);
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(munmap(regions[i], 64 * MEGABYTE), 0);
    map_pages(4, MAP_PRIVATE);
}

/* Fails unless a process ended as one may that gets no memory: refused (status 3), or killed. */
static void check_ending(const char* who, int status) {
    if (status != 3 << 8 && status != SIGKILL && status != SIGSEGV)
        FAIL("%s ended with status 0x%x", who, (unsigned)status);
}

/* Maps and touches memory until the kernel refuses or kills. */
static void use_all_memory(void* unused) {
    (void)unused;
    for (;;) {
        char* memory = mmap(NULL, MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            CHECK_EQUAL(errno, ENOMEM);
            exit(3);
        }
        for (unsigned i = 0; i < MEGABYTE; i += PAGE_BYTES)
            memory[i] = 1;
    }
}

/* Lets the kernel touch more memory than there is, by reading a file into it. */
static void use_all_memory_in_kernel(void* unused) {
    unsigned bytes = (free_frames() + 10) * PAGE_BYTES;
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open_file(LINES_PATH);

    (void)unused;
    for (unsigned at = 0; memory != MAP_FAILED && at < bytes; at += PAGE_BYTES) {
        lseek(fd, 0, SEEK_SET);
        if (read(fd, memory + at, 16) != 16)
            break;
    }
    exit(errno == ENOMEM || errno == EFAULT ? 3 : 4);
}

/* What the test's own process has filled most of the memory with. */
struct hoard {
    volatile unsigned* memory;
    unsigned pages;
};

/* Writes every page of the hoard, which is more than can be copied. */
static void copy_hoard(void* argument) {
    struct hoard* hoard = argument;

    for (unsigned i = 0; i < hoard->pages; i++)
        hoard->memory[i * 1024] = ~i;
}

/* Memory runs out, once by touching, once in the kernel, once by copies on write. The process that uses it up is
 * refused or killed; all others continue, the memory comes back, and the hoard that was to be copied is unchanged. */
static void memory_exhausted(void) {
    if (free_frames() > MOST_FRAMES)
        skip("more than 80 MB free");
    struct hoard hoard = {NULL, free_frames() * 8 / 10};
    hoard.memory = map_pages(hoard.pages, MAP_PRIVATE);
    for (unsigned i = 0; i < hoard.pages; i++)
        hoard.memory[i * 1024] = i;
    unsigned before = free_frames();
    check_ending("who touched all memory", run_apart(use_all_memory, NULL));
    check_ending("who let the kernel touch all memory", run_apart(use_all_memory_in_kernel, NULL));
    int status = run_apart(copy_hoard, &hoard);
    CHECK(status != 0);
    check_ending("who copied all memory", status);
    await_frames(before);
    CHECK((int)(before - free_frames()) <= 8);
    for (unsigned i = 0; i < hoard.pages; i++)
        CHECK_EQUAL(hoard.memory[i * 1024], i);
    hoard.memory[1] = 1;
    memset(map_pages(100, MAP_PRIVATE), 1, 100 * PAGE_BYTES);
}

/* Ends at once: a child whose birth is all that matters. */
static void no_more(void* unused) { (void)unused; }

/* An order to fail can be cancelled, hits one call, once, and then all is as before. */
static void failalloc_strikes_once(void) {
    CHECK_EQUAL(failalloc(0), 0);
    CHECK_EQUAL(failalloc(1000), 0);
    CHECK_EQUAL(failalloc(0), 1000);
    for (int round = 0; round < 3; round++) {
        finish(start(no_more, NULL));
        errno = 0; /* on a page of our own from here on */
        unsigned before = free_frames();
        failalloc(1);
        int pid = fork();
        int error = errno;
        unsigned left = failalloc(0);
        if (pid == 0)
            exit(0);
        CHECK_EQUAL(pid, -1);
        CHECK(error == ENOMEM || error == EAGAIN);
        CHECK_EQUAL(left, 0);
        CHECK_EQUAL(free_frames(), before);
    }
    finish(start(no_more, NULL));
}

enum { SHARED_PAGES = 250, MOST_WRITERS = 400, FRAMES_TO_FORK_WITH = 2500 };

/* Forks children that each write all of their parent's pages and stay, until there is no memory for one more: fork
 * refuses, or the writer is killed. */
static void fork_writers(void* unused) {
    volatile unsigned* memory = map_pages(SHARED_PAGES, MAP_PRIVATE);
    struct gate gate = make_gate();
    int pids[MOST_WRITERS];
    int count = 0;
    int pid = 0;

    (void)unused;
    for (unsigned i = 0; i < SHARED_PAGES; i++)
        memory[i * 1024] = i;
    while (count < MOST_WRITERS && (pid = fork()) > 0) {
        pids[count++] = pid;
        yield();
    }
    if (pid == 0) {
        char byte;
        close(gate.fds[1]);
        for (unsigned i = 0; i < SHARED_PAGES; i++)
            memory[i * 1024] += 1000;
        for (unsigned i = 0; i < SHARED_PAGES; i++)
            CHECK_EQUAL(memory[i * 1024], 1000 + i);
        read(gate.fds[0], &byte, 1);
        exit(3);
    }
    CHECK(pid > 0 || errno == ENOMEM || errno == EAGAIN);
    drop_gate(gate);
    for (int i = 0; i < count; i++)
        check_ending("a child that wrote", wait_status(pids[i]));
    for (unsigned i = 0; i < SHARED_PAGES; i++)
        CHECK_EQUAL(memory[i * 1024], i);
    exit(3);
}

static struct gate memory_is_held;

/* Holds all memory but what the forks may use, until it is killed; a process of its own, so that no fork copies it. */
static void hold_memory(void* unused) {
    unsigned pages = free_frames() - FRAMES_TO_FORK_WITH;
    volatile unsigned* memory = map_pages(pages, MAP_SHARED);

    (void)unused;
    for (unsigned i = 0; i < pages; i++)
        memory[i * 1024] = i;
    open_gate(memory_is_held);
    for (;;)
        sleep_ms(1000);
}

/* Memory runs out amid forks and copies: some process is refused or killed, none sees wrong memory, and all memory
 * comes back. */
static void memory_exhausted_by_forks(void) {
    if (free_frames() > MOST_FRAMES)
        skip("more than 80 MB free");
    memory_is_held = make_gate();
    int holder = free_frames() > FRAMES_TO_FORK_WITH ? start(hold_memory, NULL) : 0;
    if (holder > 0)
        wait_gate(memory_is_held);
    unsigned before = free_frames();
    for (int round = 0; round < 2; round++) {
        check_ending("who forked until memory was gone", run_apart(fork_writers, NULL));
        await_frames(before - 8);
        CHECK((int)(before - free_frames()) <= 8);
    }
    if (holder > 0) {
        kill(holder, SIGKILL);
        CHECK_EQUAL(wait_status(holder), SIGKILL);
    }
    drop_gate(memory_is_held);
}

const struct test limit_tests[] = {
    {"brk_grow_and_shrink", brk_grow_and_shrink},
    {"brk_shrink_gives_back", brk_shrink_gives_back},
    {"brk_refusals", brk_refusals},
    {"brk_across_fork", brk_across_fork},
    {"malloc_reuses", malloc_reuses},
    {"map_no_addresses_left", map_no_addresses_left},
    {"memory_exhausted", memory_exhausted},
    {"memory_exhausted_by_forks", memory_exhausted_by_forks},
    {"failalloc_strikes_once", failalloc_strikes_once},
    {NULL, NULL},
};
