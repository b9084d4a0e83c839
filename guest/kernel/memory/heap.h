/* Owns: kernel objects. Anybody in the kernel calls. Promises: an empty page goes back to the frame allocator at once,
 * so that the count of free frames is exact; if out of memory, kmalloc() returns NULL. */
#ifndef KERNEL_HEAP_H
#define KERNEL_HEAP_H

#include "guest/kernel/types.h"

/* Allocates bytes, not cleared, aligned to 16; more than 1024 bytes take whole pages. NULL if out of memory. */
void* kmalloc(size_t bytes);
/* The same, cleared. */
void* kzalloc(size_t bytes);
/* Frees memory; NULL is allowed. */
void kfree(void* memory);

#endif
