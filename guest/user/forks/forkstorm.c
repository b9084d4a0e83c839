/* forkstorm: forks amid frequent allocation and release: forkstorm [ROUNDS | SECONDSs] [SEED].
 * The process owns a changing set of pieces of memory, from malloc and from mmap, each filled with a pattern that its
 * seed tells. Every round changes the set and forks; several children live at once, and each checks what it inherited,
 * changes it in its own way, and now and then forks itself. A copy-on-write mistake shows as a wrong pattern. */
#include <stdbool.h>

#include "guest/abi/tracepoints.h"
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define PIECES 12
#define MOST_ALIVE 5

/* One piece of memory: words that follow from the seed. */
struct piece {
    unsigned* words; /* NULL = nothing here now */
    unsigned count;
    unsigned seed;
    bool mapped; /* from mmap, else from malloc */
};

static struct piece pieces[PIECES];
static unsigned random_state;

/* Returns the next random number (xorshift), the same in every run with the same seed. */
static unsigned next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Says what went wrong and ends this process. */
static void fail(const char* what) {
    dprintf(STDERR, "forkstorm: process %d: %s\n", getpid(), what);
    exit(1);
}

/* Fills a piece with the pattern of a new seed. Every 61st word is enough to touch each page and stay quick. */
static void fill(struct piece* piece) {
    piece->seed = next_random();
    for (unsigned i = 0; i < piece->count; i += 61)
        piece->words[i] = piece->seed ^ i;
}

/* Ends the process if a piece does not hold its pattern. */
static void check(const struct piece* piece) {
    for (unsigned i = 0; i < piece->count; i += 61)
        if (piece->words[i] != (piece->seed ^ i))
            fail("a piece of memory has changed by itself");
}

/* Frees a piece's memory, after a last look. */
static void drop(struct piece* piece) {
    check(piece);
    if (piece->mapped && munmap(piece->words, piece->count * sizeof(unsigned)) < 0)
        fail("munmap");
    if (!piece->mapped)
        free(piece->words);
    piece->words = NULL;
}

/* Takes memory for a piece: up to 6 pages, by malloc or by mmap. */
static void take(struct piece* piece) {
    unsigned bytes = (next_random() % (6 * PAGE_BYTES) + 64) & ~15u;

    piece->mapped = next_random() % 2 == 0;
    piece->count = bytes / sizeof(unsigned);
    piece->words =
        piece->mapped ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : malloc(bytes);
    if (piece->words == MAP_FAILED || piece->words == NULL)
        fail("no memory");
    fill(piece);
}

/* Takes, drops or rewrites some pieces at random. */
static void stir(unsigned changes) {
    while (changes-- > 0) {
        struct piece* piece = &pieces[next_random() % PIECES];
        if (piece->words == NULL)
            take(piece);
        else if (next_random() % 3 == 0)
            fill(piece);
        else
            drop(piece);
    }
}

/* Looks at every piece. */
static void check_all(void) {
    for (int i = 0; i < PIECES; i++)
        if (pieces[i].words != NULL)
            check(&pieces[i]);
}

/* Waits for one child, any, and fails if it failed. */
static void reap_one(void) {
    int status;

    if (wait(&status) < 0)
        fail("wait");
    if (status != 0)
        fail("a child has failed");
}

/* Is a child: checks, changes, sometimes forks once more, checks again, exits. Never returns. */
static void be_child(unsigned round) {
    random_state ^= round * 2654435761u + 1;
    check_all();
    stir(6);
    if (round % 4 == 0) {
        int pid = fork();
        if (pid == 0) {
            stir(4);
            check_all();
            exit(0);
        }
        if (pid < 0)
            fail("fork in a child");
        stir(3);
        reap_one();
    } else {
        yield();
    }
    check_all();
    exit(0);
}

/* Does one round; `alive` counts the children not yet reaped. */
static void do_round(unsigned round, int* alive) {
    stir(4);
    if (*alive == MOST_ALIVE) {
        reap_one();
        --*alive;
    }
    int pid = fork();
    if (pid == 0)
        be_child(round);
    if (pid < 0)
        fail("fork");
    ++*alive;
    stir(2);
    check_all();
}

/* Reads "20" as 20 rounds, "5s" as 5 seconds; returns false if it is neither. */
static bool parse_wish(const char* text, unsigned* rounds, unsigned* milliseconds) {
    char* end;
    long number = strtol(text, &end, 10);

    if (end == text || number <= 0 || number > 1000000)
        return false;
    *rounds = *end == 's' ? 0 : (unsigned)number;
    *milliseconds = *end == 's' ? (unsigned)number * 1000 : 0;
    return *end == '\0' || strcmp(end, "s") == 0;
}

/* Storms for the requested rounds or time, then frees everything. */
int main(int argc, char* argv[]) {
    unsigned rounds = 40;
    unsigned milliseconds = 0;
    unsigned round = 0;
    int seed = 1;
    int alive = 0;

    if (argc > 3 || (argc > 1 && !parse_wish(argv[1], &rounds, &milliseconds)) ||
        (argc > 2 && !parse_number(argv[2], &seed))) {
        dprintf(STDERR, "usage: forkstorm [ROUNDS | SECONDSs] [SEED]\n");
        return 2;
    }
    random_state = (unsigned)seed * 2u + 1;
    tracepoint(TP_WORKLOAD_BEGIN, 0);
    unsigned start = uptime_ms();
    while (milliseconds != 0 ? uptime_ms() - start < milliseconds : round < rounds)
        do_round(round++, &alive);
    while (alive-- > 0)
        reap_one();
    tracepoint(TP_WORKLOAD_END, 0);
    for (int i = 0; i < PIECES; i++)
        if (pieces[i].words != NULL)
            drop(&pieces[i]);
    printf("forkstorm: %u rounds, every piece of memory as it must be\n", round);
    return 0;
}
