/* usertests: tests of everything that the kernel promises to programs.
 *   usertests            runs all         usertests NAME...   runs some
 *   usertests -l         lists them       usertests -v ...    also says how long each took and what frames it kept
 * Each test runs in a process of its own with a time limit. At the end all of the kernel's frames must be free again.
 */
#include "guest/user/usertests/usertests.h"

#include "guest/user/usertests/report.h"

#define TIME_LIMIT_MS 30000

static const struct test* const groups[] = {
    fork_tests,        cow_tests,     order_tests, map_tests,   file_map_tests, limit_tests,     fault_tests,
    pointer_tests,     process_tests, exec_tests,  pipe_tests,  file_tests,     directory_tests, signal_tests,
    signal_fork_tests, thread_tests,  race_tests,  model_tests, rfork_tests,    ram_file_tests,
};

/* What the run has come to. */
struct tally {
    int passed;
    int failed;
    int skipped; /* what this kernel rightly does not have */
    bool verbose;
};

/* Kills a process and all its descendants, the youngest last. */
static void kill_tree(int pid) {
    struct procinfo info;

    kill(pid, SIGKILL);
    for (int index = 0; procinfo(index, &info) == 1; index++)
        if (info.parent == pid && info.state != PROC_ZOMBIE && info.pid != pid)
            kill_tree(info.pid);
}

/* Waits for a test's process to end, but not longer than the limit; returns false if it had to be killed. */
static bool wait_in_time(int pid, int* status) {
    unsigned start_time = uptime_ms();

    for (;;) {
        int ended = waitpid(pid, status, WNOHANG);
        if (ended == pid)
            return true;
        if (ended < 0 || uptime_ms() - start_time > TIME_LIMIT_MS)
            break;
        sleep_ms(1);
    }
    kill_tree(pid);
    waitpid(pid, status, 0);
    return false;
}

/* Runs one test and prints its line. */
static void run_test(const struct test* test, struct tally* tally) {
    unsigned frames = free_frames();
    unsigned start_time = uptime_ms();
    int status = 0;

    clear_report();
    int pid = fork();
    if (pid == 0) {
        test->run();
        exit(0);
    }
    bool in_time = pid > 0 && wait_in_time(pid, &status);
    bool skipped = status == SKIPPED << 8;
    bool good = in_time && (status == 0 || skipped);
    tally->passed += good && !skipped;
    tally->skipped += good && skipped;
    tally->failed += !good;
    if (good)
        printf("ok %s%s%s", test->name, skipped ? " # skipped: " : "", skipped ? read_report() : "");
    else if (pid < 0)
        printf("FAIL %s: fork: %s", test->name, error_text(errno));
    else if (!in_time)
        printf("FAIL %s: not done after %d ms %s", test->name, TIME_LIMIT_MS, read_report());
    else if (!status_exited(status))
        printf("FAIL %s: killed by SIG%s %s", test->name, signal_name(status_signal(status)), read_report());
    else
        printf("FAIL %s: %s", test->name, read_report());
    if (tally->verbose)
        printf("   [%u ms, %d frames kept]", uptime_ms() - start_time, (int)(frames - free_frames()));
    printf("\n");
}

/* Returns true if the name is among the words, or if there are no words. */
static bool is_wanted(const char* name, char** words) {
    if (*words == NULL)
        return true;
    for (; *words != NULL; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

/* Calls run_test for every test wanted, or only prints the names; returns how many there were. */
static int for_all(char** words, bool only_list, struct tally* tally) {
    int count = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(groups); i++) {
        for (const struct test* test = groups[i]; test->name != NULL; test++) {
            if (!is_wanted(test->name, words))
                continue;
            count++;
            if (only_list)
                puts(test->name);
            else
                run_test(test, tally);
        }
    }
    return count;
}

/* Returns the number of processes that the kernel knows. */
static int count_processes(void) {
    struct procinfo info;
    int count = 0;

    while (procinfo(count, &info) == 1)
        count++;
    return count;
}

extern char program_start[], data_start[], program_end[]; /* from the linker script */

/* Makes every page that the runner itself will ever use present, so that no frame counted later is its own. */
static void touch_own_pages(void) {
    volatile char stack[4 * PAGE_BYTES];

    for (volatile char* page = program_start; page < program_end; page += PAGE_BYTES)
        (void)*page;
    for (volatile char* page = data_start; page < program_end; page += PAGE_BYTES)
        *page = *page;
    for (unsigned i = 0; i < sizeof stack; i += PAGE_BYTES)
        stack[i] = 0;
    prepare_report();
}

/* Runs the tests, gives orphans time to be reaped, counts the frames and sums up. */
int main(int argc, char* argv[]) {
    struct tally tally = {0};
    bool only_list = argc > 1 && strcmp(argv[1], "-l") == 0;
    char** words = argv + 1;

    if (argc > 1 && strcmp(argv[1], "--helper") == 0)
        return run_helper(argc, argv);
    tally.verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    words += only_list || tally.verbose;
    touch_own_pages();
    int processes = count_processes();
    unsigned frames = free_frames();
    int count = for_all(words, only_list, &tally);
    if (only_list)
        return 0;
    if (count == 0) {
        dprintf(STDERR, "usertests: there is no such test; usertests -l lists them\n");
        return 2;
    }
    for (int i = 0; i < 500 && count_processes() > processes; i++)
        sleep_ms(2);
    await_frames(frames);
    int leaked = (int)(frames - free_frames());
    printf("usertests: %d passed, %d failed, %d skipped, %d frames leaked\n", tally.passed, tally.failed, tally.skipped,
           leaked > 0 ? leaked : 0);
    return tally.failed > 0 || leaked > 0;
}
