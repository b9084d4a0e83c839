/* Tests of anonymous mappings: the three kinds across fork, munmap, MAP_FIXED, protection, minherit. */
#include "guest/user/usertests/usertests.h"

#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(unsigned))

/* New memory is zero, even where other memory was unmapped just before. */
static void map_new_memory_is_zero(void) {
    for (int round = 0; round < 3; round++) {
        unsigned* memory = map_pages(8, MAP_PRIVATE);
        for (unsigned i = 0; i < 8 * WORDS_PER_PAGE; i++)
            CHECK_EQUAL(memory[i], 0);
        memset(memory, 0xEE, 8 * PAGE_BYTES);
        CHECK_EQUAL(munmap(memory, 8 * PAGE_BYTES), 0);
    }
}

/* A shared region stays one for parent, child and grandchild, also where a page was never touched before fork. */
static void map_shared_across_fork(void) {
    volatile unsigned* memory = map_pages(3, MAP_SHARED);

    memory[0] = 1;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(memory[0], 1);
        memory[0] = 2;
        memory[WORDS_PER_PAGE] = 3; /* touched in the child first */
        int grandchild = fork();
        CHECK(grandchild >= 0);
        if (grandchild == 0) {
            memory[2 * WORDS_PER_PAGE] = memory[0] + memory[WORDS_PER_PAGE];
            exit(0);
        }
        finish(grandchild);
        CHECK_EQUAL(memory[2 * WORDS_PER_PAGE], 5);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(memory[0], 2);
    CHECK_EQUAL(memory[WORDS_PER_PAGE], 3);
    CHECK_EQUAL(memory[2 * WORDS_PER_PAGE], 5);
}

/* Two processes count in shared memory at the same time, and no count is lost. */
static void map_shared_counts(void) {
    volatile unsigned* counter = map_board();
    int pid = fork();

    CHECK(pid >= 0);
    for (int i = 0; i < 2000; i++) {
        __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
        if (i % 500 == 0)
            yield();
    }
    if (pid == 0)
        exit(0);
    finish(pid);
    CHECK_EQUAL(*counter, 4000);
}

/* A private region is the same at the fork and two regions after it; pages not touched before are zero on both sides.
 */
static void map_private_across_fork(void) {
    volatile unsigned* memory = map_pages(2, MAP_PRIVATE);

    memory[0] = 1;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(memory[0], 1);
        CHECK_EQUAL(memory[WORDS_PER_PAGE], 0);
        memory[0] = 2;
        memory[WORDS_PER_PAGE] = 2;
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(memory[0], 1);
    CHECK_EQUAL(memory[WORDS_PER_PAGE], 0);
}

/* Looks at an exclusive region from the child: 0 is right, and so is no region at all (the signal ends the child). */
static void look_at_exclusive(void* memory) { CHECK_EQUAL(peek((unsigned)memory), 0); }

/* The child of a process with an exclusive region sees nothing of its contents; the parent keeps them. */
static void map_exclusive_across_fork(void) {
    volatile unsigned* memory = map_pages(3, MAP_EXCLUSIVE);

    for (unsigned i = 0; i < 3; i++)
        memory[i * WORDS_PER_PAGE] = 90 + i;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            int status = run_apart(look_at_exclusive, (void*)&memory[i * WORDS_PER_PAGE]);
            CHECK(status == 0 || status == SIGSEGV);
            CHECK_EQUAL(memory[i * WORDS_PER_PAGE], 90 + i);
            memory[i * WORDS_PER_PAGE + 1] = 1; /* still writable */
        }
    }
}

/* Reads a word of what should be no memory any more. */
static void read_word(void* address) { peek((unsigned)address); }

/* Writes a word to what should not be writable. */
static void write_word(void* address) { poke((unsigned)address, 1); }

/* After munmap the memory is gone, its frames are free, and unmapping nothing is no error. */
static void map_unmap(void) {
    volatile unsigned* memory = map_pages(40, MAP_PRIVATE);

    memory[0] = 1;
    unsigned before = free_frames();
    for (unsigned i = 0; i < 40; i++)
        memory[i * WORDS_PER_PAGE] = 1;
    CHECK(before - free_frames() >= 39);
    CHECK_EQUAL(munmap((void*)memory, 40 * PAGE_BYTES), 0);
    CHECK(free_frames() >= before);
    must_die(read_word, (void*)memory, SIGSEGV);
    CHECK_EQUAL(munmap((void*)memory, 40 * PAGE_BYTES), 0);
}

