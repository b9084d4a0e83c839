#include "guest/kernel/memory/fail.h"
#include "guest/kernel/personality.h"

unsigned refusals_since_boot;

static unsigned still_to_come; /* 0: no order, or it has struck */

/* Replaces the order; the system call and the start of init call it. Returns what was left of the last one. */
unsigned fail_order(unsigned k) {
    unsigned left = still_to_come;
    still_to_come = k;
    failing_ordered();
    return left;
}

/* Says whether an order waits; a personality asks for servers that have memory of their own. */
bool fail_is_ordered(void) { return still_to_come != 0; }

/* Counts one request; frame_alloc() and kmalloc() call it first and return NULL where it says true. */
bool fail_due(void) {
    if (still_to_come == 0) {
        return false;
    }
    still_to_come--;
    refusals_since_boot += still_to_come == 0 ? 1 : 0;
    return still_to_come == 0;
}
