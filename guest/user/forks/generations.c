/* generations [N [PAGES]]: N generations of processes, each the child of the one before. A generation waits until its
 * parent has ended, checks what it inherited, and forks the next; it writes every second page before its parent's end
 * and the others after it. Where memory is found through chains of objects, one for each fork that was written to, such
 * chains must not grow with the generations. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/system.h"

#define GENERATIONS 100
#define PAGES 4

/* Returns the first word of a page. */
static volatile unsigned* page_word(char* region, int page) {
    return (volatile unsigned*)(region + (unsigned)page * PAGE_BYTES);
}

/* What a generation and the next share: the child says that it has written; a parent has ended when `death` has no
 * writer any more. */
struct bond {
    int told[2];
    int death[2];
};

/* The parent's part: ends as soon as the child has written its first pages. */
static __attribute__((noreturn)) void end_when_written(struct bond bond) {
    char byte;

    exit(read(bond.told[0], &byte, 1) != 1);
}

/* The child's part: lets the parent end, and waits until it has. */
static void outlive_parent(struct bond bond) {
    char byte;

    close(bond.death[1]);
    write(bond.told[1], "", 1);
    while (read(bond.death[0], &byte, 1) > 0)
        continue;
    close(bond.death[0]);
    close(bond.told[0]);
    close(bond.told[1]);
}

/* Writes a generation's number into every second page; returns how many did not hold the number of the one before. */
static int write_pages(char* region, int first, int pages, unsigned number) {
    int wrong = 0;

    for (int i = first; i < pages; i += 2) {
        wrong += *page_word(region, i) != number - 1;
        *page_word(region, i) = number;
    }
    return wrong;
}

/* Is one generation after the other: the process that returns is the last, and says how many pages were wrong. */
static int descend(char* region, int generations, int pages) {
    int wrong = 0;

    for (int number = 1; number <= generations; number++) {
        struct bond bond;
        if (pipe(bond.told) < 0 || pipe(bond.death) < 0)
            return -1;
        int pid = fork();
        if (pid < 0)
            return -1;
        if (pid > 0)
            end_when_written(bond);
        wrong += write_pages(region, 0, pages, (unsigned)number);
        outlive_parent(bond);
        wrong += write_pages(region, 1, pages, (unsigned)number);
    }
    return wrong;
}

/* Starts the first generation in a child and waits for a byte from the last, which is not its child. */
int main(int argc, char* argv[]) {
    int generations = GENERATIONS;
    int pages = PAGES;
    int result[2];
    int wrong = -1;

    if (argc > 3 || (argc > 1 && !parse_number(argv[1], &generations)) ||
        (argc > 2 && !parse_number(argv[2], &pages))) {
        dprintf(STDERR, "usage: generations [N [PAGES]]\n");
        return 2;
    }
    char* region = mmap(NULL, (unsigned)pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED || pipe(result) < 0) {
        complain("generations", "memory or pipe");
        return 2;
    }
    write_pages(region, 0, pages, 0);
    write_pages(region, 1, pages, 0);
    int pid = fork();
    if (pid == 0) {
        wrong = descend(region, generations, pages);
        write(result[1], &wrong, sizeof wrong);
        return 0;
    }
    close(result[1]);
    if (read(result[0], &wrong, sizeof wrong) != sizeof wrong)
        wrong = -1;
    wait(NULL);
    printf("generations: %d generations, %d pages each, %d wrong\n", generations, pages, wrong);
    return wrong != 0;
}
