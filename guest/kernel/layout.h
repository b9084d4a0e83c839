/* Owns: where things lie in the virtual address space. The same in every process, on every personality.
 * Callers: the whole kernel, and servers. Promises: nothing overlaps. */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#include "guest/abi/layout.h"

#include <stdbool.h>
#include <stdint.h>

/*   0x00010000 .. 0xBFFFFFFF  user
 *   0xC0000000 .. 0xDFFFFFFF  physical memory, linearly (at most 512 MB); the kernel image lies at 0xC0100000
 *   0xFF000000 .. 0xFF3FFFFF  kernel stacks of this process's threads: *private* to each address space
 *   0xFF800000 .. 0xFFBFFFFF  window on a mounted address space's page tables
 *   0xFFC00000 .. 0xFFFFFFFF  window on our own page tables */

#define USER_BASE 0x00010000u
#define USER_MMAP_BASE 0x40000000u
#define USER_MMAP_TOP 0xB0000000u

/* Says whether so many bytes, from a page boundary on, lie in the user half. */
static inline bool is_page_range(uint32_t start, uint32_t bytes) {
    return start % 4096 == 0 && start >= USER_BASE && start < USER_TOP && bytes <= USER_TOP - start;
}

#define LINEAR_BYTES 0x20000000u

#define KSTACK_AREA 0xFF000000u
#define KSTACK_SIZE 0x00004000u /* per thread: a guard page, then three pages of stack */
#define KSTACK_LIMIT 256u       /* threads in one process at most */

#define VMS_MOUNT_1 0xFF800000u
#define VMS_SELF 0xFFC00000u

#endif
