/* forkdemo: one fork that can be measured. A region is mapped and touched; then, between the tracepoints
 * TP_WORKLOAD_BEGIN and TP_WORKLOAD_END, the process forks, the child writes its pages, and when it has ended the
 * parent writes its own. Prediction: copy-on-write faults = pages written + a constant. The constant is the pages of
 * the stack, because nothing else is written: no static data, and the same calls at the same depth for all numbers. */
#include <stdbool.h>

#include "guest/abi/tracepoints.h"
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define LEAST_PAGES 64
#define MOST_PAGES 65536

/* The first word of page i holds one of these plus i. */
#define MARK_ORIGINAL 0x50000000u
#define MARK_CHILD 0xC1000000u
#define MARK_PARENT 0xA2000000u

/* What the command line asks for. */
struct plan {
    int pages;  /* the workload's parameter, as the trace shows it */
    int child;  /* pages that the child writes; -1 = as many as `pages` */
    int parent; /* pages that the parent writes when the child has ended */
    int kind;   /* MAP_SHARED, MAP_PRIVATE or MAP_EXCLUSIVE */
    int mapped; /* pages of the region */
};

/* Returns the first word of page i of the region. */
static volatile unsigned* page_word(char* region, int i) {
    return (volatile unsigned*)(region + (unsigned)i * PAGE_BYTES);
}

/* Writes the first word of the first `count` pages. */
static void write_pages(char* region, int count, unsigned mark) {
    for (int i = 0; i < count; i++)
        *page_word(region, i) = mark + (unsigned)i;
}

/* Counts the pages from `first` to `end` that do not hold the mark. */
static int count_wrong(char* region, int first, int end, unsigned mark) {
    int wrong = 0;

    for (int i = first; i < end; i++)
        wrong += *page_word(region, i) != mark + (unsigned)i;
    return wrong;
}

/* Says what one side did and saw; returns the side's exit status. */
static int report(const char* side, int wrote, int wrong) {
    printf("%s %d wrote %d pages: %s\n", side, getpid(), wrote,
           wrong == 0 ? "every page holds what it must" : "PAGES HOLD WRONG CONTENTS");
    return wrong != 0;
}

/* Says whether the process may read the region, without risking a signal: the kernel tries it. */
static bool region_is_here(char* region) {
    int fds[2];
    bool here = pipe(fds) == 0 && write(fds[1], region, sizeof(unsigned)) == sizeof(unsigned);

    close(fds[0]);
    close(fds[1]);
    return here;
}

/* The child's part: looks at the region as fork left it, writes its pages, looks again. Returns the exit status. */
static int be_child(char* region, const struct plan* plan) {
    int wrong = 0;

    if (plan->kind == MAP_EXCLUSIVE) {
        if (!region_is_here(region)) {
            printf("child %d wrote 0 pages: the region was not inherited\n", getpid());
            return 0;
        }
        for (int i = 0; i < plan->mapped; i++)
            wrong += *page_word(region, i) != 0;
    } else {
        wrong = count_wrong(region, 0, plan->mapped, MARK_ORIGINAL);
    }
    write_pages(region, plan->child, MARK_CHILD);
    wrong += count_wrong(region, 0, plan->child, MARK_CHILD);
    return report("child", plan->child, wrong);
}

/* The parent's part, after the child has ended. Returns the exit status. */
static int be_parent(char* region, const struct plan* plan) {
    unsigned expected = plan->kind == MAP_SHARED ? MARK_CHILD : MARK_ORIGINAL;
    int wrong = count_wrong(region, 0, plan->child, expected);

    wrong += count_wrong(region, plan->child, plan->mapped, MARK_ORIGINAL);
    write_pages(region, plan->parent, MARK_PARENT);
    wrong += count_wrong(region, 0, plan->parent, MARK_PARENT);
    return report("parent", plan->parent, wrong);
}

/* Makes sure that the stack pages in use later are present before the fork, so that they never fault as new ones. */
static void touch_stack(void) {
    volatile char room[2 * PAGE_BYTES];

    for (unsigned i = 0; i < sizeof room; i += 512)
        room[i] = 1;
}

/* The measured part: fork, child, wait, parent. Returns the exit status of the worse side. */
static int run(char* region, const struct plan* plan) {
    int status = 0;

    tracepoint(TP_WORKLOAD_BEGIN, (unsigned)plan->pages);
    int pid = fork();
    if (pid == 0)
        exit(be_child(region, plan));
    if (pid < 0) {
        complain("forkdemo", "fork");
        return 1;
    }
    waitpid(pid, &status, 0);
    int result = be_parent(region, plan);
    tracepoint(TP_WORKLOAD_END, (unsigned)plan->pages);
    if (status != 0)
        printf("the child ended badly, with status 0x%x\n", (unsigned)status);
    return result | (status != 0);
}

/* Reads a region's kind; returns 0 if the word is none. */
static int parse_kind(const char* word) {
    if (strcmp(word, "shared") == 0)
        return MAP_SHARED;
    if (strcmp(word, "private") == 0)
        return MAP_PRIVATE;
    if (strcmp(word, "exclusive") == 0)
        return MAP_EXCLUSIVE;
    return 0;
}

/* Fills in the plan from the command line; returns false if it makes no sense. */
static bool parse(int argc, char* argv[], struct plan* plan) {
    *plan = (struct plan){8, -1, 0, MAP_PRIVATE, LEAST_PAGES};
    for (int i = 1; i < argc; i += 2) {
        int* number = strcmp(argv[i], "--pages") == 0    ? &plan->pages
                      : strcmp(argv[i], "--child") == 0  ? &plan->child
                      : strcmp(argv[i], "--parent") == 0 ? &plan->parent
                                                         : NULL;
        if (i + 1 == argc)
            return false;
        if (number != NULL) {
            if (!parse_number(argv[i + 1], number) || *number < 0 || *number > MOST_PAGES)
                return false;
        } else if (strcmp(argv[i], "--region") != 0 || (plan->kind = parse_kind(argv[i + 1])) == 0) {
            return false;
        }
    }
    if (plan->child < 0)
        plan->child = plan->pages;
    int wishes[] = {plan->pages, plan->child, plan->parent};
    for (int i = 0; i < 3; i++)
        if (plan->mapped < wishes[i])
            plan->mapped = wishes[i];
    return true;
}

/* Prepares the region and the stack, then runs the plan. */
int main(int argc, char* argv[]) {
    struct plan plan;

    if (!parse(argc, argv, &plan)) {
        dprintf(STDERR, "usage: forkdemo [--pages N] [--child N] [--parent M] [--region shared|private|exclusive]\n");
        return 2;
    }
    char* region =
        mmap(NULL, (unsigned)plan.mapped * PAGE_BYTES, PROT_READ | PROT_WRITE, plan.kind | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) {
        complain("forkdemo", "region");
        return 1;
    }
    write_pages(region, plan.mapped, MARK_ORIGINAL);
    touch_stack();
    return run(region, &plan);
}
