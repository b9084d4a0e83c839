#include "guest/kernel/memory/fail.h"
#include "guest/kernel/personality.h"

unsigned refusals_since_boot;

static unsigned still_to_come; /* 0: no order, or it has fired */

unsigned fail_order(unsigned k) {
    unsigned left = still_to_come;
    still_to_come = k;
    failing_ordered();
    return left;
}

bool fail_is_ordered(void) { return still_to_come != 0; }

bool fail_due(void) {
    if (still_to_come == 0) {
        return false;
    }
    still_to_come--;
    refusals_since_boot += still_to_come == 0 ? 1 : 0;
    return still_to_come == 0;
}
