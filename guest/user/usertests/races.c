/* Tests of threads and processes that get into each other's way at the worst moment: the kernel may sleep there. */
#include "guest/user/usertests/usertests.h"

#define ROUNDS 20
#define PIPES 5
#define PIPE_BYTES 4096u

static struct gate never; /* a gate that stays closed */

/* Waits for ever. */
static int wait_for_ever(void* unused) {
    (void)unused;
    wait_gate(never);
    return 0;
}

/* Ends its first thread and leaves another one that waits for ever. */
static void leave_a_waiter(void* unused) {
    (void)unused;
    CHECK(thread_create(wait_for_ever, NULL) > 0);
    thread_exit(0);
}

/* A thread that is dead, and not joined, is not the one to take a signal: another one is woken for it. */
static void race_signal_after_first_thread(void) {
    struct procinfo info;

    never = make_gate();
    int pid = start(leave_a_waiter, NULL);
    while (!find_process(pid, &info) || info.threads != 1 || info.state != PROC_BLOCKED)
        sleep_ms(1);
    sleep_ms(20); /* so that the one thread is the waiter */
    CHECK_EQUAL(kill(pid, SIGTERM), 0);
    CHECK_EQUAL(wait_status(pid), SIGTERM);
    drop_gate(never);
}

static volatile int standing; /* threads that are about to call exec */

/* Becomes /bin/false when both threads are ready. */
static int become_false(void* unused) {
    char* words[] = {"false", NULL};

    (void)unused;
    standing++;
    while (standing < 2)
        yield();
    exec("/bin/false", words);
    return 0;
}

/* Lets two threads call exec at the same time. */
static void exec_twice(void* unused) {
    standing = 0;
    CHECK(thread_create(become_false, NULL) > 0);
    become_false(unused);
    exit(99);
}

/* Of two threads that call exec at the same time one becomes the new program: they do not end each other. */
static void race_two_execs(void) {
    for (int round = 0; round < ROUNDS; round++)
        CHECK_EQUAL(run_apart(exec_twice, NULL), 1 << 8);
}

/* Forks with the stack pointer at an address; nothing of ours is written there. The child ends at once. */
static int fork_on(char* top) {
    int result = call_on_stack((unsigned)top, SYS_fork, 0, 0);

    if (result == 0)
        exit(0);
    return result;
}

static char* volatile page;
static volatile bool forks_are_done;

/* Lets others run a few times, so that two loops meet in every order. */
static void let_others_run(int times) {
    while (times-- > 0)
        yield();
}

/* Forks again and again on the page. */
static int fork_on_page(void* unused) {
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        let_others_run(round % 3);
        int pid = fork_on(page + PAGE_BYTES);
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
    forks_are_done = true;
    return 0;
}

/* Unmaps the page and maps it again, while another thread forks on it. */
static void take_page_away(void* argument) {
    page = map_pages(1, MAP_PRIVATE);
    forks_are_done = false;
    int thread = thread_create(fork_on_page, NULL);
    CHECK(thread > 0);
    for (int round = 0; !forks_are_done; round++) {
        *page = '#';
        let_others_run(round % (int)argument);
        brk(NULL);
        munmap(page, PAGE_BYTES);
        let_others_run(1 + round % 2);
        mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    thread_join(thread, NULL);
}

/* A thread forks while another one unmaps its stack: it may fail or be killed, and the system lives on. */
static void race_fork_without_stack(void) {
    for (int round = 1; round <= 8; round++) {
        int status = run_apart(take_page_away, (void*)round);
        CHECK(status == 0 || status == SIGSEGV);
    }
}

static volatile int* board;

/* Makes a child that dies, says so, and waits for it. */
static void reap_one(void* unused) {
    struct procinfo info;

    (void)unused;
    int pid = fork();
    if (pid == 0)
        exit(0);
    while (!find_process(pid, &info) || info.state != PROC_ZOMBIE)
        yield();
    board[0] = 1;
    CHECK_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* Fills as much kernel memory as it can without sleeping. */
static void fill_pipes(int pipes[PIPES][2], const char* bytes) {
    for (int i = 0; i < PIPES; i++) {
        CHECK_EQUAL(pipe(pipes[i]), 0);
        CHECK_EQUAL(write(pipes[i][1], bytes, PIPE_BYTES), PIPE_BYTES);
    }
}

/* The list of processes can be read while one of them is just being reaped, whatever its memory has become. */
static void race_list_while_reaping(void) {
    static char bytes[PIPE_BYTES];
    int pipes[PIPES][2];
    struct procinfo info;

    memset(bytes, 0xFF, sizeof bytes);
    memset(pipes, 0, sizeof pipes);
    memset(&info, 0, sizeof info);
    board = map_board();
    for (int round = 0; round < ROUNDS; round++) {
        board[0] = 0;
        int pid = start(reap_one, NULL);
        while (board[0] == 0)
            yield();
        fill_pipes(pipes, bytes);
        for (int index = 0; procinfo(index, &info) == 1; index++)
            CHECK(info.pages < 10000);
        for (int i = 0; i < PIPES; i++) {
            close(pipes[i][0]);
            close(pipes[i][1]);
        }
        finish(pid);
    }
}

/* Writes one byte of a page that it has not touched before. */
static void write_byte(void* memory) { *(volatile char*)memory = '#'; }

/* A file's page that was only read in order to be copied does not stay, also if the copy is shared. */
static void race_copy_for_sharers(void) {
    int fd = open_file(LINES_PATH);
    char* keeper = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
    char* memory = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE_BYTES);

    CHECK(keeper != MAP_FAILED && memory != MAP_FAILED);
    CHECK_EQUAL(keeper[0], lines_byte(0)); /* so that the file's object outlives the other mapping */
    for (int round = 0; round < 3; round++) {
        unsigned frames = free_frames();
        CHECK_EQUAL(minherit(memory, PAGE_BYTES, INHERIT_SHARE), 0);
        finish(start(write_byte, memory));
        CHECK_EQUAL(memory[0], '#');
        CHECK_EQUAL(munmap(memory, PAGE_BYTES), 0);
        if (round > 0)
            CHECK_EQUAL(frames - free_frames(), 0);
        memory = mmap(memory, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                      (unsigned)(round + 2) * PAGE_BYTES);
        CHECK(memory != MAP_FAILED);
    }
}

const struct test race_tests[] = {
    {"race_signal_after_first_thread", race_signal_after_first_thread},
    {"race_two_execs", race_two_execs},
    {"race_fork_without_stack", race_fork_without_stack},
    {"race_list_while_reaping", race_list_while_reaping},
    {"race_copy_for_sharers", race_copy_for_sharers},
    {NULL, NULL},
};
