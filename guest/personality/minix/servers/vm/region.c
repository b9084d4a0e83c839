/* Regions of a process: made, found, cut, copied, torn down. map_proc_copy() is what fork is about. */
#include "guest/personality/minix/servers/vm/vm.h"
#include "guest/user/lib/string.h"

static uint32_t last_stack_id;

/* Returns a number that no stack has had. */
uint32_t new_stack_id(void) { return ++last_stack_id; }

/* Returns how many pages a region has. */
static unsigned pages_of(const struct vir_region* region) { return CLICK(region->length); }

/* Returns the page at an offset of a region; NULL if it is not there. */
struct phys_region* physblock_get(const struct vir_region* region, vir_bytes offset) {
    return region->physblocks[CLICK(offset)];
}

/* Makes a region that is in no tree yet, without pages; NULL if out of memory. */
static struct vir_region* region_new(vir_bytes vaddr, vir_bytes length) {
    struct vir_region* region = slaballoc(sizeof(*region));
    if (region == NULL)
        return NULL;
    region->vaddr = vaddr;
    region->length = length;
    region->capacity = CLICK(length);
    region->physblocks = slaballoc(region->capacity * sizeof(region->physblocks[0]));
    if (region->physblocks == NULL) {
        slabfree(region, sizeof(*region));
        return NULL;
    }
    return region;
}

/* Frees a region that is in no tree and has no pages. */
static void region_free(struct vir_region* region) {
    slabfree(region->physblocks, region->capacity * sizeof(region->physblocks[0]));
    slabfree(region, sizeof(*region));
}

/* Makes a region of a range that is free; mmap, brk, exec and threads call it. NULL if out of memory. */
struct vir_region* map_page_region(struct vmproc* vmp, vir_bytes vaddr, vir_bytes length, uint32_t flags,
                                   const mem_type_t* memtype) {
    struct vir_region* region = region_new(vaddr, length);
    if (region == NULL)
        return NULL;
    region->flags = flags;
    region->def_memtype = memtype;
    region->parent = vmp;
    region_insert(&vmp->vm_regions_avl, region);
    return region;
}

/* Finds the region that an address lies in; NULL if there is none. */
struct vir_region* map_lookup(struct vmproc* vmp, vir_bytes address) {
    struct vir_region* region = region_search(&vmp->vm_regions_avl, address, AVL_LESS_EQUAL);
    return region != NULL && address - region->vaddr < region->length ? region : NULL;
}

/* Says whether no region touches a range. */
bool region_range_free(const struct vmproc* vmp, vir_bytes start, vir_bytes end) {
    const struct vir_region* region = region_search(&vmp->vm_regions_avl, end - 1, AVL_LESS_EQUAL);
    return region == NULL || region->vaddr + region->length <= start;
}

/* Finds the lowest free range of so many bytes between two addresses; 0 if there is none. */
vir_bytes region_find_slot(const struct vmproc* vmp, vir_bytes minv, vir_bytes maxv, vir_bytes length) {
    const region_avl* avl = &vmp->vm_regions_avl;
    vir_bytes start = minv;
    for (const struct vir_region* region = region_first(avl); region != NULL; region = region_next(avl, region)) {
        if (region->vaddr + region->length <= start)
            continue;
        if (region->vaddr >= start && region->vaddr - start >= length)
            break;
        start = region->vaddr + region->length;
    }
    return start < maxv && maxv - start >= length ? start : 0;
}

/* Lets a region reach further up, where nothing is. OK or -ENOMEM. */
int map_region_extend(struct vir_region* region, vir_bytes length) {
    unsigned pages = CLICK(length);
    if (pages > region->capacity) {
        unsigned capacity = pages > 2 * region->capacity ? pages : 2 * region->capacity;
        struct phys_region** physblocks = slaballoc(capacity * sizeof(physblocks[0]));
        if (physblocks == NULL)
            return -ENOMEM;
        memcpy(physblocks, region->physblocks, pages_of(region) * sizeof(physblocks[0]));
        slabfree(region->physblocks, region->capacity * sizeof(physblocks[0]));
        region->physblocks = physblocks;
        region->capacity = capacity;
    }
    region->length = length;
    return OK;
}

/* Cuts a region in two at an address inside it. A stack that was cut is ordinary memory from then on. OK, or -ENOMEM
 * with nothing changed. */
