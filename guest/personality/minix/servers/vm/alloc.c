/* VM's own memory: slabs of equal objects, and runs of pages for what is larger. The pages come from the kernel and go
 * back as soon as they are empty, so that the count of free frames is exact. */
#include "guest/personality/minix/servers/vm/vm.h"
#include "guest/user/lib/string.h"

#define HEAP_PAGES_LIMIT 16384u /* 64 MB, an eighth of the most memory that there can be */
#define SLAB_HEADER 32u

static const uint16_t slab_sizes[] = {16, 24, 32, 48, 64, 96, 128, 256, 504, 1008, 1352, 2032};
#define SLAB_SIZES (sizeof(slab_sizes) / sizeof(slab_sizes[0]))

/* A page of objects of one size; free ones are chained through themselves. */
struct slabdata {
    struct slabdata *next, *previous; /* among the pages of its size that have room */
    void* first_free;
    uint16_t used;
    uint16_t size_index;
};

static struct slabdata* slabs[SLAB_SIZES];
static uint32_t page_used[HEAP_PAGES_LIMIT / 32]; /* one bit a page of the heap */
static vir_bytes heap_base;
static unsigned heap_pages;
static bool failing_ordered; /* one of our allocations may have to fail */

/* Learns from the kernel where VM's heap may be; main() calls it once. */
void alloc_init(void) {
    message m = {0};
    int r = sys_vmctl(SELF, VMCTL_OWNHEAP, &m);
    if (r != OK)
        panic("VM: no memory for its heap: error %d", -r);
    heap_base = m.SVMCTL_ADDR;
    heap_pages = m.SVMCTL_COUNT < HEAP_PAGES_LIMIT ? m.SVMCTL_COUNT : HEAP_PAGES_LIMIT;
}

/* Says whether a page of the heap is taken. */
static bool is_used(unsigned page) { return (page_used[page / 32] & (1u << page % 32)) != 0; }

/* Notes that pages of the heap are taken, or free. */
static void mark(unsigned page, unsigned count, bool used) {
    for (; count > 0; page++, count--) {
        uint32_t bit = 1u << page % 32;
        page_used[page / 32] = used ? page_used[page / 32] | bit : page_used[page / 32] & ~bit;
    }
}

/* Finds the lowest run of free pages of the heap; heap_pages where there is none. */
static unsigned find_pages(unsigned count) {
    unsigned run = 0;
    for (unsigned page = 0; page < heap_pages; page++) {
        if (run == 0 && page % 32 == 0 && page_used[page / 32] == 0xFFFFFFFFu) {
            page += 31;
            continue;
        }
        run = is_used(page) ? 0 : run + 1;
        if (run == count)
            return page + 1 - count;
    }
    return heap_pages;
}

/* Allocates cleared pages, one after another in VM's space; NULL if out of memory. */
static void* vm_allocpages(unsigned count) {
    unsigned page = find_pages(count);
    if (page == heap_pages)
        return NULL;
    message m = {.SVMCTL_ADDR = heap_base + page * VM_PAGE_SIZE, .SVMCTL_COUNT = count};
    if (sys_vmctl(SELF, VMCTL_ALLOCPAGES, &m) != OK)
        return NULL;
    mark(page, count, true);
    return (void*)(heap_base + page * VM_PAGE_SIZE);
}

/* Returns pages to the kernel. */
static void vm_freepages(void* memory, unsigned count) {
    message m = {.SVMCTL_ADDR = (vir_bytes)memory, .SVMCTL_COUNT = count};
    int r = sys_vmctl(SELF, VMCTL_FREEPAGES, &m);
    SERVER_ASSERT(r == OK);
    mark(((vir_bytes)memory - heap_base) / VM_PAGE_SIZE, count, false);
}

/* Returns which size of slab an object needs; SLAB_SIZES where it needs whole pages. */
static unsigned size_index(size_t bytes) {
    unsigned index = 0;
    while (index < SLAB_SIZES && slab_sizes[index] < bytes)
        index++;
    return index;
}

/* Puts a page at the front of those of its size that have room. */
static void list_slab(struct slabdata* slab) {
    struct slabdata** first = &slabs[slab->size_index];
    slab->previous = NULL;
    slab->next = *first;
    if (*first != NULL)
        (*first)->previous = slab;
    *first = slab;
}

/* Removes a page from those that have room. */
static void unlist_slab(struct slabdata* slab) {
    if (slab->previous != NULL)
        slab->previous->next = slab->next;
    else
        slabs[slab->size_index] = slab->next;
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
}

/* Makes a new page of objects of one size; NULL if out of memory. */
static struct slabdata* newslabdata(unsigned index) {
    struct slabdata* slab = vm_allocpages(1);
    if (slab == NULL)
        return NULL;
    unsigned bytes = slab_sizes[index];
    slab->size_index = (uint16_t)index;
    for (unsigned at = SLAB_HEADER; at + bytes <= VM_PAGE_SIZE; at += bytes) {
        void** object = (void**)((char*)slab + at);
        *object = slab->first_free;
        slab->first_free = object;
    }
    list_slab(slab);
    return slab;
}

/* Asks the kernel whether one of the coming allocations is to fail; main() calls it when the kernel has notified us. */
void alloc_learn_order(void) { failing_ordered = sys_getinfo(GET_FAIL_ORDERED, 0) > 0; }

/* Allocates cleared memory; NULL if there is none, or where it is this one that was ordered to fail. */
void* slaballoc(size_t bytes) {
    unsigned index = size_index(bytes);
    void* memory;
    if (failing_ordered && sys_getinfo(GET_FAIL_DUE, 0) > 0)
        return NULL;
    if (index == SLAB_SIZES) {
        memory = vm_allocpages((bytes + VM_PAGE_SIZE - 1) / VM_PAGE_SIZE);
    } else {
        struct slabdata* slab = slabs[index] != NULL ? slabs[index] : newslabdata(index);
        if (slab == NULL)
            return NULL;
        memory = slab->first_free;
        slab->first_free = *(void**)memory;
        slab->used++;
        if (slab->first_free == NULL)
            unlist_slab(slab);
        memset(memory, 0, bytes);
    }
    if (memory != NULL)
        trace(TP_HEAP_ALLOC, (uint32_t)memory, bytes, 0);
    return memory;
}

/* Frees memory of as many bytes as were allocated; NULL is allowed. */
void slabfree(void* memory, size_t bytes) {
    if (memory == NULL)
        return;
    unsigned index = size_index(bytes);
    trace(TP_HEAP_FREE, (uint32_t)memory, bytes, 0);
    if (index == SLAB_SIZES) {
        vm_freepages(memory, (bytes + VM_PAGE_SIZE - 1) / VM_PAGE_SIZE);
        return;
    }
    struct slabdata* slab = (struct slabdata*)((vir_bytes)memory & ~(VM_PAGE_SIZE - 1));
    SERVER_ASSERT(slab->size_index == index && slab->used > 0);
    if (slab->first_free == NULL)
        list_slab(slab);
    *(void**)memory = slab->first_free;
    slab->first_free = memory;
    if (--slab->used == 0) {
        unlist_slab(slab);
        vm_freepages(slab, 1);
    }
}
