/* Tests of threads: their values, their memory, their end, and fork among them. */
#include "guest/user/usertests/usertests.h"

#define MOST_THREADS 300

/* Starts a thread, which must succeed. */
static int start_thread(thread_function function, void* argument) {
    int thread = thread_create(function, argument);

    if (thread < 0)
        FAIL("thread_create: %s", error_text(-thread));
    return thread;
}

/* Waits for a thread and returns its value. */
static int value_of(int thread) {
    int value = -1;

    CHECK_EQUAL(thread_join(thread, &value), 0);
    return value;
}

/* Returns three times its argument. */
static int triple(void* argument) { return (int)argument * 3; }

/* Ends by thread_exit instead of returning. */
static int leave_early(void* argument) { thread_exit((int)argument + 1000); }

/* Threads give their values to the thread that joins them, in any order, and each has its own id. */
static void thread_values(void) {
    int threads[8];

    for (int i = 0; i < 8; i++) {
        threads[i] = start_thread(i % 2 ? leave_early : triple, (void*)i);
        CHECK(threads[i] != thread_self());
        for (int j = 0; j < i; j++)
            CHECK(threads[i] != threads[j]);
    }
    for (int i = 7; i >= 0; i--)
        CHECK_EQUAL(value_of(threads[i]), i % 2 ? i + 1000 : i * 3);
}

/* Bad joins are refused. */
static void thread_join_refusals(void) {
    int thread = start_thread(triple, (void*)4);

    CHECK_EQUAL(value_of(thread), 12);
    CHECK_EQUAL(thread_join(thread, NULL), -ESRCH);
    CHECK_EQUAL(thread_join(123456, NULL), -ESRCH);
    CHECK_EQUAL(thread_join(-1, NULL), -ESRCH);
    CHECK_EQUAL(thread_join(thread_self(), NULL), -EDEADLK);
}

static struct spinlock lock;
static volatile unsigned counter;

/* Counts up slowly under the lock: it reads, lets others run, and writes. */
static int count_up(void* argument) {
    for (int i = 0; i < (int)argument; i++) {
        spinlock_take(&lock);
        unsigned value = counter;
        if (i % 16 == 0)
            yield();
        counter = value + 1;
        spinlock_give(&lock);
    }
    return 0;
}

/* Threads share memory, and a lock keeps them apart. */
static void thread_shared_memory(void) {
    int threads[4];

    counter = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(count_up, (void*)100);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(value_of(threads[i]), 0);
    CHECK_EQUAL(counter, 400);
}

/* Fills a part of its stack with its argument and checks it again and again. */
static int use_stack(void* argument) {
    volatile unsigned words[1000];

    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++)
        words[i] = (unsigned)argument + i;
    for (int round = 0; round < 4; round++) {
        yield();
        for (unsigned i = 0; i < ARRAY_LENGTH(words); i++)
            if (words[i] != (unsigned)argument + i)
                return 1;
    }
    return 0;
}

/* Every thread has its own stack. */
static void thread_own_stacks(void) {
    int threads[5];

    for (int i = 0; i < 5; i++)
        threads[i] = start_thread(use_stack, (void*)(i * 100000));
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(value_of(threads[i]), 0);
}

static volatile unsigned* deepest; /* in a shared page: where a thread's stack is now, and where it began */

/* Uses more and more stack, and keeps a record of how far it came. */
static int overflow(void* argument) {
    volatile char room[600];

    room[0] = (char)(int)argument;
    if ((int)argument == 0)
        deepest[1] = (unsigned)room + sizeof room;
    deepest[0] = (unsigned)room;
    return (int)argument == 100000 ? 0 : overflow((void*)((int)argument + 1)) + room[0];
}

/* Fills the lower end of its stack with a pattern, so that a thread above that runs over is not stopped by accident. */
static int wait_below(void* gate) {
    volatile char room[THREAD_STACK_BYTES - 2 * PAGE_BYTES];

    for (unsigned i = 0; i < sizeof room; i += 64)
        room[i] = 1;
    wait_gate(*(struct gate*)gate);
    return room[0];
}

