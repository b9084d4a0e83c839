/* Tests of processes whose every kind of memory crosses forks in random order, against a model of what must be there.
 */
#include "guest/user/usertests/usertests.h"

#define PAGES 5
#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(unsigned))
#define AREA_BYTES (PAGES * PAGE_BYTES)
#define MOST_DEPTH 7
#define MOST_SLEEPERS 4

/* The kinds of memory. The first four are never unmapped; all relatives share SHARED. */
enum { DATA, BSS, STACK, HEAP, MAPPED, FILE_MAP, EXCLUSIVE, SHARED, AREAS };

/* The model: how often each page of each area was written. 0 = as it came into being. */
struct area {
    volatile unsigned* words;
    unsigned short writes[PAGES];
};

/* One process of the game. Everything but what lies in shared memory crosses fork by copy, the model included. */
static struct area areas[AREAS];
static unsigned short* shared_writes; /* the model of SHARED, in shared memory itself */
static unsigned random_state;
static int depth;
static struct gate bedroom; /* sleepers wait here */
static int sleepers[MOST_SLEEPERS];
static int sleeper_count;

static volatile unsigned data_area[PAGES * WORDS_PER_PAGE] = {1};
static volatile unsigned bss_area[PAGES * WORDS_PER_PAGE];

/* Returns the next random number below a limit (xorshift), the same in every run with the same seed. */
static unsigned random_below(unsigned limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

/* Returns the model's count for a page. */
static unsigned short* count_of(int area, unsigned page) {
    return area == SHARED ? &shared_writes[page] : &areas[area].writes[page];
}

/* Returns what a written page holds at a word. */
static unsigned pattern(int area, unsigned page, unsigned writes, unsigned word) {
    return ((unsigned)area * 100003u + page * 1009u + writes) * 2654435761u + word;
}

/* Writes the start, the middle and the end of a page, and tells the model. */
static void write_page(int area, unsigned page) {
    unsigned writes = ++*count_of(area, page);

    for (unsigned word = 0; word < WORDS_PER_PAGE; word += 341)
        areas[area].words[page * WORDS_PER_PAGE + word] = pattern(area, page, writes, word);
}

/* Returns what an unwritten page holds at a word. */
static unsigned original(int area, unsigned page, unsigned word) {
    unsigned offset = (page * WORDS_PER_PAGE + word) * sizeof(unsigned);

    if (area == FILE_MAP)
        return (unsigned char)lines_byte(offset) | (unsigned)(unsigned char)lines_byte(offset + 1) << 8 |
               (unsigned)(unsigned char)lines_byte(offset + 2) << 16 |
               (unsigned)(unsigned char)lines_byte(offset + 3) << 24;
    return area == DATA && offset == 0;
}

/* Compares one page with the model. */
static void check_page(int area, unsigned page) {
    unsigned writes = *count_of(area, page);

    for (unsigned word = 0; word < WORDS_PER_PAGE; word += 341) {
        unsigned expected = writes != 0 ? pattern(area, page, writes, word) : original(area, page, word);
        unsigned actual = areas[area].words[page * WORDS_PER_PAGE + word];
        if (actual != expected)
            FAIL("area %d page %u word %u at depth %d is 0x%x, not 0x%x (write %u)", area, page, word, depth, actual,
                 expected, writes);
    }
}

/* Compares all memory with the model; the shared area only when no other process may be writing it. */
static void check_all(void) {
    for (int area = 0; area < AREAS; area++)
        for (unsigned page = 0; page < PAGES; page++)
            check_page(area, page);
}

/* Maps an area that can be unmapped, where it was or anywhere; its pages are then as new. */
static void make_area(int area) {
    static const int kinds[AREAS] = {[MAPPED] = MAP_PRIVATE | MAP_ANONYMOUS,
                                     [FILE_MAP] = MAP_PRIVATE,
                                     [EXCLUSIVE] = MAP_EXCLUSIVE | MAP_ANONYMOUS,
                                     [SHARED] = MAP_SHARED | MAP_ANONYMOUS};
    int fd = area == FILE_MAP ? open_file(LINES_PATH) : -1;
    void* memory = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, kinds[area], fd, 0);

    if (memory == MAP_FAILED)
        FAIL("mmap of area %d: %s", area, error_text(errno));
    if (fd >= 0)
        close(fd);
    areas[area].words = memory;
    memset(areas[area].writes, 0, sizeof areas[area].writes);
}

