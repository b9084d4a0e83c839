#include "guest/kernel/memory/heap.h"
#include "guest/abi/trace.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"

#define SMALLEST_SHIFT 5u /* 32 bytes */
#define CLASS_COUNT 6u    /* 32, 64, 128, 256, 512, 1024 */
#define LARGEST_OBJECT (1u << (SMALLEST_SHIFT + CLASS_COUNT - 1))

/* A page of objects of one size; the header lies at the page's start, free objects are chained through themselves. */
struct slab {
    struct list link; /* among the pages of the class that have room */
    void* first_free;
    uint16_t used;
    uint16_t size_class;
};
#define SLAB_HEADER 32u

static struct list classes[CLASS_COUNT];
static bool classes_ready;

/* Makes a new page of objects for a class; NULL if out of memory. */
static struct slab* slab_create(unsigned size_class) {
    struct frame* frame = frame_alloc(0, FRAME_HEAP);
    if (frame == NULL) {
        return NULL;
    }
    struct slab* slab = frame_pointer(frame);
    unsigned bytes = 1u << (SMALLEST_SHIFT + size_class);
    slab->used = 0;
    slab->size_class = (uint16_t)size_class;
    slab->first_free = NULL;
    for (unsigned at = PAGE_BYTES - bytes; at >= SLAB_HEADER; at -= bytes) {
        void** object = (void**)((char*)slab + at);
        *object = slab->first_free;
        slab->first_free = object;
    }
    list_append(&classes[size_class], &slab->link);
    return slab;
}

/* Allocates whole pages; the page-aligned address tells kfree() so. NULL if out of memory. */
static void* allocate_pages(size_t bytes) {
    unsigned order = 0;
    while (order < FRAME_ORDER_LIMIT && (PAGE_BYTES << order) < bytes) {
        order++;
    }
    if ((PAGE_BYTES << order) < bytes) {
        return NULL;
    }
    struct frame* block = frame_alloc(order, FRAME_HEAP);
    if (block == NULL) {
        return NULL;
    }
    trace(TP_HEAP_ALLOC, (ptr_t)frame_pointer(block), PAGE_BYTES << order, 0);
    return frame_pointer(block);
}

/* Returns how many bytes an object of a page takes. */
static unsigned object_bytes(const struct slab* slab) { return 1u << (SMALLEST_SHIFT + slab->size_class); }

void* kmalloc(size_t bytes) {
    if (fail_due()) {
        return NULL;
    }
    if (bytes > LARGEST_OBJECT) {
        return allocate_pages(bytes);
    }
    for (unsigned i = 0; !classes_ready && i < CLASS_COUNT; i++) {
        list_init(&classes[i]);
    }
    classes_ready = true;
    unsigned size_class = 0;
    while ((1u << (SMALLEST_SHIFT + size_class)) < bytes) {
        size_class++;
    }
    struct slab* slab = list_empty(&classes[size_class]) ? slab_create(size_class)
                                                         : container_of(classes[size_class].next, struct slab, link);
    if (slab == NULL) {
        return NULL;
    }
    void** object = slab->first_free;
    slab->first_free = *object;
    slab->used++;
    if (slab->first_free == NULL) {
        list_remove(&slab->link);
    }
    trace(TP_HEAP_ALLOC, (ptr_t)object, object_bytes(slab), 0);
    return object;
}

void* kzalloc(size_t bytes) {
    void* memory = kmalloc(bytes);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

void kfree(void* memory) {
    if (memory == NULL) {
        return;
    }
    ptr_t page = page_down((ptr_t)memory);
    if (page == (ptr_t)memory) {
        struct frame* block = frame_of(page - KERNEL_BASE);
        trace(TP_HEAP_FREE, page, frame_pages(block) * PAGE_BYTES, 0);
        frame_release(block);
        return;
    }
    struct slab* slab = (struct slab*)page;
    KERNEL_ASSERT(slab->used > 0 && slab->size_class < CLASS_COUNT);
    trace(TP_HEAP_FREE, (ptr_t)memory, object_bytes(slab), 0);
    if (slab->first_free == NULL) {
        list_append(&classes[slab->size_class], &slab->link);
    }
    *(void**)memory = slab->first_free;
    slab->first_free = memory;
    slab->used--;
    if (slab->used == 0) {
        list_remove(&slab->link);
        frame_release(frame_of(page - KERNEL_BASE));
    }
}
