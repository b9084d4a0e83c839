/* Owns: the resident pages: one struct vm_page for each frame of RAM, found by its object and index through a hash.
 * vm_object.c, vm_fault.c and pmap_freebsd.c call. Promises: a page in an object owns its frame; the frame's reference
 * count is the number of its mappings, and one where it has none. */
#ifndef FREEBSD_VM_PAGE_H
#define FREEBSD_VM_PAGE_H

#include "guest/kernel/memory/frames.h"
#include "guest/kernel/types.h"

struct pv_entry;
struct vm_object;

typedef uint32_t vm_pindex_t; /* a page's number in its object */

struct vm_page {
    struct list listq;         /* in the object's memq */
    struct vm_page* hash_next; /* in its bucket */
    struct vm_object* object;  /* NULL: no object's page */
    vm_pindex_t pindex;
    struct pv_entry* pv_list; /* where it is mapped */
    unsigned pv_count;
};

/* Makes the array of pages and the hash; personality_init() calls it. Panics if out of memory. */
void vm_page_startup(void);
/* Allocates a frame, not cleared, for a page that its object does not have yet. NULL if out of memory. */
struct vm_page* vm_page_alloc(struct vm_object* object, vm_pindex_t pindex);
/* Removes a page from its object and from every address space, and frees its frame. */
void vm_page_free(struct vm_page* page);
/* Finds a resident page of an object; NULL if there is none. */
struct vm_page* vm_page_lookup(const struct vm_object* object, vm_pindex_t pindex);
/* Moves a page to another object, its mappings included; a collapse calls it, and a fault that need not copy. */
void vm_page_rename(struct vm_page* page, struct vm_object* object, vm_pindex_t pindex);
/* Returns the page of a frame. */
struct vm_page* vm_page_of(phys_t address);
/* Returns the frame of a page. */
struct frame* vm_page_frame(const struct vm_page* page);

#endif
