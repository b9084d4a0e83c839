/* forkfacts: says how this system's fork behaves where systems rightly differ. One line a fact, the same on every run;
 * nothing here is a mistake. usertests accepts every answer; this program tells which one it is. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/lib/thread.h"

#define PAGES 16
#define MOST_CHILDREN 600
#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(unsigned))

/* Prints one fact. */
static void fact(const char* what, const char* answer) { printf("forkfacts: %s: %s\n", what, answer); }

/* Maps memory, or ends the program. */
static volatile unsigned* map(unsigned pages, int flags) {
    void* memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        complain("forkfacts", "mmap");
        exit(1);
    }
    return memory;
}

/* Lets a child read a word; says how that ended. */
static const char* word_in_child(const volatile unsigned* word, unsigned original) {
    int status = 0;
    int pid = fork();

    if (pid == 0)
        exit(*word == original ? 1 : *word == 0 ? 2 : 3);
    waitpid(pid, &status, 0);
    return status == 1 << 8 ? "inherited" : status == 2 << 8 ? "zero" : status == SIGSEGV ? "not mapped" : "strange";
}

/* What a child finds at the place of an exclusive mapping, and of one that minherit has excepted. */
static void tell_exclusive(void) {
    volatile unsigned* word = map(1, MAP_EXCLUSIVE);
    volatile unsigned* excepted = map(1, MAP_PRIVATE);

    *word = *excepted = 4711;
    fact("an exclusive page in the child", word_in_child(word, 4711));
    if (minherit((void*)excepted, PAGE_BYTES, INHERIT_NONE) < 0)
        fact("a page of INHERIT_NONE in the child", error_text(errno));
    else
        fact("a page of INHERIT_NONE in the child", word_in_child(excepted, 4711));
}

/* Whether a shared page is common to both sides: one that was touched before fork, and one that was not. */
static void tell_shared(void) {
    volatile unsigned* words = map(2, MAP_SHARED);

    words[0] = 1;
    int pid = fork();
    if (pid == 0) {
        words[0] = words[WORDS_PER_PAGE] = 2;
        exit(0);
    }
    waitpid(pid, NULL, 0);
    fact("a shared page touched before fork", words[0] == 2 ? "common" : "separate");
    fact("a shared page first touched after fork", words[WORDS_PER_PAGE] == 2 ? "common" : "separate");
}

/* What it costs to write pages that were shared and are not any more. */
static void tell_alone(void) {
    volatile unsigned* words = map(PAGES, MAP_PRIVATE);
    struct meminfo before, after;

    for (unsigned i = 0; i < PAGES; i++)
        words[i * WORDS_PER_PAGE] = i;
    memset(&after, 0, sizeof after);
    memset(&before, 0, sizeof before);
    int pid = fork();
    if (pid == 0)
        exit(0);
    waitpid(pid, NULL, 0);
    meminfo(&before);
    for (unsigned i = 0; i < PAGES; i++)
        words[i * WORDS_PER_PAGE] = i + 1;
    meminfo(&after);
    fact("writing pages that are no longer shared", after.cow_copies == before.cow_copies           ? "no copy"
                                                    : after.cow_copies - before.cow_copies >= PAGES ? "a copy each"
                                                                                                    : "some copies");
}

static unsigned stack_word; /* an address on the other thread's stack */

/* The other thread: shows its stack, and waits for the word to change. */
static int show_stack(void* unused) {
    volatile unsigned word = 4711;

    (void)unused;
    stack_word = (unsigned)&word;
    while (word == 4711)
        system_call(SYS_sleep, 1, 0, 0, 0, 0);
    return 0;
}

/* Whether a child has the stacks of threads that it does not have. */
static void tell_stacks(void) {
    int thread = thread_create(show_stack, NULL);

    while (*(volatile unsigned*)&stack_word == 0)
        yield();
    fact("another thread's stack in the child", word_in_child((volatile unsigned*)stack_word, 4711));
    *(volatile unsigned*)stack_word = 0;
    thread_join(thread, NULL);
}

/* How fork says that there can be no more processes. */
static void tell_limit(void) {
    int gate[2], count = 0, pid = 1;

    if (pipe(gate) < 0)
        return;
    for (; count < MOST_CHILDREN && (pid = fork()) > 0; count++)
        continue;
    if (pid == 0) {
        char byte;
        close(gate[1]);
        read(gate[0], &byte, 1);
        exit(0);
    }
    int error = errno;
    close(gate[0]);
    close(gate[1]);
    while (wait(NULL) > 0)
        continue;
    fact("fork with a full process table", pid < 0 ? error_text(error) : "no limit");
}

/* Whether there is rfork. */
static void tell_rfork(void) {
    int result = system_call(SYS_rfork, 0, 0, 0, 0, 0);

    fact("rfork", result == -ENOSYS ? "none" : "there is");
}

/* Tells all. */
int main(void) {
    tell_exclusive();
    tell_shared();
    tell_alone();
    tell_stacks();
    tell_limit();
    tell_rfork();
    return 0;
}
