/* Tests of the heap's end and of what happens when memory or addresses run out. */
#include "guest/user/usertests/usertests.h"

#define MEGABYTE (1024u * 1024u)
#define MOST_FRAMES 20000 /* beyond 80 MB free, filling all memory would take too long */

/* brk grows, shrinks and grows; what comes back is zero, and what stayed is as it was. */
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

/* Touches the heap behind its end. */
static void touch_behind_end(void* end) { poke(((unsigned)end + 2 * PAGE_BYTES - 1) & ~(PAGE_BYTES - 1), 1); }

/* Behind the end of the heap there is nothing, also after it has shrunk; its frames are free. */
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

/* Ends below the heap, in the kernel or behind all addresses are refused and change nothing. */
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

/* When the address space is full mmap says ENOMEM; when some is given back it works again. */
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

/* Maps and touches memory until the kernel refuses or kills; exits with 3 if it refused. */
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

/* Skips a test that fills all memory where there is too much of it. */
static void need_small_memory(void) {
    if (free_frames() > MOST_FRAMES)
        skip("more than 80 MB free");
}

/* A process that uses up all memory is refused or killed; everybody else goes on, and the memory comes back. */
static void memory_exhausted_by_touch(void) {
    need_small_memory();
    unsigned before = free_frames();
    int status = run_apart(use_all_memory, NULL);
    if (status != 3 << 8 && status != SIGKILL && status != SIGSEGV)
        FAIL("the process that used all memory ended with 0x%x", (unsigned)status);
    await_frames(before);
    CHECK(before - free_frames() <= 4);
    char* memory = map_pages(100, MAP_PRIVATE);
    memset(memory, 1, 100 * PAGE_BYTES);
}

/* Memory that fits once but not twice: the child's copies run out. The child is killed, the parent keeps its own. */
static void memory_exhausted_by_copies(void) {
    need_small_memory();
    unsigned pages = free_frames() * 6 / 10;
    volatile unsigned* memory = map_pages(pages, MAP_PRIVATE);

    for (unsigned i = 0; i < pages; i++)
        memory[i * 1024] = i;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (unsigned i = 0; i < pages; i++)
            memory[i * 1024] = ~i;
        exit(0);
    }
    int status = wait_status(pid);
    if (status != SIGKILL && status != SIGSEGV)
        FAIL("the child that could not copy ended with 0x%x", (unsigned)status);
    for (unsigned i = 0; i < pages; i++)
        CHECK_EQUAL(memory[i * 1024], i);
    memory[1] = 1;
}

/* A system call that has to write to memory which cannot be had returns an error, or the process is killed. */
static void memory_exhausted_in_kernel(void) {
    need_small_memory();
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        unsigned pages = free_frames() + 10;
        char* memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int fd = open_file(LINES_PATH);
        for (unsigned at = 0; memory != MAP_FAILED && at + PAGE_BYTES <= pages * PAGE_BYTES; at += PAGE_BYTES) {
            lseek(fd, 0, SEEK_SET);
            if (read(fd, memory + at, 16) != 16)
                exit(errno == ENOMEM || errno == EFAULT ? 3 : 4);
        }
        exit(memory == MAP_FAILED ? 3 : 5);
    }
    int status = wait_status(pid);
    if (status != 3 << 8 && status != SIGKILL && status != SIGSEGV)
        FAIL("the process ended with 0x%x", (unsigned)status);
}

const struct test limit_tests[] = {
    {"brk_grow_and_shrink", brk_grow_and_shrink},
    {"brk_shrink_gives_back", brk_shrink_gives_back},
    {"brk_refusals", brk_refusals},
    {"brk_across_fork", brk_across_fork},
    {"malloc_reuses", malloc_reuses},
    {"map_no_addresses_left", map_no_addresses_left},
    {"memory_exhausted_by_touch", memory_exhausted_by_touch},
    {"memory_exhausted_by_copies", memory_exhausted_by_copies},
    {"memory_exhausted_in_kernel", memory_exhausted_in_kernel},
    {NULL, NULL},
};
