/* Owns: physical memory above 1 MB, in blocks of 2^order frames, each block with one reference count. Kernel and
 * personalities call. Promises: a block is freed when its last reference goes, buddies merge, every step is a
 * tracepoint; if out of memory, frame_alloc() returns NULL and nothing else happens. */
#ifndef KERNEL_FRAMES_H
#define KERNEL_FRAMES_H

#include "guest/abi/syscalls.h"
#include "guest/abi/tracepoints.h"
#include "guest/kernel/types.h"

struct frame {
    uint32_t references;
    uint32_t next, previous; /* free blocks: neighbours on the list; later frames of a block: next = its first frame */
    uint8_t state;           /* FRAME_STATE_* */
    uint8_t order;
    uint8_t use; /* FRAME_USER ... of abi/tracepoints.h */
};

#define FRAME_ORDER_LIMIT 10u

/* Gives the allocator all RAM that boot_info does not reserve; kernel_main() calls it once. */
void frames_init(void);
/* Allocates 2^order frames, not cleared, with one reference. NULL if out of memory. */
struct frame* frame_alloc(unsigned order, unsigned use);
/* Takes one more reference on a block that is in use. */
void frame_share(struct frame* block);
/* Releases one reference; the last one frees the block. */
void frame_release(struct frame* block);
/* Allocates a block of the same size and use and copies the bytes. NULL if out of memory. */
struct frame* frame_copy(struct frame* block);
/* Returns the block that a physical address belongs to, which must be in use. */
struct frame* frame_of(phys_t address);
/* Returns the physical address at which a block begins. */
phys_t frame_address(const struct frame* block);
/* Returns where the kernel's linear map shows a block. */
void* frame_pointer(const struct frame* block);
/* Returns how many frames a block has. */
unsigned frame_pages(const struct frame* block);
/* Fills in the frame counts of a meminfo. */
void frames_count(struct meminfo* info);

#endif
