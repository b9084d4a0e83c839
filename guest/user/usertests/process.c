/* Tests of processes: exit, wait, orphans, kill, sleep, the process list. */
#include "guest/user/usertests/usertests.h"

/* Exits with the number given. */
static void exit_with(void* status) { exit((int)status); }

/* Waits for ever, for the gate is never opened. */
static void wait_for_ever(void* gate) { wait_gate(*(struct gate*)gate); }

/* Runs for ever without a system call. */
static void spin_for_ever(void* unused) {
    (void)unused;
    for (;;)
        __asm__ volatile("");
}

/* Sleeps for an hour. */
static void sleep_long(void* unused) {
    (void)unused;
    sleep_ms(3600000);
}

/* The low eight bits of an exit status arrive, whichever they are. */
static void exit_status(void) {
    static const int codes[] = {0, 1, 2, 127, 128, 255};

    for (unsigned i = 0; i < ARRAY_LENGTH(codes); i++)
        CHECK_EQUAL(run_apart(exit_with, (void*)codes[i]), codes[i] << 8);
    CHECK_EQUAL(run_apart(exit_with, (void*)0x1234) & 0xFFFF, 0x3400);
}

/* waitpid for one child gets that one, although another has ended before. */
static void wait_for_one_of_many(void) {
    int first = start(exit_with, (void*)1);
    await_state(first, PROC_ZOMBIE);
    int second = start(exit_with, (void*)2);
    int third = start(exit_with, (void*)3);

    CHECK_EQUAL(wait_status(third), 3 << 8);
    CHECK_EQUAL(wait_status(second), 2 << 8);
    CHECK_EQUAL(wait_status(first), 1 << 8);
}

/* Without children, or for another's, waiting fails; so does waiting twice. */
static void wait_without_child(void) {
    CHECK_ERROR(wait(NULL), ECHILD);
    CHECK_ERROR(waitpid(getppid(), NULL, 0), ECHILD);
    CHECK_ERROR(waitpid(getpid(), NULL, WNOHANG), ECHILD);
    int pid = start(exit_with, NULL);
    finish(pid);
    CHECK_ERROR(waitpid(pid, NULL, 0), ECHILD);
    CHECK_ERROR(waitpid(-1, NULL, WNOHANG), ECHILD);
}

/* WNOHANG says 0 while the child lives and reaps it when it has ended. */
static void wait_without_hanging(void) {
    struct gate gate = make_gate();
    int status = 0x5555;
    int pid = start(wait_for_ever, &gate);

    CHECK_EQUAL(waitpid(pid, &status, WNOHANG), 0);
    CHECK_EQUAL(waitpid(-1, &status, WNOHANG), 0);
    CHECK_EQUAL(status, 0x5555);
    open_gate(gate);
    await_state(pid, PROC_ZOMBIE);
    CHECK_EQUAL(waitpid(-1, &status, WNOHANG), pid);
    CHECK_EQUAL(status, 0);
}