/* Starts threads of which one overflows its stack, with the others' stacks for neighbours. */
static void start_overflow(void* gate) {
    for (int i = 0; i < 3; i++)
        start_thread(wait_below, gate);
    sleep_ms(2);
    thread_join(start_thread(overflow, NULL), NULL);
}

/* A thread that overflows its stack meets the guard, which kills the process before a neighbour's stack is touched. */
static void thread_stack_overflow(void) {
    volatile unsigned* board = map_board();
    struct gate gate = make_gate();

    deepest = &board[0];
    must_die(start_overflow, &gate, SIGSEGV);
    CHECK(board[0] != 0);
    CHECK(board[1] - board[0] <= THREAD_STACK_BYTES);
}

/* Returns a word of another thread's stack, which a child of fork does not have on every kernel. */
static void read_other_stack(void* address) { peek((unsigned)address); }

/* Tells where its stack is, and waits. */
static int show_stack(void* gate) {
    volatile unsigned word = 1;

    *deepest = (unsigned)&word;
    wait_gate(*(struct gate*)gate);
    return (int)word;
}

/* The child of fork does not keep the stacks of threads that it does not have, where the kernel frees them. */
static void thread_fork_drops_stacks(void) {
    volatile unsigned* board = map_board();
    struct gate gate = make_gate();

    deepest = &board[0];
    int thread = start_thread(show_stack, &gate);
    while (board[0] == 0)
        yield();
    int status = run_apart(read_other_stack, (void*)board[0]);
    CHECK(status == 0 || status == SIGSEGV);
    CHECK_EQUAL(peek(board[0]), 1);
    open_gate(gate);
    CHECK_EQUAL(value_of(thread), 1);
    if (status == 0)
        skip("this kernel leaves other threads' stacks in the child");
}

/* Waits for ever. */
static int wait_for_ever(void* gate) {
    wait_gate(*(struct gate*)gate);
    return 0;
}

/* Ends the whole process. */
static int exit_process(void* status) {
    sleep_ms(2);
    exit((int)status);
}

/* exit() in any thread ends the process, although others wait or join. */
static void thread_ends_process(void) {
    struct gate gate = make_gate();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        int waiting = start_thread(wait_for_ever, &gate);
        start_thread(exit_process, (void*)33);
        thread_join(waiting, NULL);
        exit(1);
    }
    CHECK_EQUAL(wait_status(pid), 33 << 8);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        start_thread(wait_for_ever, &gate);
        start_thread(wait_for_ever, &gate);
        yield();
        exit(34); /* the main thread ends the others */
    }
    CHECK_EQUAL(wait_status(pid), 34 << 8);
}

/* The process outlives its main thread, and ends with the last one. */
static void thread_outlives_main(void) {
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        start_thread(exit_process, (void*)35);
        thread_exit(1);
    }
    CHECK_EQUAL(wait_status(pid), 35 << 8);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        start_thread(triple, NULL);
        thread_exit(1);
    }
    CHECK(status_exited(wait_status(pid)));
}

static volatile unsigned ticks;
static volatile bool stop;

/* Counts until it is told to stop. */
static int tick(void* unused) {
    (void)unused;
    while (!stop) {
        ticks++;
        yield();
    }
    return 0;
}

/* The child of fork in a process with threads: only the caller is there, on the stack of the caller. */
static void check_lone_thread(int main_thread) {
    struct procinfo info;
    unsigned before = ticks;

    CHECK(find_process(getpid(), &info));
    CHECK_EQUAL(info.threads, 1);
    for (int i = 0; i < 20; i++)
        yield();
    sleep_ms(3);
    CHECK_EQUAL(ticks, before);
    CHECK(thread_join(main_thread, NULL) < 0);
    CHECK_EQUAL(value_of(start_thread(triple, (void*)5)), 15);
}

