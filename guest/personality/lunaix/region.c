/* The regions of an address space: a list sorted by address. Every bound is [start, end). */
#include "guest/kernel/memory/heap.h"
#include "guest/personality/lunaix/lunaix.h"

/* Puts a region into its place in the list. */
static void insert(struct proc_mm* mm, struct mm_region* region) {
    struct mm_region *place, *following;
    region->proc_vms = mm;
    list_for_each(place, following, &mm->regions, head) {
        if (place->start > region->start) {
            break;
        }
    }
    list_insert_before(&place->head, &region->head);
}

/* Makes an anonymous region of a range that is free; mmap, brk, exec and threads call it. NULL if out of memory. */
struct mm_region* region_create(struct proc_mm* mm, ptr_t start, ptr_t end, int attr) {
    struct mm_region* region = kzalloc(sizeof(*region));
    if (region == NULL) {
        return NULL;
    }
    region->start = start;
    region->end = end;
    region->attr = attr;
    insert(mm, region);
    return region;
}

/* Makes a copy of a region in an address space; NULL if out of memory. */
struct mm_region* region_dup(struct proc_mm* mm, const struct mm_region* origin) {
    struct mm_region* region = region_create(mm, origin->start, origin->end, origin->attr);
    if (region != NULL) {
        region->mfile = origin->mfile;
        region->foff = origin->foff;
        region->flen = origin->flen;
    }
    return region;
}

/* Makes every thread forget a region that was its stack. */
static void forget_stack(const struct mm_region* region) {
    struct thread *thread, *following;
    list_for_each(thread, following, &region->proc_vms->proc->threads, link) {
        if (thread->ustack == region) {
            thread->ustack = NULL;
        }
    }
}

/* Frees a region, not its pages. */
void region_release(struct mm_region* region) {
    forget_stack(region);
    list_remove(&region->head);
    kfree(region);
}

/* Copies all regions of one address space to another, which has none; fork calls it. 0, or -ENOMEM with a part
 * copied, which the teardown of the new space frees. */
int region_copy_mm(const struct proc_mm* from, struct proc_mm* to) {
    struct mm_region *region, *following;
    list_for_each(region, following, &from->regions, head) {
        if (region_dup(to, region) == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* Finds the region that an address lies in; NULL if there is none. */
struct mm_region* region_get(struct proc_mm* mm, ptr_t address) {
    struct mm_region *region, *following;
    list_for_each(region, following, &mm->regions, head) {
        if (address >= region->start && address < region->end) {
            return region;
        }
    }
    return NULL;
}

/* Says whether no region touches a range. */
bool region_range_free(struct proc_mm* mm, ptr_t start, ptr_t end) {
    struct mm_region *region, *following;
    list_for_each(region, following, &mm->regions, head) {
        if (start < region->end && region->start < end) {
            return false;
        }
    }
    return true;
}

/* Finds the lowest free range of so many bytes in the part for mappings; 0 if there is none. */
ptr_t region_find_room(struct proc_mm* mm, size_t bytes) {
    ptr_t start = USER_MMAP_BASE;
    struct mm_region *region, *following;
    list_for_each(region, following, &mm->regions, head) {
        if (region->end <= start) {
            continue;
        }
        if (region->start >= start && region->start - start >= bytes) {
            break;
        }
        start = region->end;
    }
    return start < USER_MMAP_TOP && USER_MMAP_TOP - start >= bytes ? start : 0;
}

/* Cuts a region in two at an address inside it. A stack that was cut is ordinary memory from then on.
 * 0, or -ENOMEM with nothing changed. */
static int split(struct mm_region* region, ptr_t address) {
    struct mm_region* upper = region_dup(region->proc_vms, region);
    if (upper == NULL) {
        return -ENOMEM;
    }
    unsigned below = address - region->start;
    forget_stack(region);
    list_remove(&upper->head);
    upper->start = address;
    upper->foff += below;
    upper->flen = region->flen > below ? region->flen - below : 0;
    upper->attr &= ~(REGION_TYPE_STACK | REGION_GUARDED);
    insert(region->proc_vms, upper);
    region->end = address;
    region->flen = region->flen < below ? region->flen : below;
    region->attr &= ~REGION_TYPE_STACK;
    return 0;
}

/* Cuts regions so that none crosses either end of a range; munmap and minherit call it. 0 or -ENOMEM. */
int region_isolate(struct proc_mm* mm, ptr_t start, ptr_t end) {
    ptr_t cuts[2] = {start, end};
    for (unsigned i = 0; i < 2; i++) {
        struct mm_region* region = region_get(mm, cuts[i]);
        if (region != NULL && region->start < cuts[i] && split(region, cuts[i]) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* Marks the lowest page of a region as guard page. 0, or -ENOMEM where its table cannot be made. */
int region_guard(ptr_t vm_mnt, struct mm_region* region) {
    if (!ptep_alloc_table(vm_mnt, pfn(region->start))) {
        return -ENOMEM;
    }
    set_pte(mkptep_pn(vm_mnt, pfn(region->start)), guard_pte);
    region->attr |= REGION_GUARDED;
    return 0;
}

/* Returns the bits of an entry for a fresh page of a region. */
pte_t region_pte_bits(const struct mm_region* region) {
    return PTE_PRESENT | PTE_USER | (writable_region(region) ? PTE_WRITABLE : 0);
}

/* Unmaps a region's pages from the space behind a window, returns their leaflets, and frees the region. Only our own
 * space can have translations of them: another one's were dropped when CR3 left it. */
void mem_unmap_region(ptr_t vm_mnt, struct mm_region* region) {
    for (pfn_t pn = pfn(region->start); pn < pfn(region->end); pn++) {
        if (!ptep_table_present(vm_mnt, pn)) {
            pn |= PDE_COUNT - 1;
            continue;
        }
        pte_t* ptep = mkptep_pn(vm_mnt, pn);
        pte_t pte = *ptep;
        if (pte_isnull(pte)) {
            continue;
        }
        set_pte(ptep, null_pte);
        if (pte_isloaded(pte)) {
            if (vm_mnt == VMS_SELF) {
                tlb_flush_page(page_addr(pn));
            }
            leaflet_return(pte_leaflet(pte));
        }
    }
    region_release(region);
}
