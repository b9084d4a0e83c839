/* forkwork: the measured workloads that `forkscope compare` lays side by side, one fork or a few each, between the
 * tracepoints TP_WORKLOAD_BEGIN and TP_WORKLOAD_END. Every page's contents are checked by the side that sees them; the
 * exit status says whether all held what they must. No static data is written and nothing is printed in between, so
 * that copy-on-write faults = pages written + the pages of the stack. */
#include <stdbool.h>

#include "guest/abi/tracepoints.h"
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define REGION_PAGES 100
#define REGIONS 64
#define GENERATIONS 10

/* The first word of page i holds one of these plus i. */
#define MARK_ORIGINAL 0x50000000u
#define MARK_CHILD 0xC1000000u
#define MARK_PARENT 0xA2000000u

/* Returns the first word of page i of a region. */
static volatile unsigned* page_word(char* region, int i) {
    return (volatile unsigned*)(region + (unsigned)i * PAGE_BYTES);
}

/* Writes the first word of the pages from `first` to `end`. */
static void write_pages(char* region, int first, int end, unsigned mark) {
    for (int i = first; i < end; i++)
        *page_word(region, i) = mark + (unsigned)i;
}

/* Says whether the pages from `first` to `end` hold the mark. */
static bool pages_hold(char* region, int first, int end, unsigned mark) {
    for (int i = first; i < end; i++)
        if (*page_word(region, i) != mark + (unsigned)i)
            return false;
    return true;
}