/* waitpid may be called without a place for the status. */
static void wait_without_status(void) {
    int pid = start(exit_with, (void*)9);

    CHECK_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* An ended child stays in the list as a zombie with no memory until it is reaped, then it is gone. */
static void zombie_is_reaped(void) {
    struct procinfo info;
    int pid = start(exit_with, NULL);

    await_state(pid, PROC_ZOMBIE);
    CHECK(find_process(pid, &info));
    CHECK_EQUAL(info.parent, getpid());
    CHECK_EQUAL(info.pages, 0);
    kill(pid, SIGKILL); /* too late to change how it ended */
    finish(pid);
    CHECK(!find_process(pid, &info));
    CHECK_ERROR(kill(pid, SIGTERM), ESRCH);
}

/* Many children that end before their parent waits cost nothing in the end. */
static void zombies_many(void) {
    unsigned before = 0;

    for (int round = 0; round < 3; round++) {
        int pids[10];
        if (round == 1)
            before = free_frames();
        for (int i = 0; i < 10; i++)
            pids[i] = start(exit_with, (void*)i);
        for (int i = 0; i < 10; i++)
            await_state(pids[i], PROC_ZOMBIE);
        for (int i = 0; i < 10; i++)
            CHECK_EQUAL(wait_status(pids[i]), i << 8);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

/* Tells the test its pid, waits until it is an orphan, tells its new parent, and ends. */
static void be_orphan(int fd, int old_parent) {
    int words[2] = {getpid(), old_parent};

    while (getppid() == old_parent)
        sleep_ms(1);
    words[1] = getppid();
    write(fd, words, sizeof words);
    exit(3);
}

/* A process whose parent has ended gets init as parent, and init reaps it. */
static void orphan_goes_to_init(void) {
    struct procinfo info;
    int fds[2];
    int words[2];

    CHECK_EQUAL(pipe(fds), 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int self = getpid();
        int orphan = fork();
        CHECK(orphan >= 0);
        if (orphan == 0)
            be_orphan(fds[1], self);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(read(fds[0], words, sizeof words), sizeof words);
    CHECK_EQUAL(words[1], 1);
    while (find_process(words[0], &info))
        sleep_ms(1);
    CHECK_ERROR(waitpid(words[0], NULL, 0), ECHILD);
}

/* Children that were zombies already when their parent ended are reaped by init too. */
static void orphan_zombies(void) {
    struct procinfo info;
    int* pids = map_board();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < 3; i++) {
            pids[i] = start(exit_with, NULL);
            await_state(pids[i], PROC_ZOMBIE);
        }
        exit(0);
    }
    finish(pid);
    for (int i = 0; i < 3; i++)
        while (find_process(pids[i], &info))
            sleep_ms(1);
}

/* SIGKILL ends a process that waits for a pipe, one that sleeps, one that waits for a child, and one that computes. */
static void kill_in_every_state(void) {
    struct gate gate = make_gate();
    void (*const functions[])(void*) = {wait_for_ever, sleep_long, spin_for_ever};

    for (unsigned i = 0; i < ARRAY_LENGTH(functions); i++) {
        int pid = start(functions[i], &gate);
        if (functions[i] != spin_for_ever)
            await_state(pid, PROC_BLOCKED);
        else
            sleep_ms(3);
        CHECK_EQUAL(kill(pid, SIGKILL), 0);
        CHECK_EQUAL(wait_status(pid), SIGKILL);
    }
    for (int i = 0; i < 2; i++) { /* the first waits while its child is alive; the child ends as an orphan */
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            finish(start(wait_for_ever, &gate));
        await_state(pid, PROC_BLOCKED);
        CHECK_EQUAL(kill(pid, SIGTERM), 0);
        CHECK_EQUAL(wait_status(pid), SIGTERM);
        open_gate(gate);
    }
}

/* A process may kill itself, and gets no further. */
static void kill_self(void) {
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        kill(getpid(), SIGTERM);
        exit(0);
    }
    CHECK_EQUAL(wait_status(pid), SIGTERM);
}

/* Bad pids and bad signals are refused. */
static void kill_refusals(void) {
    CHECK_ERROR(kill(999999, SIGTERM), ESRCH);
    CHECK_ERROR(kill(getpid(), NSIG), EINVAL);
    CHECK_ERROR(kill(getpid(), -1), EINVAL);
    CHECK_ERROR(kill(getpid(), 1000), EINVAL);
}

/* sleep lasts as long as it should, and not for ever. */
static void sleep_lasts(void) {
    for (unsigned milliseconds = 1; milliseconds <= 40; milliseconds = milliseconds * 3 + 1) {
        unsigned before = uptime_ms();
        CHECK_EQUAL(sleep_ms(milliseconds), 0);
        unsigned passed = uptime_ms() - before;
        CHECK(passed >= milliseconds);
        CHECK(passed < milliseconds + 1000);
    }
    CHECK_EQUAL(sleep_ms(0), 0);
}

/* Sleepers wake in the order of their times, not of their start. */
static void sleep_order(void) {
    int fds[2];
    char order[4] = "";

    CHECK_EQUAL(pipe(fds), 0);
    for (int i = 0; i < 3; i++) {
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            char name = (char)('a' + i);
            sleep_ms(45 - 20 * (unsigned)i);
            write(fds[1], &name, 1);
            exit(0);
        }
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(read(fds[0], order + i, 1), 1);
    CHECK(strcmp(order, "cba") == 0);
    while (wait(NULL) > 0)
        continue;
}

/* The time since boot never goes back, and advances while no process sleeps. */
static void uptime_goes_on(void) {
    unsigned first = uptime_ms();
    unsigned last = first;

    while (last - first < 5) {
        unsigned now = uptime_ms();
        CHECK(now >= last);
        last = now;
    }
}

/* yield lets another process run: two that hand a token to and fro by yield both get on. */
static void yield_lets_others_run(void) {
    volatile unsigned* turn = map_board();
    int pid = fork();

    CHECK(pid >= 0);
    for (unsigned i = 0; i < 50; i++) {
        while (*turn % 2 != (unsigned)(pid == 0))
            CHECK_EQUAL(yield(), 0);
        ++*turn;
    }
    if (pid == 0)
        exit(0);
    finish(pid);
    CHECK_EQUAL(*turn, 100);
}

/* A process that never makes a system call does not keep the processor for itself. */
static void preemption(void) {
    int pids[2];

    for (int i = 0; i < 2; i++)
        pids[i] = start(spin_for_ever, NULL);
    unsigned before = uptime_ms();
    sleep_ms(5);
    CHECK(uptime_ms() - before < 1000);
    for (int i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        CHECK_EQUAL(wait_status(pids[i]), SIGKILL);
    }
}

/* The process list knows this process and its parent, with true numbers. */
static void process_list(void) {
    struct procinfo info;
    struct meminfo memory;

    CHECK(find_process(getpid(), &info));
    CHECK_EQUAL(info.parent, getppid());
    CHECK_EQUAL(info.state, PROC_RUNNING);
    CHECK_EQUAL(info.threads, 1);
    CHECK(info.pages >= 4);
    CHECK(strstr(info.name, "usertests") != NULL);
    CHECK(find_process(1, &info));
    CHECK_EQUAL(procinfo(100000, &info), 0);
    CHECK(procinfo(-1, &info) <= 0);
    CHECK_EQUAL(meminfo(&memory), 0);
    CHECK_EQUAL(memory.page_bytes, PAGE_BYTES);
    CHECK(memory.frames_free + memory.frames_kernel <= memory.frames_total);
    CHECK(memory.frames_free > 0);
}

const struct test process_tests[] = {
    {"exit_status", exit_status},
    {"wait_for_one_of_many", wait_for_one_of_many},
    {"wait_without_child", wait_without_child},
    {"wait_without_hanging", wait_without_hanging},
    {"wait_without_status", wait_without_status},
    {"zombie_is_reaped", zombie_is_reaped},
    {"zombies_many", zombies_many},
    {"orphan_goes_to_init", orphan_goes_to_init},
    {"orphan_zombies", orphan_zombies},
    {"kill_in_every_state", kill_in_every_state},
    {"kill_self", kill_self},
    {"kill_refusals", kill_refusals},
    {"sleep_lasts", sleep_lasts},
    {"sleep_order", sleep_order},
    {"uptime_goes_on", uptime_goes_on},
    {"yield_lets_others_run", yield_lets_others_run},
    {"preemption", preemption},
    {"process_list", process_list},
    {NULL, NULL},
};
