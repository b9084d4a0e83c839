/* Owns: the heap: one list of blocks in address order, free ones joined with their free neighbours. First fit. */
#include <stdint.h>

#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/lib/thread.h"

#define MINIMUM_GROWTH (4 * PAGE_BYTES)

/* A block's head; its memory follows. Heads are 16 bytes, so that memory is aligned to 16. */
struct block {
    size_t bytes; /* of the memory, without this head */
    struct block* next;
    struct block* previous;
    unsigned taken;
};

static struct block* first_block;
static struct block* last_block;
static struct spinlock heap_lock;

/* Joins a free block with the block after it, if that is free too and nothing lies between. */
static void join_with_next(struct block* block) {
    struct block* next = block->next;

    if (next == NULL || block->taken || next->taken || (char*)(block + 1) + block->bytes != (char*)next)
        return;
    block->bytes += sizeof *next + next->bytes;
    block->next = next->next;
    if (next->next != NULL)
        next->next->previous = block;
    else
        last_block = block;
}

/* Cuts a block so that its memory is `bytes` long, if the rest is big enough to be a block of its own. */
static void split(struct block* block, size_t bytes) {
    if (block->bytes < bytes + sizeof *block + 16)
        return;
    struct block* rest = (struct block*)((char*)(block + 1) + bytes);
    *rest = (struct block){block->bytes - bytes - sizeof *rest, block->next, block, 0};
    if (block->next != NULL)
        block->next->previous = rest;
    else
        last_block = rest;
    block->next = rest;
    block->bytes = bytes;
}

/* Gets a new block of at least `bytes` from the kernel and appends it; returns NULL if there is no memory. */
static struct block* grow(size_t bytes) {
    size_t wanted = (bytes + sizeof(struct block) + MINIMUM_GROWTH - 1) / MINIMUM_GROWTH * MINIMUM_GROWTH;
    uintptr_t end = (uintptr_t)sbrk(0);
    size_t skipped = -end % 16;

    if (wanted < bytes || wanted > INT32_MAX || sbrk((int)(wanted + skipped)) == MAP_FAILED)
        return NULL;
    struct block* block = (struct block*)(end + skipped);
    *block = (struct block){wanted - sizeof *block, NULL, last_block, 0};
    if (last_block != NULL)
        last_block->next = block;
    else
        first_block = block;
    last_block = block;
    if (block->previous != NULL && !block->previous->taken) {
        block = block->previous;
        join_with_next(block);
    }
    return block;
}

/* Takes `bytes` of memory, aligned to 16; returns NULL with ENOMEM if there is none. */
void* malloc(size_t bytes) {
    struct block* block;

    if (bytes > INT32_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    bytes = bytes == 0 ? 16 : (bytes + 15) & ~(size_t)15;
    spinlock_take(&heap_lock);
    for (block = first_block; block != NULL; block = block->next)
        if (!block->taken && block->bytes >= bytes)
            break;
    if (block == NULL)
        block = grow(bytes);
    if (block != NULL) {
        split(block, bytes);
        block->taken = 1;
    }
    spinlock_give(&heap_lock);
    return block != NULL ? block + 1 : NULL;
}

/* Frees memory; NULL is allowed. */
void free(void* memory) {
    if (memory == NULL)
        return;
    struct block* block = (struct block*)memory - 1;
    spinlock_take(&heap_lock);
    block->taken = 0;
    join_with_next(block);
    if (block->previous != NULL)
        join_with_next(block->previous);
    spinlock_give(&heap_lock);
}

/* Changes the size of a piece of memory, which may move; on failure the old piece stays as it is. */
void* realloc(void* old, size_t bytes) {
    if (old == NULL)
        return malloc(bytes);
    struct block* block = (struct block*)old - 1;
    if (block->bytes >= bytes)
        return old;
    void* memory = malloc(bytes);
    if (memory == NULL)
        return NULL;
    memcpy(memory, old, block->bytes);
    free(old);
    return memory;
}
