/* seededbugs: shows the damage that each of the broken kernels of guest/bugs does: seededbugs NAME; without a name all.
 * Prints "NAME: sound" if all is as it must be; else "NAME: DAMAGE: " and what it saw, and ends with status 1. If the
 * kernel cannot be trusted to end a process any more, it ends the machine. What is sound follows LunaixOS: on other
 * systems a child may rightly have the stacks of other threads. */
#include <stdbool.h>

#include "guest/abi/layout.h"
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/lib/thread.h"

#define CROWD 300      /* children; more than a byte can count */
#define SMALL_STACK 16 /* pages of the main stack that are enough for this program */
#define FILLED 64      /* pages taken at a time to take the place of freed ones */

/* One mistake, and the function that returns true where it finds no damage. */
struct bug {
    const char* name;
    bool (*is_sound)(void);
    bool deadly; /* once the damage is done, the machine must end */
};

static const struct bug* now;

/* Says what is broken; returns false, so that a demonstration can end with it. */
static bool damage(const char* format, ...) {
    va_list arguments;

    printf("%s: DAMAGE: ", now->name);
    va_start(arguments, format);
    vdprintf(STDOUT, format, arguments);
    va_end(arguments);
    printf("\n");
    return false;
}

/* Maps memory, or ends the program. */
static void* map(void* place, unsigned pages, int flags) {
    void* memory = mmap(place, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        complain("seededbugs", "mmap");
        exit(2);
    }
    return memory;
}

/* Takes free frames and fills them, until the word changes, whose frame must not be among them, or many are taken. */
static void fill_free_frames(const volatile unsigned* word, unsigned value) {
    for (int i = 0; i < 32 && *word == value; i++)
        memset(map(NULL, FILLED, MAP_PRIVATE), 0xBB, FILLED * PAGE_BYTES);
}

/* Forks a child that writes a word and ends without using its stack: on some of these kernels that is its parent's. */
static int fork_and_poke(volatile unsigned* word, unsigned value) {
    int pid;

    __asm__ volatile("int $0x80\n\t"
                     "testl %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "movl %%edx, (%%ecx)\n\t"
                     "movl %4, %%eax\n\t"
                     "xorl %%ebx, %%ebx\n\t"
                     "int $0x80\n"
                     "1:"
                     : "=a"(pid)
                     : "0"(SYS_fork), "c"(word), "d"(value), "i"(SYS_exit)
                     : "ebx", "memory", "cc");
    return pid;
}

/* stack-copy: the child must come back from fork at all. */
static bool stack_copy(void) {
    int status = 0;

    printf("stack-copy: forking now\n");
    int pid = fork();
    if (pid == 0)
        exit(7);
    waitpid(pid, &status, 0);
    return status == 7 << 8 || damage("the child did not come back from fork (status 0x%x)", (unsigned)status);
}

/* region-end: a shared page right after a private region must stay shared. */
static bool region_end(void) {
    unsigned char* place = map(NULL, 2, MAP_PRIVATE);
    volatile unsigned* shared = map(place + PAGE_BYTES, 1, MAP_SHARED | MAP_FIXED);

    place[0] = 1;
    *shared = 1;
    waitpid(fork_and_poke(shared, 2), NULL, 0);
    return *shared == 2 || damage("the child wrote 2 to shared memory, its parent sees %u", *shared);
}

/* Returns the number of free frames. */
static unsigned free_frames(void) {
    struct meminfo info;

    return meminfo(&info) == 0 ? info.frames_free : 0;
}

/* failed-fork: forks that fail early or late must keep neither memory nor the files that were open. */
static bool failed_fork(void) {
    struct stat before, after;

    stat("/etc/motd", &before);
    int fd = open("/etc/motd", O_RDONLY);
    unsigned frames = free_frames();
    for (unsigned i = 0; i < 400; i++) {
        failalloc(1 + i % 12); /* fork asks for more than that */
        if (system_call(SYS_fork, 0, 0, 0, 0, 0) == 0)
            exit(0);
        failalloc(0);
    }
    frames -= free_frames();
    close(fd);
    stat("/etc/motd", &after);
    if (after.references == before.references && (int)frames <= 0)
        return true;
    return damage("after forks that failed %d frames are lost, and a closed file has %u references more", (int)frames,
                  after.references - before.references);
}

