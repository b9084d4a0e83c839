/* forktree: a tree of processes: forktree [DEPTH] [FANOUT]. Each process forks FANOUT children until the depth is used
 * up, waits for them, and exits with a checksum of itself and what its children returned. The root works out the same
 * number without forking, and counts in a shared page which processes took part. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/system.h"

#define MOST_PROCESSES 2000

/* The page that all processes of the tree share. */
struct board {
    unsigned processes;
};

/* Mixes one child's checksum into its parent's; the result fits an exit status. */
static unsigned mix(unsigned sum, int place, unsigned child) { return (sum * 5 + (unsigned)place * 3 + child) & 0xFF; }

/* Works out the checksum of a tree without forking, and counts its processes. */
static unsigned expected_sum(int depth, int fanout, int* processes) {
    unsigned sum = (unsigned)depth;

    (*processes)++;
    for (int i = 0; depth > 0 && i < fanout && *processes <= MOST_PROCESSES; i++)
        sum = mix(sum, i, expected_sum(depth - 1, fanout, processes));
    return sum;
}

/* Says what went wrong and ends this process; its ancestors notice the status. */
static void give_up(const char* what) {
    complain("forktree", what);
    exit(255);
}

/* Is one process of the tree; returns its checksum. All children of a process live at the same time. */
static unsigned grow(int depth, int fanout, struct board* board) {
    unsigned sum = (unsigned)depth;
    int pids[16];

    __atomic_add_fetch(&board->processes, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; depth > 0 && i < fanout; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            exit((int)grow(depth - 1, fanout, board));
        if (pids[i] < 0)
            give_up("fork");
    }
    for (int i = 0; depth > 0 && i < fanout; i++) {
        int status;
        if (waitpid(pids[i], &status, 0) != pids[i])
            give_up("wait");
        if (!status_exited(status))
            give_up("a child was killed");
        sum = mix(sum, i, (unsigned)status_code(status));
    }
    return sum;
}

/* Grows the tree and compares. */
int main(int argc, char* argv[]) {
    int depth = 3;
    int fanout = 2;
    int processes = 0;

    bool good =
        argc <= 3 && (argc < 2 || parse_number(argv[1], &depth)) && (argc < 3 || parse_number(argv[2], &fanout));
    if (!good || depth < 0 || depth > 100 || fanout < 0 || fanout > 16) {
        dprintf(STDERR, "usage: forktree [DEPTH (0 to 100)] [FANOUT (0 to 16)]\n");
        return 2;
    }
    unsigned expected = expected_sum(depth, fanout, &processes);
    if (processes > MOST_PROCESSES) {
        dprintf(STDERR, "forktree: that would be more than %d processes\n", MOST_PROCESSES);
        return 2;
    }
    struct board* board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        give_up("shared page");
    unsigned sum = grow(depth, fanout, board);
    good = sum == expected && board->processes == (unsigned)processes;
    printf("forktree: depth %d, fanout %d: %u of %d processes, checksum 0x%02x, expected 0x%02x: %s\n", depth, fanout,
           board->processes, processes, sum, expected, good ? "ok" : "WRONG");
    return !good;
}