/* munmap in the middle leaves two regions, which fork, are written and are unmapped each for itself. */
static void map_unmap_middle(void) {
    char* memory = map_pages(9, MAP_PRIVATE);

    for (unsigned i = 0; i < 9; i++)
        memory[i * PAGE_BYTES] = (char)('a' + i);
    CHECK_EQUAL(munmap(memory + 3 * PAGE_BYTES, 3 * PAGE_BYTES), 0);
    for (unsigned i = 3; i < 6; i++)
        must_die(read_word, memory + i * PAGE_BYTES, SIGSEGV);
    int pid = fork();
    CHECK(pid >= 0);
    for (unsigned i = 0; i < 9; i++) {
        if (i >= 3 && i < 6)
            continue;
        CHECK_EQUAL(memory[i * PAGE_BYTES], 'a' + i);
        memory[i * PAGE_BYTES] = (char)(pid == 0);
    }
    if (pid == 0) {
        CHECK_EQUAL(munmap(memory, 3 * PAGE_BYTES), 0);
        CHECK_EQUAL(memory[8 * PAGE_BYTES], 1);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(memory[0], 0);
    CHECK_EQUAL(memory[8 * PAGE_BYTES], 0);
}

/* munmap over several regions and the gaps between them takes the parts of all. */
static void map_unmap_across_regions(void) {
    char* memory = map_pages(12, MAP_PRIVATE);

    CHECK_EQUAL(munmap(memory + 4 * PAGE_BYTES, 2 * PAGE_BYTES), 0);
    memory[0] = 1;
    memory[11 * PAGE_BYTES] = 2;
    CHECK_EQUAL(munmap(memory + 2 * PAGE_BYTES, 8 * PAGE_BYTES), 0);
    CHECK_EQUAL(memory[0], 1);
    CHECK_EQUAL(memory[11 * PAGE_BYTES], 2);
    must_die(read_word, memory + 2 * PAGE_BYTES, SIGSEGV);
    must_die(read_word, memory + 9 * PAGE_BYTES, SIGSEGV);
    memory[PAGE_BYTES] = 3;
    memory[10 * PAGE_BYTES] = 4;
}

/* MAP_FIXED maps exactly where it is told, and replaces what was there. */
static void map_fixed(void) {
    char* memory = map_pages(5, MAP_PRIVATE);
    const int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;

    memset(memory, 7, 5 * PAGE_BYTES);
    void* middle = mmap(memory + PAGE_BYTES, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(middle == memory + PAGE_BYTES);
    CHECK_EQUAL(memory[PAGE_BYTES - 1], 7);
    CHECK_EQUAL(memory[PAGE_BYTES], 0);
    CHECK_EQUAL(memory[3 * PAGE_BYTES - 1], 0);
    CHECK_EQUAL(memory[3 * PAGE_BYTES], 7);
    CHECK_EQUAL(munmap(memory, 5 * PAGE_BYTES), 0);
    middle = mmap(memory + PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(middle == memory + PAGE_BYTES);
    must_die(read_word, memory, SIGSEGV);
    CHECK_EQUAL(memory[PAGE_BYTES], 0);
}

/* Orders that make no sense are refused. */
static void map_bad_arguments(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const int all = PROT_READ | PROT_WRITE;

    CHECK_ERROR(mmap(NULL, 0, all, flags, -1, 0), EINVAL);
    CHECK_ERROR(mmap(NULL, PAGE_BYTES, all, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERROR(mmap((void*)0x50000123, PAGE_BYTES, all, flags | MAP_FIXED, -1, 0), EINVAL);
    CHECK(mmap((void*)0xC0000000, PAGE_BYTES, all, flags | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK(mmap((void*)0xBFFFF000, 16 * PAGE_BYTES, all, flags | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK(mmap((void*)0xFFFFF000, 2 * PAGE_BYTES, all, flags | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK_ERROR(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, 55, 0), EBADF);
    CHECK_ERROR(munmap((void*)0x50000123, PAGE_BYTES), EINVAL);
    CHECK(munmap((void*)0xC0000000, PAGE_BYTES) == -1);
    CHECK(munmap((void*)0xFFFFF000, 2 * PAGE_BYTES) == -1);
    CHECK(munmap((void*)0x50000000, 0xFFFFF000) == -1);
    CHECK(errno == EINVAL);
}

/* An address hint is used if nothing is mapped there, and never harms what is. */
static void map_wish(void) {
    unsigned* memory = map_pages(2, MAP_PRIVATE);

    memory[0] = 5;
    unsigned* other = mmap(memory, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED && other != memory);
    CHECK_EQUAL(memory[0], 5);
    CHECK_EQUAL(other[0], 0);
}

/* A region without PROT_WRITE can be read, but a write kills, before and after fork. */
static void map_read_only(void) {
    void* memory = mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    CHECK_EQUAL(peek((unsigned)memory), 0);
    must_die(write_word, memory, SIGSEGV);
    must_die(write_word, (char*)memory + PAGE_BYTES, SIGSEGV);
    CHECK_EQUAL(peek((unsigned)memory), 0);
}

/* Frames of a shared region are free again when the last process that has it is gone. */
static void map_shared_frames_come_back(void) {
    unsigned before = free_frames();
    volatile unsigned* memory = map_pages(32, MAP_SHARED);

    for (unsigned i = 0; i < 32; i++)
        memory[i * WORDS_PER_PAGE] = i;
    int pid = fork();
    CHECK(pid >= 0);
    CHECK_EQUAL(memory[31 * WORDS_PER_PAGE], 31);
    if (pid == 0) {
        memory[5] = 1;
        munmap((void*)memory, 32 * PAGE_BYTES);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(memory[5], 1);
    CHECK_EQUAL(munmap((void*)memory, 32 * PAGE_BYTES), 0);
    CHECK(before - free_frames() < 16); /* page tables and the kernel's own stores may stay */
}

/* A mapping that grows down grows where it is touched. */
static void map_stack_grows_down(void) {
    unsigned before = free_frames();
    volatile char* memory = map_pages(64, MAP_PRIVATE | MAP_STACK);

    memory[64 * PAGE_BYTES - 1] = 1;
    CHECK(before - free_frames() < 32);
    for (unsigned i = 63; i >= 2; i--)
        memory[i * PAGE_BYTES] = (char)i;
    for (unsigned i = 2; i < 64; i++)
        CHECK_EQUAL(memory[i * PAGE_BYTES], i);
}

static volatile unsigned* lowest; /* in a shared page: the last page written */

/* Writes the pages of a stack from its end downwards, and on below it. */
static void write_downwards(void* end) {
    for (unsigned i = 1; i <= 8; i++) {
        poke((unsigned)end - i * PAGE_BYTES, 1);
        *lowest = i;
    }
}

/* A stack that lies directly above other memory has a guard page, which stops it before it reaches that memory. */
static void map_stack_guard(void) {
    char* memory = map_pages(8, MAP_PRIVATE);
    const int flags = MAP_FIXED | MAP_STACK | MAP_PRIVATE | MAP_ANONYMOUS;

    lowest = map_board();
    void* stack = mmap(memory + 4 * PAGE_BYTES, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(stack == memory + 4 * PAGE_BYTES);
    must_die(write_downwards, memory + 8 * PAGE_BYTES, SIGSEGV);
    CHECK(*lowest >= 2 && *lowest <= 4);
    CHECK_EQUAL(memory[3 * PAGE_BYTES - 1], 0);
}

/* Tells fork what to do with a mapping, or skips the test where the kernel has no minherit. */
static void set_inheritance(volatile unsigned* memory, int inheritance) {
    if (minherit((void*)memory, PAGE_BYTES, inheritance) == 0)
        return;
    if (errno == ENOSYS)
        skip("this kernel has no minherit");
    FAIL("minherit: %s", error_text(errno));
}

/* Adds 1 to the word. */
static void increment(void* word) { ++*(volatile unsigned*)word; }

/* INHERIT_SHARE makes a private mapping shared with children forked from then on. */
static void minherit_share(void) {
    volatile unsigned* memory = map_pages(1, MAP_PRIVATE);

    *memory = 1;
    set_inheritance(memory, INHERIT_SHARE);
    finish(start(increment, (void*)memory));
    CHECK_EQUAL(*memory, 2);
}

/* INHERIT_COPY makes a shared mapping copied. */
static void minherit_copy(void) {
    volatile unsigned* memory = map_pages(1, MAP_SHARED);

    *memory = 1;
    set_inheritance(memory, INHERIT_COPY);
    finish(start(increment, (void*)memory));
    CHECK_EQUAL(*memory, 1);
}

/* INHERIT_NONE leaves a mapping out of the child. */
static void minherit_none(void) {
    volatile unsigned* memory = map_pages(1, MAP_PRIVATE);

    *memory = 1;
    set_inheritance(memory, INHERIT_NONE);
    int status = run_apart(look_at_exclusive, (void*)memory);
    CHECK(status == 0 || status == SIGSEGV);
    CHECK_EQUAL(*memory, 1);
}

const struct test map_tests[] = {
    {"map_new_memory_is_zero", map_new_memory_is_zero},
    {"map_shared_across_fork", map_shared_across_fork},
    {"map_shared_counts", map_shared_counts},
    {"map_private_across_fork", map_private_across_fork},
    {"map_exclusive_across_fork", map_exclusive_across_fork},
    {"map_unmap", map_unmap},
    {"map_unmap_middle", map_unmap_middle},
    {"map_unmap_across_regions", map_unmap_across_regions},
    {"map_fixed", map_fixed},
    {"map_bad_arguments", map_bad_arguments},
    {"map_wish", map_wish},
    {"map_read_only", map_read_only},
    {"map_shared_frames_come_back", map_shared_frames_come_back},
    {"map_stack_grows_down", map_stack_grows_down},
    {"map_stack_guard", map_stack_guard},
    {"minherit_share", minherit_share},
    {"minherit_copy", minherit_copy},
    {"minherit_none", minherit_none},
    {NULL, NULL},
};
