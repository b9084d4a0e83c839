/* kill: sends a signal, TERM unless told otherwise: kill [-NUMBER | -NAME] PID... */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* Finds a signal by number or name, with or without SIG; returns -1 if there is none. */
static int parse_signal(const char* text) {
    int number;

    if (parse_number(text, &number))
        return number >= 0 && number < NSIG ? number : -1;
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    for (number = 1; number < NSIG; number++)
        if (strcmp(text, signal_name(number)) == 0)
            return number;
    return -1;
}

/* Sends the signal to each process named. */
int main(int argc, char* argv[]) {
    int signal = SIGTERM;
    int first = 1;
    int failed = 0;

    if (argc > 1 && argv[1][0] == '-') {
        signal = parse_signal(argv[1] + 1);
        first = 2;
    }
    if (signal < 0 || first >= argc) {
        dprintf(STDERR, "usage: kill [-SIGNAL] PID...\n");
        return 2;
    }
    for (int i = first; i < argc; i++) {
        int pid;
        if (!parse_number(argv[i], &pid)) {
            dprintf(STDERR, "kill: %s: not a process id\n", argv[i]);
            failed = 1;
        } else if (kill(pid, signal) < 0) {
            complain("kill", argv[i]);
            failed = 1;
        }
    }
    return failed;
}
