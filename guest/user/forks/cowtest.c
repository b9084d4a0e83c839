/* cowtest: a page is shared by a parent, its child and its grandchild; some of them write it, in every order there is.
 * A process that has not yet written must see the original, one that has must see its own. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* All orders of writing: P parent, C child, G grandchild. */
static const char* const orders[] = {"",   "P",  "C",   "G",   "PC",  "CP",  "PG",  "GP",
                                     "CG", "GC", "PCG", "PGC", "CPG", "CGP", "GPC", "GCP"};
static const char roles[] = "PCG";

/* The page by which the three keep their steps: all of them see it. */
struct board {
    volatile unsigned step;    /* how many have written */
    volatile unsigned present; /* how many are there */
    volatile unsigned checked; /* how many have looked at the end */
    volatile unsigned wrong;   /* how often one saw what it must not see */
};

/* The two kinds of page looked at: mapped memory, and the program's own data. */
static volatile unsigned data_page[PAGE_BYTES / sizeof(unsigned)] __attribute__((aligned(4096)));

/* Waits until a counter has come to a value; the counter lies in the shared page. */
static void wait_until(volatile unsigned* counter, unsigned value) {
    while (*counter < value)
        yield();
}

/* Checks that the whole page holds one value. */
static void check_page(struct board* board, volatile unsigned* page, unsigned value) {
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(unsigned); i += 31)
        if (page[i] != value)
            __atomic_add_fetch(&board->wrong, 1, __ATOMIC_SEQ_CST);
}

/* Fills the whole page with one value. */
static void fill_page(volatile unsigned* page, unsigned value) {
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(unsigned); i++)
        page[i] = value;
}

/* Is one of the three: waits for its turn in the order, writes if it has one, and looks before, after and at the end.
 */
static void play(struct board* board, volatile unsigned* page, const char* order, char role) {
    const char* turn = strchr(order, role);
    unsigned value = 'O';

    __atomic_add_fetch(&board->present, 1, __ATOMIC_SEQ_CST);
    wait_until(&board->present, 3);
    if (*order != '\0' && turn != NULL) {
        wait_until(&board->step, (unsigned)(turn - order));
        check_page(board, page, value);
        check_page(board, data_page, value);
        value = (unsigned char)role;
        fill_page(page, value);
        fill_page(data_page, value);
        board->step++;
    }
    wait_until(&board->step, strlen(order));
    check_page(board, page, value);
    check_page(board, data_page, value);
    __atomic_add_fetch(&board->checked, 1, __ATOMIC_SEQ_CST);
    wait_until(&board->checked, 3);
}

/* Plays the roles from roles[index] on: each forks the next before it plays. Returns 0 if all went well. */
static int play_from(struct board* board, volatile unsigned* page, const char* order, int index) {
    int pid = roles[index + 1] != '\0' ? fork() : -1;

    if (pid == 0)
        exit(play_from(board, page, order, index + 1));
    if (pid < 0 && roles[index + 1] != '\0') {
        complain("cowtest", "fork");
        board->wrong++;
        board->present = board->step = board->checked = 3; /* no process must wait for one that never came */
    }
    play(board, page, order, roles[index]);
    int status = 0;
    if (pid > 0)
        waitpid(pid, &status, 0);
    return status != 0;
}

/* Goes through one order with fresh pages; returns true if no process saw anything wrong. */
static bool run_order(const char* order) {
    struct board* board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile unsigned* page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (board == MAP_FAILED || page == MAP_FAILED) {
        complain("cowtest", "pages");
        return false;
    }
    fill_page(page, 'O');
    fill_page(data_page, 'O');
    int failed = play_from(board, page, order, 0);
    unsigned wrong = board->wrong;
    munmap(board, sizeof *board);
    munmap((void*)page, PAGE_BYTES);
    return failed == 0 && wrong == 0;
}

/* Goes through all orders. */
int main(void) {
    const int count = sizeof orders / sizeof orders[0];
    int failures = 0;

    for (int i = 0; i < count; i++) {
        if (!run_order(orders[i])) {
            printf("cowtest: WRONG CONTENTS when the writers are \"%s\"\n", orders[i]);
            failures++;
        }
    }
    printf("cowtest: %d orders of writing, %d wrong\n", count, failures);
    return failures != 0;
}