static int split_region(struct vmproc* vmp, struct vir_region* region, vir_bytes address) {
    vir_bytes below = address - region->vaddr;
    struct vir_region* upper = region_new(address, region->length - below);
    if (upper == NULL)
        return -ENOMEM;
    region->flags &= ~VR_STACK;
    region->id = 0;
    upper->flags = region->flags & ~VR_GUARDED;
    upper->def_memtype = region->def_memtype;
    upper->parent = vmp;
    upper->file = region->file;
    upper->file.offset += below;
    upper->file.clearend -= below < region->file.clearend ? below : region->file.clearend;
    region->file.clearend = below < region->file.clearend ? below : region->file.clearend;
    for (unsigned page = 0; page < pages_of(upper); page++) {
        struct phys_region* ph = region->physblocks[CLICK(below) + page];
        region->physblocks[CLICK(below) + page] = NULL;
        upper->physblocks[page] = ph;
        if (ph != NULL) {
            ph->parent = upper;
            ph->offset -= below;
        }
    }
    region->length = below;
    region_insert(&vmp->vm_regions_avl, upper);
    return OK;
}

/* Cuts regions so that none crosses either end of a range. OK or -ENOMEM. */
int map_region_isolate(struct vmproc* vmp, vir_bytes start, vir_bytes end) {
    const vir_bytes cuts[] = {start, end};
    for (unsigned i = 0; i < 2; i++) {
        struct vir_region* region = map_lookup(vmp, cuts[i]);
        if (region != NULL && region->vaddr < cuts[i] && split_region(vmp, region, cuts[i]) != OK)
            return -ENOMEM;
    }
    return OK;
}

/* Forgets a page: its block has one place less. The caller empties the entry. */
static void forget_page(struct vir_region* region, struct phys_region* ph) {
    region->physblocks[CLICK(ph->offset)] = NULL;
    if (ph->ph != NULL)
        pb_unlink(ph);
    slabfree(ph, sizeof(*ph));
}

/* Empties a region, in its process's page table too, and frees it. Needs no memory. */
void map_unmap_region(struct vmproc* vmp, struct vir_region* region) {
    for (unsigned page = 0; page < pages_of(region); page++) {
        struct phys_region* ph = region->physblocks[page];
        if (ph != NULL) {
            pt_writemap(&vmp->vm_pt, region->vaddr + ph->offset, 0, 0);
            forget_page(region, ph);
        }
    }
    pt_flush();
    region_remove(&vmp->vm_regions_avl, region);
    region_free(region);
}

/* Unmaps a range, cutting regions where they reach out of it. OK, or -ENOMEM with nothing unmapped. */
int map_unmap_range(struct vmproc* vmp, vir_bytes start, vir_bytes length) {
    vir_bytes end = start + length;
    if (map_region_isolate(vmp, start, end) != OK)
        return -ENOMEM;
    struct vir_region* region;
    while ((region = region_search(&vmp->vm_regions_avl, start, AVL_GREATER_EQUAL)) != NULL && region->vaddr < end)
        map_unmap_region(vmp, region);
    return OK;
}

/* Empties all memory of a process and frees its regions; its page directory remains. Needs no memory. */
void map_free_proc(struct vmproc* vmp) {
    while (vmp->vm_regions_avl.root != NULL)
        map_unmap_region(vmp, vmp->vm_regions_avl.root);
}

/* Writes a page's entry: writable where the region allows it and its kind of memory does so at this moment. OK, or
 * -ENOMEM of an earlier entry of the batch. */
static int map_ph_writept(struct vmproc* vmp, struct vir_region* region, struct phys_region* ph) {
    bool writable = (region->flags & VR_WRITABLE) != 0 && region->def_memtype->writable(ph);
    uint32_t flags = PTF_PRESENT | (writable ? PTF_WRITE : 0) | (ph->ph->in_hand ? PTF_NEW : 0);
    ph->written_writable = writable;
    ph->ph->in_hand = false;
    return pt_writemap(&vmp->vm_pt, region->vaddr + ph->offset, pb_phys(ph->ph), flags);
}

/* Makes the page at an offset of a region ready for reading or writing: the fault path, and handle_memory(). OK with
 * the class of what was done, or -ENOMEM with nothing changed. */
