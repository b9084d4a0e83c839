/* Owns: the types and names of the LunaixOS personality. Its files include it; the names are the original's.
 * Promises: a region is [start, end) in every file; every leaflet that a page-table entry maps is borrowed once. */
#ifndef LUNAIX_H
#define LUNAIX_H

#include "guest/kernel/files/file.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/types.h"

#define __current current_process

/* How a region passes through fork. */
#define REGION_PRIVATE 0x00 /* exclusive: the child finds the pages absent */
#define REGION_RSHARED 0x01 /* shared for reading, copied on write */
#define REGION_WSHARED 0x02 /* both keep the same writable frames */
#define REGION_MODE_MASK 0x03
/* What a program may do with it. */
#define REGION_READ 0x04
#define REGION_WRITE 0x08
#define REGION_EXEC 0x10
/* What it is. */
#define REGION_TYPE_STACK 0x100 /* the stack of one thread */
#define REGION_TYPE_HEAP 0x200
#define REGION_GUARDED 0x400 /* its lowest page is a guard page */

struct proc_mm;

/* A run of pages with one kind of contents. */
struct mm_region {
    struct list head; /* in proc_mm.regions, sorted by start */
    struct proc_mm* proc_vms;
    ptr_t start, end;    /* page aligned, end exclusive */
    int attr;            /* REGION_* */
    struct node* mfile;  /* NULL: anonymous. Nodes stay for ever, so that no reference is needed */
    unsigned foff, flen; /* where the file's bytes begin, and how many there are; zeroes follow */
};

/* The memory of one process. */
struct proc_mm {
    struct process* proc;
    phys_t vmroot; /* page directory, 0 before there is one */
    ptr_t vm_mnt;  /* the window at which it is mounted, 0 = not mounted */
    struct list regions;
    ptr_t heap_start, heap_end; /* the heap's end as brk knows it, not rounded */
};

/* A block of 2^order frames with one reference count. */
#define leaflet frame

/* Allocates a leaflet for a user's page; NULL if out of memory. Its bytes are what they were. */
static inline struct leaflet* alloc_leaflet(unsigned order) { return frame_alloc(order, FRAME_USER); }

/* Takes one more reference. */
static inline void leaflet_borrow(struct leaflet* leaflet) { frame_share(leaflet); }

/* Releases one reference. */
static inline void leaflet_return(struct leaflet* leaflet) { frame_release(leaflet); }

/* Allocates a leaflet with the same bytes; NULL if out of memory. */
static inline struct leaflet* dup_leaflet(struct leaflet* leaflet) { return frame_copy(leaflet); }

/* Returns the leaflet that an entry maps. */
static inline struct leaflet* pte_leaflet(pte_t pte) { return frame_of(pte_paddr(pte)); }

/* Maps all pages of a leaflet from an entry on, with another entry's bits. Returns how many pages that were. */
static inline unsigned ptep_map_leaflet(pte_t* ptep, pte_t pte, struct leaflet* leaflet) {
    unsigned pages = frame_pages(leaflet);
    for (unsigned i = 0; i < pages; i++) {
        set_pte(ptep + i, mkpte(frame_address(leaflet) + i * PAGE_BYTES, pte & ~PTE_FRAME));
    }
    return pages;
}

/* Returns the memory of a process. */
static inline struct proc_mm* vmspace(struct process* process) { return process->vm; }

/* Says whether a region is the stack of a thread. */
static inline bool stack_region(const struct mm_region* region) { return (region->attr & REGION_TYPE_STACK) != 0; }

/* Says whether programs may write into a region. */
static inline bool writable_region(const struct mm_region* region) { return (region->attr & REGION_WRITE) != 0; }

/* Says whether two regions, perhaps of two processes, cover the same addresses. */
static inline bool same_region(const struct mm_region* left, const struct mm_region* right) {
    return left->start == right->start && left->end == right->end;
}

/* region.c: the list of regions. */

struct mm_region* region_create(struct proc_mm* mm, ptr_t start, ptr_t end, int attr);
struct mm_region* region_dup(struct proc_mm* mm, const struct mm_region* origin);
void region_release(struct mm_region* region);
int region_copy_mm(const struct proc_mm* from, struct proc_mm* to);
struct mm_region* region_get(struct proc_mm* mm, ptr_t address);
bool region_range_free(struct proc_mm* mm, ptr_t start, ptr_t end);
ptr_t region_find_room(struct proc_mm* mm, size_t bytes);
int region_isolate(struct proc_mm* mm, ptr_t start, ptr_t end);
int region_guard(ptr_t vm_mnt, struct mm_region* region);
pte_t region_pte_bits(const struct mm_region* region);
void mem_unmap_region(ptr_t vm_mnt, struct mm_region* region);

/* fault.c: what a page of a region holds before it is written. */

unsigned region_fill_page(const struct mm_region* region, ptr_t address, struct leaflet* leaflet);
int region_populate(struct mm_region* region);

/* procvm.c: address spaces. */

struct proc_mm* procvm_create(struct process* process);
void procvm_release(struct proc_mm* mm);
int procvm_dupvms_mount(struct proc_mm* mm);
void procvm_mount(struct proc_mm* mm);
void procvm_unmount(struct proc_mm* mm);
void procvm_teardown(struct proc_mm* mm, ptr_t vm_mnt);
void tlb_flush_mm_range(const struct proc_mm* mm, pfn_t first, unsigned pages);
void tlb_flush_vmr_all(const struct mm_region* region);

/* history.c: boot words that bring the original's faults back. */

void history_init(void);

#endif
