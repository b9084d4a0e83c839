/* Owns: the order to fail: one allocation of kernel memory that is refused although there is memory. frame_alloc() and
 * kmalloc() ask at each request; the system call failalloc and the boot word failalloc=K order. Promises: without an
 * order a request costs one test; an order fires once. */
#ifndef KERNEL_FAIL_H
#define KERNEL_FAIL_H

#include "guest/kernel/types.h"

/* Makes the k-th request from now on fail, once; 0 cancels the order. Returns how many requests the previous order
 * still had to wait for (0: it has fired). A kmalloc() that needs a new page is two requests: its own, the frame's. */
unsigned fail_order(unsigned k);
/* Says whether an order is pending; MINIX asks, whose servers have memory of their own. */
bool fail_is_ordered(void);
/* How many requests were refused since boot, by order or because there was no memory. */
extern unsigned refusals_since_boot;
/* Counts one request. frame_alloc() and kmalloc() call it first and return NULL if it says true. */
bool fail_due(void);

#endif