/* Maps a region and writes all its pages; ends the program where there is no memory. */
static char* make_region(int pages) {
    char* region = mmap(NULL, (unsigned)pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (region == MAP_FAILED) {
        complain("forkwork", "region");
        exit(1);
    }
    write_pages(region, 0, pages, MARK_ORIGINAL);
    return region;
}

/* Makes sure that the stack pages in use later are present before the fork, so that they never fault as new ones. */
static void touch_stack(void) {
    volatile char room[2 * PAGE_BYTES];

    for (unsigned i = 0; i < sizeof room; i += 512)
        room[i] = 1;
}

/* Begins the measured part, in which `pages` pages are written after each fork, and forks. Ends the program where that
 * fails. */
static int measured_fork(int pages) {
    tracepoint(TP_WORKLOAD_BEGIN, (unsigned)pages);
    int pid = fork();
    if (pid < 0) {
        complain("forkwork", "fork");
        exit(1);
    }
    return pid;
}

/* Waits for the child and ends the measured part; returns whether the child ended well. */
static bool child_did_well(int pid) {
    int status = 1;
    bool reaped = waitpid(pid, &status, 0) == pid;

    tracepoint(TP_WORKLOAD_END, 0);
    return reaped && status == 0;
}

/* The child ends at once. */
static bool fork_exit(void) {
    char* region = make_region(REGION_PAGES);
    int pid = measured_fork(0);

    if (pid == 0)
        exit(0);
    return child_did_well(pid) && pages_hold(region, 0, REGION_PAGES, MARK_ORIGINAL);
}

/* The child becomes another program. */
static bool fork_exec(void) {
    char* region = make_region(REGION_PAGES);
    char* arguments[] = {"true", NULL};
    int pid = measured_fork(0);

    if (pid == 0) {
        exec("/bin/true", arguments);
        exit(1);
    }
    return child_did_well(pid) && pages_hold(region, 0, REGION_PAGES, MARK_ORIGINAL);
}

/* The child writes so many of the hundred pages and looks at all. */
static bool child_writes(int pages) {
    char* region = make_region(REGION_PAGES);
    int pid = measured_fork(pages);

    if (pid == 0) {
        write_pages(region, 0, pages, MARK_CHILD);
        exit(!pages_hold(region, 0, pages, MARK_CHILD) || !pages_hold(region, pages, REGION_PAGES, MARK_ORIGINAL));
    }
    return child_did_well(pid) && pages_hold(region, 0, REGION_PAGES, MARK_ORIGINAL);
}

/* The parent writes all pages while the child lives, then lets the child look and end. */
static bool parent_writes(void) {
    char* region = make_region(REGION_PAGES);
    int ends[2];
    char word = 'x';

    if (pipe(ends) < 0)
        return false;
    int pid = measured_fork(REGION_PAGES);
    if (pid == 0) {
        bool told = read(ends[0], &word, 1) == 1;
        exit(!told || !pages_hold(region, 0, REGION_PAGES, MARK_ORIGINAL));
    }
    write_pages(region, 0, REGION_PAGES, MARK_PARENT);
    bool told = write(ends[1], &word, 1) == 1;
    return child_did_well(pid) && told && pages_hold(region, 0, REGION_PAGES, MARK_PARENT);
}

/* Is one generation: writes its page, looks at all, and makes the next one while it waits. */
static bool generation(char* region, int number) {
    if (number > 0)
        write_pages(region, number - 1, number, MARK_CHILD);
    if (!pages_hold(region, 0, number, MARK_CHILD) || !pages_hold(region, number, REGION_PAGES, MARK_ORIGINAL))
        return false;
    if (number == GENERATIONS)
        return true;
    int pid = measured_fork(1);
    if (pid == 0)
        exit(!generation(region, number + 1));
    return child_did_well(pid) && pages_hold(region, 0, number, MARK_CHILD) &&
           pages_hold(region, number, REGION_PAGES, MARK_ORIGINAL);
}

/* Each generation forks the next and writes one page: ten forks. */
static bool chain(void) { return generation(make_region(REGION_PAGES), 0); }

/* A process with many regions, no two of them neighbours; the child writes one page of each. */
static bool regions(void) {
    char* all[REGIONS];

    for (int i = 0; i < REGIONS; i++)
        all[i] = make_region(2);
    for (int i = 0; i < REGIONS; i++)
        if (munmap(all[i] + PAGE_BYTES, PAGE_BYTES) < 0)
            return false;
    int pid = measured_fork(REGIONS);
    if (pid == 0) {
        bool well = true;
        for (int i = 0; i < REGIONS; i++)
            *(volatile unsigned*)all[i] = MARK_CHILD + (unsigned)i;
        for (int i = 0; i < REGIONS; i++)
            well = well && *(volatile unsigned*)all[i] == MARK_CHILD + (unsigned)i;
        exit(!well);
    }
    bool well = child_did_well(pid);
    for (int i = 0; i < REGIONS; i++)
        well = well && pages_hold(all[i], 0, 1, MARK_ORIGINAL);
    return well;
}

/* Runs the workload named; sets *known to whether there is one of that name. Returns whether all pages were right. */
static bool run(const char* name, const char* argument, bool* known) {
    int pages = 0;

    *known = true;
    if (strcmp(name, "child-writes") == 0 && argument != NULL && parse_number(argument, &pages) && pages >= 0 &&
        pages <= REGION_PAGES)
        return child_writes(pages);
    if (argument == NULL) {
        if (strcmp(name, "fork-exit") == 0)
            return fork_exit();
        if (strcmp(name, "fork-exec") == 0)
            return fork_exec();
        if (strcmp(name, "parent-writes") == 0)
            return parent_writes();
        if (strcmp(name, "chain") == 0)
            return chain();
        if (strcmp(name, "regions") == 0)
            return regions();
    }
    *known = false;
    return false;
}

/* Runs one workload and says how it went. */
int main(int argc, char* argv[]) {
    bool known = false;

    touch_stack();
    bool well = (argc == 2 || argc == 3) && run(argv[1], argc == 3 ? argv[2] : NULL, &known);
    if (!known) {
        dprintf(STDERR, "usage: forkwork fork-exit|fork-exec|child-writes 0..%d|parent-writes|chain|regions\n",
                REGION_PAGES);
        return 2;
    }
    printf("forkwork %s: %s\n", argv[1], well ? "every page holds what it must" : "SOMETHING WENT WRONG");
    return well ? 0 : 1;
}