/* no-flush: what the parent writes right after fork must not reach the child. */
static bool no_flush(void) {
    volatile unsigned* word = map(NULL, 1, MAP_PRIVATE);
    int status = 0;

    *word = 1;
    int pid = system_call(SYS_fork, 0, 0, 0, 0, 0);
    if (pid != 0)
        *word = 2; /* by the translation of the write before, if the kernel has left it */
    if (pid == 0) {
        system_call(SYS_yield, 0, 0, 0, 0, 0);
        system_call(SYS_exit, *word, 0, 0, 0, 0);
    }
    waitpid(pid, &status, 0);
    return status == 1 << 8 ||
           damage("the child sees what its parent wrote after fork (status 0x%x)", (unsigned)status);
}

/* wrong-invlpg: memory that was unmapped must be gone. */
static bool wrong_invlpg(void) {
    volatile unsigned* word = map(NULL, 1, MAP_PRIVATE);
    int status = 0;

    int pid = fork();
    if (pid == 0) {
        *word = 1;
        munmap((void*)word, PAGE_BYTES);
        *word = 2; /* deadly, if the kernel is sound */
        volatile unsigned* other = map((void*)0x90000000, FILLED, MAP_PRIVATE);
        for (unsigned i = 0; i < FILLED; i++)
            other[i * PAGE_BYTES / sizeof(unsigned)] = 3;
        *word = 4;
        for (unsigned i = 0; i < FILLED; i++)
            if (other[i * PAGE_BYTES / sizeof(unsigned)] == 4)
                damage("a write to unmapped memory changed page %u of a new mapping", i);
        exit(1);
    }
    waitpid(pid, &status, 0);
    return status == SIGSEGV || damage("unmapped memory could still be written (status 0x%x)", (unsigned)status);
}

/* early-free: shared memory must outlive a child that had it too. */
static bool early_free(void) {
    volatile unsigned* shared = map(NULL, 1, MAP_SHARED);

    *shared = 1;
    waitpid(fork_and_poke(shared, 2), NULL, 0);
    fill_free_frames(shared, 2);
    return *shared == 2 || damage("a shared frame was given to another owner: 0x%x instead of 2", *shared);
}

/* Is one of the crowd: waits for a byte, and ends. The last ones unmap the page before that, so that of all shared
 * pages it is the first whose count reaches zero. */
static void wait_in_crowd(int number, int gate, volatile unsigned* word) {
    char byte;

    if (number >= CROWD - 10)
        munmap((void*)word, PAGE_BYTES);
    read(gate, &byte, 1);
    exit(0);
}

/* small-count: a page that 300 processes have must not be freed when 40 of them have ended. */
static bool small_count(void) {
    volatile unsigned* word = map(NULL, 1, MAP_PRIVATE);
    int gate[2], count = 0, pid = 1;

    *word = 1;
    pipe(gate);
    for (; count < CROWD && (pid = fork()) > 0; count++)
        continue;
    if (pid == 0)
        wait_in_crowd(count, gate[0], word);
    sleep_ms(100);
    for (int i = 0; i < (CROWD + 1 - 10) % 256; i++) {
        write(gate[1], "", 1);
        wait(NULL);
    }
    fill_free_frames(word, 1);
    if (*word != 1)
        return damage("a frame that %d processes still map was given to another owner: 0x%x instead of 1",
                      count - (CROWD + 1 - 10) % 256, *word);
    for (int i = 0; i < count; i++)
        write(gate[1], "", 1);
    while (wait(NULL) > 0)
        continue;
    return true;
}

/* second-fork: the second child's writes must stay in the child like the first one's. */
static bool second_fork(void) {
    volatile unsigned* word = map(NULL, 1, MAP_PRIVATE);

    *word = 1;
    waitpid(fork_and_poke(word, 2), NULL, 0);
    if (*word != 1)
        return damage("the first child wrote into its parent's memory");
    *word = 3;
    waitpid(fork_and_poke(word, 4), NULL, 0);
    return *word == 3 || damage("the second child wrote into its parent's memory: %u instead of 3", *word);
}

/* writable-child: the first child's writes must stay in the child. */
static bool writable_child(void) {
    volatile unsigned* word = map(NULL, 1, MAP_PRIVATE);

    *word = 1;
    waitpid(fork_and_poke(word, 2), NULL, 0);
    return *word == 1 || damage("the child wrote into its parent's memory: %u instead of 1", *word);
}

