/* ps: shows all processes. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* Returns the word for a process's state. */
static const char* state_word(unsigned state) {
    switch (state) {
    case PROC_RUNNING:
        return "running";
    case PROC_READY:
        return "ready";
    case PROC_BLOCKED:
        return "blocked";
    case PROC_ZOMBIE:
        return "zombie";
    default:
        return "?";
    }
}

/* Asks the kernel for one process after the other. */
int main(void) {
    struct procinfo process;
    int got;

    printf("  PID  PPID STATE   THREADS   PAGES   TICKS NAME\n");
    for (int index = 0; (got = procinfo(index, &process)) == 1; index++)
        printf("%5d %5d %-7s %7u %7u %7u %.32s\n", process.pid, process.parent, state_word(process.state),
               process.threads, process.pages, process.ticks, process.name);
    if (got < 0)
        complain("ps", "process list");
    return got < 0;
}
