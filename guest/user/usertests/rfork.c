/* Tests of rfork: what its child has of its own and what in common with the parent. Skipped where there is only fork.
 */
#include "guest/user/usertests/usertests.h"

#define STACK_PAGES 4

static volatile unsigned word; /* on a page that rfork shares or copies */
static volatile unsigned* mapped;

/* Ends the test where the kernel has no rfork. */
static void need_rfork(void) {
    if (system_call(SYS_rfork, 0, 0, 0, 0, 0) == -ENOSYS)
        skip("this kernel has only fork");
}

/* Makes a child by rfork on a stack of its own and returns its wait status. */
static int run_rforked(unsigned flags, int (*function)(void*), void* argument) {
    char* stack = map_pages(STACK_PAGES, MAP_PRIVATE);
    int pid = rfork_call(flags, stack + STACK_PAGES * PAGE_BYTES, function, argument);

    if (pid < 0)
        FAIL("rfork: %s", error_text(errno));
    int status = wait_status(pid);
    CHECK_EQUAL(munmap(stack, STACK_PAGES * PAGE_BYTES), 0);
    return status;
}

/* Flags that mean nothing, or two things at once, are refused, and no process is made. */
static void rfork_refusals(void) {
    need_rfork();
    CHECK_EQUAL(system_call(SYS_rfork, 0, 0, 0, 0, 0), -EINVAL);
    CHECK_EQUAL(system_call(SYS_rfork, RFFDG, 0, 0, 0, 0), -EINVAL);
    CHECK_EQUAL(system_call(SYS_rfork, RFPROC | RFFDG | RFCFDG, 0, 0, 0, 0), -EINVAL);
    CHECK_EQUAL(system_call(SYS_rfork, 0xFFFF0000 | RFPROC, 0, 0, 0, 0), -EINVAL);
    CHECK_ERROR(wait(NULL), ECHILD);
}

/* Changes the word and says what it was. */
static int change_word(void* unused) {
    (void)unused;
    unsigned was = word;
    word = 77;
    return (int)was;
}

/* With RFFDG rfork is fork: memory is copied. */
static void rfork_is_fork(void) {
    need_rfork();
    word = 5;
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG, change_word, NULL), 5 << 8);
    CHECK_EQUAL(word, 5);
}

/* With RFMEM the child's writes are the parent's, on pages written before and on new ones. */
static void rfork_shares_memory(void) {
    need_rfork();
    word = 6;
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG | RFMEM, change_word, NULL), 6 << 8);
    CHECK_EQUAL(word, 77);
}

/* Maps a page and writes it; the address is left where the parent finds it. */
static int map_for_parent(void* unused) {
    (void)unused;
    mapped = map_pages(1, MAP_PRIVATE);
    *mapped = 4711;
    return 0;
}

/* With RFMEM the address space is one: what the child maps stays when it has ended. */
static void rfork_shares_mappings(void) {
    need_rfork();
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG | RFMEM, map_for_parent, NULL), 0);
    CHECK_EQUAL(*mapped, 4711);
    *mapped = 1;
    CHECK_EQUAL(munmap((void*)mapped, PAGE_BYTES), 0);
}

/* Forks in common memory: the grandchild's memory is a copy. */
static int fork_and_change(void* unused) {
    (void)unused;
    int pid = fork();
    if (pid == 0)
        exit(change_word(NULL));
    return status_code(wait_status(pid));
}

/* fork copies memory that two processes have in common; afterwards they still have it in common. */
static void rfork_then_fork(void) {
    need_rfork();
    word = 9;
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG | RFMEM, fork_and_change, NULL), 9 << 8);
    CHECK_EQUAL(word, 9);
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG | RFMEM, change_word, NULL), 9 << 8);
    CHECK_EQUAL(word, 77);
}

/* Becomes another program; the helper `true` ends with 0. */
static int become_true(void* unused) {
    char* words[] = {"true", NULL};

    (void)unused;
    exec("/bin/true", words);
    return 1;
}

/* exec in a child with common memory leaves the parent's alone. */
static void rfork_then_exec(void) {
    need_rfork();
    word = 10;
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG | RFMEM, become_true, NULL), 0);
    CHECK_EQUAL(word, 10);
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG, become_true, NULL), 0);
}

/* Closes a descriptor, and leaves another one open. */
static int change_descriptors(void* fd) {
    close((int)fd);
    return dup(STDOUT) >= 0 ? 0 : 1;
}

/* RFFDG copies the table; without it there is one table for both. */
static void rfork_descriptor_table(void) {
    need_rfork();
    int fd = dup(STDOUT);
    CHECK_EQUAL(run_rforked(RFPROC | RFFDG, change_descriptors, (void*)fd), 0);
    CHECK_EQUAL(write(fd, "", 0), 0);
    int spare = dup(STDOUT);
    CHECK_EQUAL(run_rforked(RFPROC, change_descriptors, (void*)spare), 0);
    CHECK_EQUAL(write(spare, "", 0), 0); /* closed and taken again by the child's dup */
    close(fd);
    CHECK_EQUAL(run_rforked(RFPROC, change_descriptors, (void*)spare), 0);
    CHECK_EQUAL(write(fd, "", 0), 0); /* the child's dup: the lowest free one */
    CHECK_ERROR(write(spare, "", 0), EBADF);
}

/* Says whether there is no descriptor at all. */
static int has_no_descriptors(void* unused) {
    (void)unused;
    for (int fd = 0; fd < 16; fd++)
        if (write(fd, "", 0) != -1 || errno != EBADF)
            return 1;
    return 0;
}

/* RFCFDG gives the child an empty table. */
static void rfork_empty_table(void) {
    need_rfork();
    CHECK_EQUAL(run_rforked(RFPROC | RFCFDG, has_no_descriptors, NULL), 0);
    CHECK_EQUAL(write(STDOUT, "", 0), 0);
}

/* Children of all kinds leave nothing behind. */
static void rfork_leaks_nothing(void) {
    static const unsigned kinds[] = {RFPROC | RFFDG, RFPROC | RFFDG | RFMEM, RFPROC, RFPROC | RFMEM, RFPROC | RFCFDG};
    unsigned before = 0;

    need_rfork();
    for (int round = 0; round < 6; round++) {
        if (round == 2)
            before = free_frames();
        for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++)
            run_rforked(kinds[i], change_word, NULL);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

const struct test rfork_tests[] = {
    {"rfork_refusals", rfork_refusals},
    {"rfork_is_fork", rfork_is_fork},
    {"rfork_shares_memory", rfork_shares_memory},
    {"rfork_shares_mappings", rfork_shares_mappings},
    {"rfork_then_fork", rfork_then_fork},
    {"rfork_then_exec", rfork_then_exec},
    {"rfork_descriptor_table", rfork_descriptor_table},
    {"rfork_empty_table", rfork_empty_table},
    {"rfork_leaks_nothing", rfork_leaks_nothing},
    {NULL, NULL},
};