static unsigned secret; /* the address of a word on the other thread's stack */

/* Shows that word. */
static volatile unsigned* secret_word(void) { return (volatile unsigned*)secret; }

/* The other thread: keeps a secret on its stack. */
static int keep_secret(void* unused) {
    volatile unsigned word = 4711;

    (void)unused;
    secret = (unsigned)&word;
    while (word == 4711)
        system_call(SYS_sleep, 1, 0, 0, 0, 0);
    return 0;
}

/* foreign-stacks: the child must not have the stack of a thread that it does not have. */
static bool foreign_stacks(void) {
    int thread = thread_create(keep_secret, NULL);
    int status = 0;

    while (*(volatile unsigned*)&secret == 0)
        yield();
    int pid = fork();
    if (pid == 0)
        exit(*secret_word() == 4711);
    waitpid(pid, &status, 0);
    *secret_word() = 0;
    thread_join(thread, NULL);
    return status == SIGSEGV ||
           damage("the child reads the stack of a thread that it does not have (status 0x%x)", (unsigned)status);
}

/* lost-guard: a child that overruns a stack must be stopped by the guard page, before it reaches what lies below. */
static bool lost_guard(void) {
    unsigned char* below = map(NULL, 4, MAP_PRIVATE);
    unsigned char* stack = map(below + 2 * PAGE_BYTES, 2, MAP_PRIVATE | MAP_STACK | MAP_FIXED);
    int status = 0;

    below[0] = 1;
    int pid = fork();
    if (pid == 0) {
        for (unsigned char* at = stack + 2 * PAGE_BYTES - 1; at >= below; at -= PAGE_BYTES)
            *(volatile unsigned char*)at = 0xCC;
        exit(1);
    }
    waitpid(pid, &status, 0);
    return status == SIGSEGV ||
           damage("a stack was overrun in the child without a fault (status 0x%x)", (unsigned)status);
}

/* window-flush: two children made one right after the other must both come back, each with memory of its own. All
 * regions are small here, so that fork drops no more than their own translations. */
static bool window_flush(void) {
    int children[2], statuses[2] = {-1, -1};

    munmap((void*)(USER_STACK_TOP - USER_STACK_BYTES), USER_STACK_BYTES - SMALL_STACK * PAGE_BYTES);
    printf("window-flush: forking twice now\n");
    for (int i = 0; i < 2; i++)
        if ((children[i] = system_call(SYS_fork, 0, 0, 0, 0, 0)) == 0)
            exit(3 + i);
    for (int i = 0; i < 2; i++)
        waitpid(children[i], &statuses[i], 0);
    return (statuses[0] == 3 << 8 && statuses[1] == 4 << 8) ||
           damage("of two children one ended with 0x%x and one with 0x%x", (unsigned)statuses[0],
                  (unsigned)statuses[1]);
}

static const struct bug bugs[] = {
    {"region-end", region_end, false},
    {"failed-fork", failed_fork, false},
    {"no-flush", no_flush, false},
    {"wrong-invlpg", wrong_invlpg, true},
    {"early-free", early_free, true},
    {"small-count", small_count, true},
    {"second-fork", second_fork, false},
    {"writable-child", writable_child, false},
    {"foreign-stacks", foreign_stacks, false},
    {"lost-guard", lost_guard, false},
    {"stack-copy", stack_copy, false},
    {"window-flush", window_flush, false},
};

/* Shows one, or all; returns how many were broken. */
int main(int argc, char* argv[]) {
    int shown = 0, broken = 0;

    for (unsigned i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        now = &bugs[i];
        if (argc > 1 && strcmp(argv[1], now->name) != 0)
            continue;
        shown++;
        if (now->is_sound()) {
            printf("%s: sound\n", now->name);
            continue;
        }
        broken++;
        if (now->deadly)
            poweroff(1);
    }
    if (getpid() == 1) /* started by init=/bin/seededbugs, where not even init can fork a shell */
        poweroff(broken > 0);
    if (shown == 0)
        dprintf(STDERR, "seededbugs: there is no such bug\n");
    return shown == 0 ? 2 : broken > 0;
}
