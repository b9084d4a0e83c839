/* Resident pages: the array of all of them, and the hash by which an object finds its own. */
#include "guest/personality/freebsd/vm_page.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/personality/freebsd/pmap_freebsd.h"
#include "guest/personality/freebsd/vm_object.h"

#define PAGES_PER_BUCKET 4u

static struct vm_page* vm_page_array;
static struct vm_page** vm_page_buckets;
static uint32_t vm_page_hash_mask;

void vm_page_startup(void) {
    uint32_t pages = pfn(boot_info.ram_top), buckets = 1;
    while (buckets < pages / PAGES_PER_BUCKET) {
        buckets *= 2;
    }
    vm_page_array = kzalloc(pages * sizeof(*vm_page_array));
    vm_page_buckets = kzalloc(buckets * sizeof(*vm_page_buckets));
    if (vm_page_array == NULL || vm_page_buckets == NULL) {
        panic("too little memory for the array of pages");
    }
    vm_page_hash_mask = buckets - 1;
}

/* Returns the bucket of an object's page. */
static struct vm_page** vm_page_hash(const struct vm_object* object, vm_pindex_t pindex) {
    return &vm_page_buckets[(((uint32_t)object >> 6) + pindex) & vm_page_hash_mask];
}

/* Puts a page into an object. */
static void vm_page_insert(struct vm_page* page, struct vm_object* object, vm_pindex_t pindex) {
    struct vm_page** bucket = vm_page_hash(object, pindex);
    page->object = object;
    page->pindex = pindex;
    page->hash_next = *bucket;
    *bucket = page;
    list_append(&object->memq, &page->listq);
    object->resident_page_count++;
}

/* Removes a page from its object. */
static void vm_page_remove(struct vm_page* page) {
    struct vm_page** place = vm_page_hash(page->object, page->pindex);
    while (*place != page) {
        place = &(*place)->hash_next;
    }
    *place = page->hash_next;
    list_remove(&page->listq);
    page->object->resident_page_count--;
    page->object = NULL;
}

struct vm_page* vm_page_alloc(struct vm_object* object, vm_pindex_t pindex) {
    struct frame* frame = frame_alloc(0, FRAME_USER);
    if (frame == NULL) {
        return NULL;
    }
    struct vm_page* page = vm_page_of(frame_address(frame));
    KERNEL_ASSERT(page->object == NULL && page->pv_count == 0);
    vm_page_insert(page, object, pindex);
    return page;
}

void vm_page_free(struct vm_page* page) {
    pmap_remove_all(page);
    vm_page_remove(page);
    frame_release(vm_page_frame(page));
}

struct vm_page* vm_page_lookup(const struct vm_object* object, vm_pindex_t pindex) {
    struct vm_page* page = *vm_page_hash(object, pindex);
    while (page != NULL && (page->object != object || page->pindex != pindex)) {
        page = page->hash_next;
    }
    return page;
}

void vm_page_rename(struct vm_page* page, struct vm_object* object, vm_pindex_t pindex) {
    vm_page_remove(page);
    vm_page_insert(page, object, pindex);
}

struct vm_page* vm_page_of(phys_t address) {
    return &vm_page_array[pfn(address)];
}

struct frame* vm_page_frame(const struct vm_page* page) {
    return frame_of(page_addr((pfn_t)(page - vm_page_array)));
}