/* Forks in a thread; returns how the child ended. The words on the stack must be there on both sides. */
static int fork_here(void* main_thread) {
    volatile unsigned words[300];

    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++)
        words[i] = i * 3;
    int pid = fork();
    CHECK(pid >= 0);
    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++)
        CHECK_EQUAL(words[i], i * 3);
    if (pid == 0) {
        words[7] = 0;
        check_lone_thread((int)main_thread);
        exit(0);
    }
    int status = wait_status(pid);
    CHECK_EQUAL(words[7], 21);
    return status;
}

/* fork in a thread: only the caller survives in the child; in the parent all continue. */
static void thread_fork_in_thread(void) {
    int ticker = start_thread(tick, NULL);

    stop = false;
    while (ticks < 3)
        yield();
    for (int round = 0; round < 3; round++)
        CHECK_EQUAL(value_of(start_thread(fork_here, (void*)thread_self())), 0);
    unsigned before = ticks;
    while (ticks < before + 3)
        yield();
    stop = true;
    CHECK_EQUAL(value_of(ticker), 0);
}

/* fork in the main thread while others run: the child has one thread and all memory. */
static void thread_fork_in_main(void) {
    int tickers[3];

    stop = false;
    for (int i = 0; i < 3; i++)
        tickers[i] = start_thread(tick, NULL);
    while (ticks < 10)
        yield();
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        check_lone_thread(tickers[0]);
        exit(0);
    }
    finish(pid);
    stop = true;
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(value_of(tickers[i]), 0);
}

/* Writes a word of a page that is shared with a child, from a thread. */
static int write_page(void* page) {
    for (unsigned i = 0; i < 1024; i += 2)
        ((volatile unsigned*)page)[i] = 2;
    return 0;
}

/* Two threads write one shared page at once after fork: one copy serves both, and the child keeps the original. */
static void thread_copy_on_write(void) {
    struct gate gate = make_gate();
    volatile unsigned* page = map_pages(1, MAP_PRIVATE);

    for (unsigned i = 0; i < 1024; i++)
        page[i] = 1;
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        wait_gate(gate);
        for (unsigned i = 0; i < 1024; i++)
            CHECK_EQUAL(page[i], 1);
        exit(0);
    }
    int thread = start_thread(write_page, (void*)page);
    for (unsigned i = 1; i < 1024; i += 2) {
        page[i] = 3;
        if (i % 256 == 1)
            yield();
    }
    CHECK_EQUAL(value_of(thread), 0);
    for (unsigned i = 0; i < 1024; i++)
        CHECK_EQUAL(page[i], i % 2 ? 3 : 2);
    open_gate(gate);
    finish(pid);
}

/* Takes and gives back memory of its own. */
static int churn(void* argument) {
    for (unsigned i = 0; i < 30; i++) {
        unsigned* words = malloc(200 + i * 40);
        if (words == NULL)
            return 1;
        words[0] = words[49] = (unsigned)argument * 1000 + i;
        yield();
        if (words[0] != (unsigned)argument * 1000 + i || words[49] != words[0])
            return 2;
        free(words);
    }
    return 0;
}

/* malloc serves several threads at once. */
static void thread_malloc(void) {
    int threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(churn, (void*)i);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(value_of(threads[i]), 0);
}

/* Waits for the end of a pipe; all threads that do so wake up once, when its other end is closed. */
static int wait_for_end(void* gate) {
    char byte;

    return system_call(SYS_read, (unsigned)((struct gate*)gate)->fds[0], (unsigned)&byte, 1, 0, 0);
}

