/* uptime: shows the time since boot. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* Prints the time and how many processes there are. */
int main(void) {
    unsigned now = uptime_ms();
    struct procinfo process;
    int count = 0;

    while (procinfo(count, &process) == 1)
        count++;
    printf("up %u:%02u:%02u.%03u, %d processes\n", now / 3600000, now / 60000 % 60, now / 1000 % 60, now % 1000, count);
    return 0;
}
