/* Tests of signals and fork together: what a child inherits and what not. */
#include "guest/user/usertests/usertests.h"

static volatile int count;

/* Counts its calls. */
static void handle(int signal) {
    (void)signal;
    count++;
}

/* Sends itself the signal, which must reach the handler exactly once. */
static void raise_and_count(void* signal) {
    int before = count;

    CHECK_EQUAL(kill(getpid(), (int)signal), 0);
    CHECK_EQUAL(count, before + 1);
}

/* A child inherits handlers and ignored signals; what it changes stays its own. */
static void signal_actions_inherited(void) {
    struct sigaction action;

    CHECK_EQUAL(on_signal(SIGUSR1, handle), 0);
    CHECK_EQUAL(on_signal(SIGUSR2, (signal_handler)SIG_IGN), 0);
    finish(start(raise_and_count, (void*)SIGUSR1));
    CHECK_EQUAL(count, 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        kill(getpid(), SIGUSR2);
        on_signal(SIGUSR1, (signal_handler)SIG_DFL);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(sigaction(SIGUSR1, NULL, &action), 0);
    CHECK_EQUAL(action.handler, (unsigned)handle);
}

/* A child inherits the mask but no waiting signal. */
static void signal_pending_not_inherited(void) {
    unsigned set = signal_bit(SIGUSR1);
    unsigned old = 0;

    CHECK_EQUAL(on_signal(SIGUSR1, handle), 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    int pid = fork();
    CHECK(pid >= 0);
    CHECK_EQUAL(sigprocmask(SIG_UNBLOCK, &set, &old), 0);
    CHECK_EQUAL(old, set);
    CHECK_EQUAL(count, pid == 0 ? 0 : 1);
    if (pid == 0) {
        raise_and_count((void*)SIGUSR1);
        exit(0);
    }
    finish(pid);
}

static volatile int forked_pid = -1;

/* Forks: the child returns from the handler too, to where the parent was interrupted. */
static void fork_in_handler(int signal) {
    (void)signal;
    count++;
    forked_pid = fork();
}

/* fork inside a handler: both sides return from it, with the mask restored on both. */
static void signal_fork_in_handler(void) {
    unsigned mask = 77;

    CHECK_EQUAL(on_signal(SIGUSR1, fork_in_handler), 0);
    CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
    CHECK(forked_pid >= 0);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK_EQUAL(mask, 0);
    if (forked_pid == 0) {
        on_signal(SIGUSR1, handle);
        raise_and_count((void*)SIGUSR1);
        exit(0);
    }
    finish(forked_pid);
}

static volatile unsigned shared_by_copy[1024] __attribute__((aligned(4096)));

/* Writes the page that is still shared. */
static void write_page(int signal) {
    (void)signal;
    shared_by_copy[0]++;
    count++;
}

/* A signal's frame and its handler's writes go to copied pages: the other side's stack and data stay as they are. */
static void signal_frame_is_copied(void) {
    volatile unsigned stack_words[64];

    for (unsigned i = 0; i < 64; i++)
        stack_words[i] = i;
    CHECK_EQUAL(on_signal(SIGUSR1, write_page), 0);
    int pid = fork();
    CHECK(pid >= 0);
    kill(getpid(), SIGUSR1);
    CHECK_EQUAL(shared_by_copy[0], 1);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQUAL(stack_words[i], i);
    if (pid == 0)
        exit(0);
    finish(pid);
    CHECK_EQUAL(shared_by_copy[0], 1);
}

/* Sixty signals go from child to parent while the parent forks: none is lost that was sent one at a time. */
static void signal_storm_with_forks(void) {
    volatile unsigned* board = map_board();
    int parent = getpid();

    CHECK_EQUAL(on_signal(SIGUSR1, handle), 0);
    int sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        for (unsigned i = 1; i <= 60; i++) {
            kill(parent, SIGUSR1);
            while (*board < i)
                yield();
        }
        exit(0);
    }
    while (count < 60) {
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            exit(0);
        *board = (unsigned)count;
        while (waitpid(pid, NULL, 0) < 0)
            CHECK_EQUAL(errno, EINTR);
        *board = (unsigned)count;
    }
    *board = (unsigned)count; /* the last signal may have come between the two lines above */
    while (waitpid(sender, NULL, 0) < 0)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(count, 60);
}

const struct test signal_fork_tests[] = {
    {"signal_actions_inherited", signal_actions_inherited},
    {"signal_pending_not_inherited", signal_pending_not_inherited},
    {"signal_fork_in_handler", signal_fork_in_handler},
    {"signal_frame_is_copied", signal_frame_is_copied},
    {"signal_storm_with_forks", signal_storm_with_forks},
    {NULL, NULL},
};
