/* Owns: the order to fail: one allocation of kernel memory that must be refused though there is memory.
 * frame_alloc() and kmalloc() ask at each request; the system call failalloc and the boot word failalloc=K order.
 * Promises: without an order a request costs one test; an order strikes once. */
#ifndef KERNEL_FAIL_H
#define KERNEL_FAIL_H

#include "guest/kernel/types.h"

/* Lets the k-th request from now on fail, once; 0 takes the order back. Returns how many requests the last order still
 * had to wait for, 0 where it has struck. A kmalloc() that needs a new page is two requests: its own and the frame. */
unsigned fail_order(unsigned k);
/* Says whether an order waits for its request. */
bool fail_is_ordered(void);
/* How many requests were refused since boot, by order or because there was no memory. */
extern unsigned refusals_since_boot;
/* Counts one request; says whether it is the one that must fail. */
bool fail_due(void);

#endif
