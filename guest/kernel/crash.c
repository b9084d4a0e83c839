#include "guest/kernel/crash.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/print.h"
#include "guest/kernel/string.h"

#define WILD_ADDRESS 0xDEAD0000u

static volatile unsigned sum; /* keeps the compiler from dropping what is not used */

/* Eats the kernel stack until its guard page is reached. */
static unsigned overrun(unsigned depth) {
    volatile char frame[256];
    frame[0] = (char)depth;
    return depth < 1000 ? overrun(depth + 1) + (unsigned)frame[0] : 0;
}

void crash_if_asked(void) {
    char way[16];
    if (!boot_option("crash", way, sizeof(way))) {
        return;
    }
    if (strcmp(way, "fault") == 0) {
        *(volatile unsigned*)WILD_ADDRESS = 1;
    } else if (strcmp(way, "overrun") == 0) {
        sum = overrun(0);
    } else if (strcmp(way, "divide") == 0) {
        sum = 100 / sum;
    } else {
        KERNEL_ASSERT(strcmp(way, "assert") != 0);
    }
    printk("crash=%s: unknown; try fault, overrun, assert or divide\n", way);
}