int map_pf(struct vmproc* vmp, struct vir_region* region, vir_bytes offset, bool write, unsigned* fault_class) {
    struct phys_region* ph = physblock_get(region, offset);
    bool is_new = ph == NULL;
    int r = OK;
    if (is_new) {
        ph = slaballoc(sizeof(*ph));
        if (ph == NULL)
            return -ENOMEM;
        ph->parent = region;
        ph->offset = offset;
        region->physblocks[CLICK(offset)] = ph;
    }
    if (is_new || (write && !region->def_memtype->writable(ph)))
        r = region->def_memtype->ev_pagefault(region, ph, write, fault_class);
    else
        *fault_class = write && !ph->written_writable ? FAULT_COW_REUSE : FAULT_SPURIOUS;
    if (r == OK) {
        bool in_hand = ph->ph->in_hand;
        r = map_ph_writept(vmp, region, ph);
        int flushed = pt_flush();
        r = r == OK ? flushed : r;
        ph->ph->in_hand = in_hand && r != OK;
    }
    if (r != OK && is_new)
        forget_page(region, ph);
    return r;
}

/* Makes every page of a region present, and private if it may be written: memory that becomes shared must have its
 * blocks before the next fork. OK, or -ENOMEM with a part done, which does no harm. */
int map_populate(struct vmproc* vmp, struct vir_region* region) {
    bool write = (region->flags & VR_WRITABLE) != 0;
    unsigned fault_class;
    vir_bytes offset = (region->flags & VR_GUARDED) != 0 ? VM_PAGE_SIZE : 0;
    for (; offset < region->length; offset += VM_PAGE_SIZE) {
        int r = map_pf(vmp, region, offset, write, &fault_class);
        if (r != OK)
            return r;
    }
    return OK;
}

/* Copies a region for a child: the same pages, each with one place more. NULL if out of memory, with nothing left. */
static struct vir_region* map_copy_region(struct vmproc* vmp, const struct vir_region* vr) {
    struct vir_region* newvr = region_new(vr->vaddr, vr->length);
    if (newvr == NULL)
        return NULL;
    newvr->def_memtype = vr->def_memtype;
    newvr->flags = vr->flags;
    newvr->id = vr->id;
    newvr->file = vr->file;
    newvr->parent = vmp;
    for (unsigned page = 0; (vr->flags & VR_NOFORK) == 0 && page < pages_of(vr); page++) {
        const struct phys_region* ph = vr->physblocks[page];
        struct phys_region* newph = ph != NULL ? slaballoc(sizeof(*newph)) : NULL;
        if (ph == NULL)
            continue;
        if (newph == NULL)
            goto fail;
        newph->parent = newvr;
        newph->offset = ph->offset;
        newvr->physblocks[page] = newph;
        pb_link(newph, ph->ph);
    }
    return newvr;

fail:
    for (unsigned page = 0; page < pages_of(newvr); page++)
        if (newvr->physblocks[page] != NULL)
            forget_page(newvr, newvr->physblocks[page]);
    region_free(newvr);
    return NULL;
}

/* Writes every entry of a process anew, so that pages with more than one place become read-only. OK, or -ENOMEM with a
 * part written. */
static int map_writept(struct vmproc* vmp) {
    const region_avl* avl = &vmp->vm_regions_avl;
    int r = OK;
    for (struct vir_region* vr = region_first(avl); vr != NULL; vr = region_next(avl, vr)) {
        for (unsigned page = 0; page < pages_of(vr); page++) {
            struct phys_region* ph = vr->physblocks[page];
            if (ph != NULL && (r = map_ph_writept(vmp, vr, ph)) != OK)
                return r;
        }
    }
    return pt_flush();
}

/* Copies all regions of a process to one that has none, and rewrites both page tables: no data page is copied, and
 * neither side can write what both have. The child's entries come first, because only they can fail. OK, or -ENOMEM
 * with the child empty and the parent unchanged. */
int map_proc_copy(struct vmproc* dst, struct vmproc* src) {
    const region_avl* avl = &src->vm_regions_avl;
    for (struct vir_region* vr = region_first(avl); vr != NULL; vr = region_next(avl, vr)) {
        struct vir_region* newvr = map_copy_region(dst, vr);
        if (newvr == NULL) {
            map_free_proc(dst);
            return -ENOMEM;
        }
        region_insert(&dst->vm_regions_avl, newvr);
    }
    if (map_writept(dst) != OK) {
        pt_flush();
        map_free_proc(dst);
        return -ENOMEM;
    }
    int r = map_writept(src);
    SERVER_ASSERT(r == OK);
    return OK;
}
