/* Owns: zones, from which the kernel's own objects come: one per kind of object, each over the mechanism's heap. Every
 * file of the personality calls. Promises: objects are cleared; if out of memory, uma_zalloc() returns NULL. */
#ifndef FREEBSD_UMA_H
#define FREEBSD_UMA_H

#include "guest/kernel/memory/heap.h"

struct uma_zone {
    const char* uz_name;
    size_t uz_size;   /* bytes of one object */
    unsigned uz_used; /* objects that are out */
};

/* Allocates a cleared object; NULL if out of memory. */
static inline void* uma_zalloc(struct uma_zone* zone) {
    void* item = kzalloc(zone->uz_size);
    zone->uz_used += item != NULL ? 1 : 0;
    return item;
}

/* Frees an object. */
static inline void uma_zfree(struct uma_zone* zone, void* item) {
    zone->uz_used--;
    kfree(item);
}

#endif