/* Unmaps an area and maps it anew. */
static void renew_area(int area) {
    CHECK_EQUAL(munmap((void*)areas[area].words, AREA_BYTES), 0);
    make_area(area);
}

/* Lets the heap shrink by two pages and grow again: those pages are zero afterwards. */
static void shake_heap(void) {
    char* end = sbrk(0);

    CHECK_EQUAL(brk(end - 2 * PAGE_BYTES), 0);
    CHECK_EQUAL(brk(end), 0);
    areas[HEAP].writes[PAGES - 2] = areas[HEAP].writes[PAGES - 1] = 0;
}

/* What a child finds different from its parent: it is alone, and the exclusive area is not what it was. */
static void become_child(void) {
    depth++;
    sleeper_count = 0;
    munmap((void*)areas[EXCLUSIVE].words, AREA_BYTES);
    make_area(EXCLUSIVE);
    random_state += (unsigned)depth * 77;
}

/* Forks a child that sleeps until the end of the game and must then still see this moment in all that is not shared. */
static void leave_sleeper(void) {
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        become_child();
        write_page(MAPPED, 1);
        wait_gate(bedroom);
        for (int area = 0; area < SHARED; area++)
            for (unsigned page = 0; page < PAGES; page++)
                check_page(area, page);
        exit(0);
    }
    sleepers[sleeper_count++] = pid;
}

/* Wakes this process's own sleepers and takes their word. */
static void wake_sleepers(void) {
    for (int i = 0; i < sleeper_count; i++)
        open_gate(bedroom);
    for (int i = 0; i < sleeper_count; i++)
        finish(sleepers[i]);
    sleeper_count = 0;
}

/* Forks. Either this process waits and plays on, or, with `hand_over`, the child plays the rest of the game. */
static void play(unsigned moves);
static void fork_and_play(unsigned moves, bool hand_over) {
    if (hand_over)
        wake_sleepers(); /* none may be left to wake for the child */
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        become_child();
        play(hand_over ? moves : moves / 2);
        exit(0);
    }
    finish(pid);
    check_all();
    if (hand_over)
        exit(0);
}

/* Plays so many random moves, checks everything after each, and ends with no child left. */
static void play(unsigned moves) {
    struct gate outer = bedroom;

    bedroom = make_gate(); /* sleepers are woken by their own parent alone */
    while (moves-- > 0) {
        unsigned move = random_below(16);
        if (move < 9)
            write_page((int)random_below(AREAS), random_below(PAGES));
        else if (move < 11)
            renew_area(MAPPED + (int)random_below(3));
        else if (move == 11)
            shake_heap();
        else if (move == 12 && sleeper_count < MOST_SLEEPERS)
            leave_sleeper();
        else if (move > 12 && depth < MOST_DEPTH)
            fork_and_play(moves, move == 15);
        check_all();
    }
    wake_sleepers();
    drop_gate(bedroom);
    bedroom = outer;
}

/* Plays one game in this process. */
static void play_game(void* seed) {
    volatile unsigned stack_area[PAGES * WORDS_PER_PAGE];

    random_state = (unsigned)seed * 2654435761u + 1;
    memset((void*)stack_area, 0, sizeof stack_area);
    areas[DATA].words = data_area;
    areas[BSS].words = bss_area;
    areas[STACK].words = stack_area;
    char* heap = sbrk(0);
    CHECK_EQUAL(brk((char*)(((unsigned)heap + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1)) + AREA_BYTES), 0);
    areas[HEAP].words = (unsigned*)((char*)sbrk(0) - AREA_BYTES);
    shared_writes = map_board();
    for (int area = MAPPED; area < AREAS; area++)
        make_area(area);
    check_all();
    play(24);
}

/* Eight games; each begins in a new process. */
static void fork_against_model(void) {
    for (unsigned seed = 1; seed <= 8; seed++) {
        int status = run_apart(play_game, (void*)seed);
        if (status != 0)
            FAIL("game %u ended with status 0x%x", seed, (unsigned)status);
    }
}

const struct test model_tests[] = {
    {"fork_against_model", fork_against_model},
    {NULL, NULL},
};