/* Threads run out with an error, and come back; their stacks and kernel stacks are freed. */
static void thread_limit(void) {
    static int threads[MOST_THREADS];
    struct gate gate = make_gate();
    int error = 0;
    int count = 0;

    CHECK_EQUAL(value_of(start_thread(triple, NULL)), 0);
    unsigned before = free_frames();
    while (count < MOST_THREADS && error == 0) {
        int thread = thread_create(wait_for_end, &gate);
        if (thread < 0)
            error = -thread;
        else
            threads[count++] = thread;
    }
    close(gate.fds[1]);
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(value_of(threads[i]), 0);
    CHECK(error == 0 || error == EAGAIN || error == ENOMEM);
    CHECK(count >= 8);
    CHECK((int)(before - free_frames()) <= 16);
    CHECK_EQUAL(value_of(start_thread(triple, (void*)7)), 21);
}

/* A stack that cannot be had is refused. */
static void thread_stack_refusals(void) {
    CHECK(thread_create_sized(triple, NULL, 0xC0000000) < 0);
    CHECK(thread_create_sized(triple, NULL, 0xFFFFFFFF) < 0);
    CHECK_EQUAL(value_of(thread_create_sized(triple, (void*)2, 40 * PAGE_BYTES)), 6);
}

/* Threads and their stacks leave nothing behind, neither when they end nor when their process does. */
static void thread_leaks_nothing(void) {
    struct gate gate = make_gate();
    unsigned before = 0;

    for (int i = 0; i < 8; i++) {
        if (i == 2)
            before = free_frames();
        for (int j = 0; j < 3; j++)
            CHECK_EQUAL(value_of(start_thread(triple, (void*)j)), j * 3);
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            for (int j = 0; j < 3; j++)
                start_thread(wait_for_ever, &gate);
            yield();
            exit(0);
        }
        finish(pid);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

/* Forks a few times; each child checks that it is alone. */
static int fork_often(void* main_thread) {
    for (int round = 0; round < 6; round++)
        CHECK_EQUAL(fork_here(main_thread), 0);
    return 0;
}

/* Maps, touches and gives back memory, for ever. */
static int map_often(void* unused) {
    (void)unused;
    while (!stop) {
        volatile unsigned* memory = map_pages(3, MAP_PRIVATE);
        memory[0] = 5;
        yield();
        memory[2048] = 6;
        CHECK(memory[0] == 5 && memory[2048] == 6 && memory[1024] == 0);
        CHECK_EQUAL(munmap((void*)memory, 3 * PAGE_BYTES), 0);
    }
    return 0;
}

/* Two threads fork at once while a third changes the address space and a fourth only counts. */
static void thread_forks_at_once(void) {
    stop = false;
    ticks = 0;
    int ticker = start_thread(tick, NULL);
    int mapper = start_thread(map_often, NULL);
    int first = start_thread(fork_often, (void*)mapper);
    int second = start_thread(fork_often, (void*)mapper);
    CHECK_EQUAL(value_of(first), 0);
    CHECK_EQUAL(value_of(second), 0);
    stop = true;
    CHECK_EQUAL(value_of(mapper), 0);
    CHECK_EQUAL(value_of(ticker), 0);
}

const struct test thread_tests[] = {
    {"thread_values", thread_values},
    {"thread_join_refusals", thread_join_refusals},
    {"thread_shared_memory", thread_shared_memory},
    {"thread_own_stacks", thread_own_stacks},
    {"thread_stack_overflow", thread_stack_overflow},
    {"thread_fork_drops_stacks", thread_fork_drops_stacks},
    {"thread_ends_process", thread_ends_process},
    {"thread_outlives_main", thread_outlives_main},
    {"thread_fork_in_thread", thread_fork_in_thread},
    {"thread_fork_in_main", thread_fork_in_main},
    {"thread_copy_on_write", thread_copy_on_write},
    {"thread_forks_at_once", thread_forks_at_once},
    {"thread_malloc", thread_malloc},
    {"thread_limit", thread_limit},
    {"thread_stack_refusals", thread_stack_refusals},
    {"thread_leaks_nothing", thread_leaks_nothing},
    {NULL, NULL},
};
