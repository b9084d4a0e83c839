/* free: shows how much memory there is, and what forks did with it. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* Asks the kernel and prints frames and KiB. */
int main(void) {
    struct meminfo memory;

    if (meminfo(&memory) < 0) {
        complain("free", "memory information");
        return 1;
    }
    unsigned frame_kib = memory.page_bytes / 1024;
    printf("          frames       KiB\n");
    printf("total   %8u  %8u\n", memory.frames_total, memory.frames_total * frame_kib);
    printf("free    %8u  %8u\n", memory.frames_free, memory.frames_free * frame_kib);
    printf("kernel  %8u  %8u\n", memory.frames_kernel, memory.frames_kernel * frame_kib);
    printf("shared  %8u  %8u\n", memory.frames_shared, memory.frames_shared * frame_kib);
    printf("since boot: %u forks, %u page faults, %u frames copied on write\n", memory.forks, memory.faults,
           memory.cow_copies);
    return 0;
}
