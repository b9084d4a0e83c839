#include "guest/kernel/memory/frames.h"
#include "guest/abi/trace.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"

#define FRAME_STATE_RESERVED 0 /* never ours */
#define FRAME_STATE_FREE 1     /* first frame of a free block */
#define FRAME_STATE_USED 2     /* first frame of a block in use */
#define FRAME_STATE_TAIL 3     /* later frame of a block, free or in use */
#define NOBODY 0xFFFFFFFFu

static struct frame* frames; /* one per frame of RAM, by page number */
static uint32_t frame_limit;
static uint32_t free_lists[FRAME_ORDER_LIMIT + 1];
static unsigned frames_total, frames_free, frames_kernel, frames_shared;

/* Returns the page number of a descriptor. */
static uint32_t index_of(const struct frame* block) { return (uint32_t)(block - frames); }

/* Puts a block at the front of its free list. */
static void list_block(uint32_t index, unsigned order) {
    struct frame* block = &frames[index];
    block->state = FRAME_STATE_FREE;
    block->order = (uint8_t)order;
    block->previous = NOBODY;
    block->next = free_lists[order];
    if (block->next != NOBODY) {
        frames[block->next].previous = index;
    }
    free_lists[order] = index;
}

/* Removes a block from its free list. */
static void unlist_block(uint32_t index) {
    struct frame* block = &frames[index];
    if (block->previous != NOBODY) {
        frames[block->previous].next = block->next;
    } else {
        free_lists[block->order] = block->next;
    }
    if (block->next != NOBODY) {
        frames[block->next].previous = block->previous;
    }
    block->state = FRAME_STATE_TAIL;
}

/* Frees a block, merging it with its buddy as long as the buddy is free and whole. */
static void free_block(uint32_t index, unsigned order) {
    frames[index].state = FRAME_STATE_TAIL;
    while (order < FRAME_ORDER_LIMIT) {
        uint32_t buddy = index ^ (1u << order);
        if (buddy >= frame_limit || frames[buddy].state != FRAME_STATE_FREE || frames[buddy].order != order) {
            break;
        }
        unlist_block(buddy);
        index &= ~(1u << order);
        order++;
    }
    list_block(index, order);
}

/* Frees a run of frames in the largest aligned blocks that fit; frames_init() calls it. */
static void add_run(uint32_t first, uint32_t end) {
    frames_total += end - first;
    frames_free += end - first;
    while (first < end) {
        unsigned order = 0;
        while (order < FRAME_ORDER_LIMIT && (first & ((2u << order) - 1)) == 0 && first + (2u << order) <= end) {
            order++;
        }
        free_block(first, order);
        first += 1u << order;
    }
}

/* Frees a range of RAM around everything that boot_info reserves; frames_init() calls it. */
static void add_range(phys_t start, phys_t end) {
    while (start < end) {
        phys_t stop = end, resume = end;
        for (unsigned i = 0; i < boot_info.reserved_count; i++) {
            const struct memory_range* taken = &boot_info.reserved[i];
            if (taken->start < stop && taken->end > start) {
                stop = taken->start > start ? taken->start : start;
                resume = taken->end;
            }
        }
        if (stop > start) {
            add_run(pfn(start), pfn(stop));
        }
        start = resume;
    }
}

void frames_init(void) {
    frame_limit = pfn(boot_info.ram_top);
    uint32_t bytes = frame_limit * sizeof(struct frame);
    frames = phys_to_pointer(boot_alloc(bytes));
    memset(frames, 0, bytes);
    for (unsigned order = 0; order <= FRAME_ORDER_LIMIT; order++) {
        free_lists[order] = NOBODY;
    }
    for (unsigned i = 0; i < boot_info.usable_count; i++) {
        add_range(boot_info.usable[i].start, boot_info.usable[i].end);
    }
}

/* Emits one tracepoint for every frame of a block. */
static void trace_block(unsigned id, const struct frame* block) {
    for (unsigned i = 0; trace_listening && i < frame_pages(block); i++) {
        trace(id, frame_address(block) + i * PAGE_BYTES, block->references, block->use);
    }
}

struct frame* frame_alloc(unsigned order, unsigned use) {
    if (fail_due()) {
        return NULL;
    }
    unsigned found = order;
    while (found <= FRAME_ORDER_LIMIT && free_lists[found] == NOBODY) {
        found++;
    }
    if (found > FRAME_ORDER_LIMIT) {
        refusals_since_boot++;
        return NULL;
    }
    uint32_t index = free_lists[found];
    unlist_block(index);
    while (found > order) {
        found--;
        list_block(index + (1u << found), found);
    }
    struct frame* block = &frames[index];
    for (uint32_t i = 1; i < 1u << order; i++) {
        block[i].state = FRAME_STATE_TAIL;
        block[i].next = index;
    }
    block->state = FRAME_STATE_USED;
    block->order = (uint8_t)order;
    block->use = (uint8_t)use;
    block->references = 1;
    frames_free -= 1u << order;
    frames_kernel += use != FRAME_USER ? 1u << order : 0;
    trace_block(TP_FRAME_ALLOC, block);
    return block;
}

void frame_share(struct frame* block) {
    KERNEL_ASSERT(block->state == FRAME_STATE_USED);
    block->references++;
    if (block->references == 2) {
        frames_shared += frame_pages(block);
    }
    trace_block(TP_FRAME_SHARE, block);
}

void frame_release(struct frame* block) {
    KERNEL_ASSERT(block->state == FRAME_STATE_USED && block->references > 0);
    block->references--;
    if (block->references == 1) {
        frames_shared -= frame_pages(block);
    }
    if (block->references > 0) {
        trace_block(TP_FRAME_RELEASE, block);
        return;
    }
    trace_block(TP_FRAME_FREE, block);
    frames_free += frame_pages(block);
    frames_kernel -= block->use != FRAME_USER ? frame_pages(block) : 0;
    free_block(index_of(block), block->order);
}

struct frame* frame_copy(struct frame* block) {
    struct frame* copy = frame_alloc(block->order, block->use);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(frame_pointer(copy), frame_pointer(block), frame_pages(block) * PAGE_BYTES);
    for (unsigned i = 0; trace_listening && i < frame_pages(block); i++) {
        trace(TP_FRAME_COPY, frame_address(block) + i * PAGE_BYTES, frame_address(copy) + i * PAGE_BYTES, block->use);
    }
    return copy;
}

struct frame* frame_of(phys_t address) {
    KERNEL_ASSERT(pfn(address) < frame_limit);
    struct frame* frame = &frames[pfn(address)];
    if (frame->state == FRAME_STATE_TAIL) {
        frame = &frames[frame->next];
    }
    KERNEL_ASSERT(frame->state == FRAME_STATE_USED);
    return frame;
}

phys_t frame_address(const struct frame* block) { return page_addr(index_of(block)); }

void* frame_pointer(const struct frame* block) { return phys_to_pointer(frame_address(block)); }

unsigned frame_pages(const struct frame* block) { return 1u << block->order; }

void frames_count(struct meminfo* info) {
    info->page_bytes = PAGE_BYTES;
    info->frames_total = frames_total;
    info->frames_free = frames_free;
    info->frames_kernel = frames_kernel;
    info->frames_shared = frames_shared;
}
