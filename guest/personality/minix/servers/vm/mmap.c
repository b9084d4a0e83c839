/* The calls by which processes change their memory: mmap, munmap, minherit, brk, and the stacks of threads. The kernel
 * has checked what depends on the arguments alone. */
#include "guest/personality/minix/servers/vm/vm.h"

/* Rounds up to a page boundary. */
static vir_bytes roundup_page(vir_bytes bytes) { return (bytes + VM_PAGE_SIZE - 1) & ~(VM_PAGE_SIZE - 1); }

/* Unmaps a range and the guard page that lies just below it, as munmap does. OK or -ENOMEM. */
static int unmap(struct vmproc* vmp, vir_bytes start, vir_bytes bytes) {
    vir_bytes end = start + roundup_page(bytes);
    const struct vir_region* region = map_lookup(vmp, start);
    if (region != NULL && (region->flags & VR_GUARDED) != 0 && region->vaddr + VM_PAGE_SIZE == start)
        start = region->vaddr;
    return map_unmap_range(vmp, start, end - start);
}

/* Chooses where a mapping goes: the fixed address, unmapped first; the hint if it is free; or any. OK with the address.
 * */
static int choose_place(struct vmproc* vmp, int flags, vir_bytes wish, vir_bytes bytes, vir_bytes* start) {
    *start = wish;
    if ((flags & MAP_FIXED) != 0)
        return is_page_range(wish, bytes) ? unmap(vmp, wish, bytes) : -EINVAL;
    if (wish != 0 && is_page_range(wish, bytes) && region_range_free(vmp, wish, wish + bytes))
        return OK;
    *start = region_find_slot(vmp, USER_MMAP_BASE, USER_MMAP_TOP, bytes);
    return *start != 0 ? OK : -ENOMEM;
}

/* Turns mmap's protection and flags into a region's. */
static uint32_t region_flags(int protection, int flags) {
    return ((protection & PROT_READ) != 0 ? VR_READ : 0) | ((protection & PROT_WRITE) != 0 ? VR_WRITABLE : 0) |
           ((protection & PROT_EXEC) != 0 ? VR_EXEC : 0) | ((flags & MAP_EXCLUSIVE) != 0 ? VR_NOFORK : 0) |
           ((flags & MAP_STACK) != 0 ? VR_GUARDED : 0);
}

/* Returns the kind of memory that is private: with a file below it or without. */
static const mem_type_t* private_memtype(const struct vir_region* region) {
    return region->file.inode != 0 ? &mem_type_mappedfile : &mem_type_anon;
}

/* VM_MMAP. Shared memory gets its pages at once. OK with the address (with MAP_STACK that of the page above the guard),
 * or a negative error. */
int do_mmap(struct vmproc* vmp, message* m) {
    vir_bytes guard = (m->VMM_FLAGS & MAP_STACK) != 0 ? VM_PAGE_SIZE : 0;
    vir_bytes bytes = roundup_page(m->VMM_LEN) + guard, start;
    int r = choose_place(vmp, m->VMM_FLAGS, m->VMM_ADDR - (m->VMM_ADDR != 0 ? guard : 0), bytes, &start);
    if (r != OK)
        return r;
    struct vir_region* region =
        map_page_region(vmp, start, bytes, region_flags(m->VMM_PROT, m->VMM_FLAGS), &mem_type_anon);
    if (region == NULL)
        return -ENOMEM;
    if (m->VMM_INODE != 0) {
        vir_bytes left = m->VMM_OFFSET < m->VMM_SIZE ? m->VMM_SIZE - m->VMM_OFFSET : 0;
        region->file.inode = m->VMM_INODE;
        region->file.offset = m->VMM_OFFSET - guard;
        region->file.clearend = (left < m->VMM_LEN ? left : m->VMM_LEN) + guard;
    }
    bool shared = (m->VMM_FLAGS & MAP_SHARED) != 0;
    region->def_memtype = shared ? &mem_type_shared : private_memtype(region);
    if (shared && map_populate(vmp, region) != OK) {
        map_unmap_region(vmp, region);
        return -ENOMEM;
    }
    m->VMM_ADDR = start + guard;
    return OK;
}

/* VM_MUNMAP: unmaps a range; what is not mapped there does not matter. OK or -ENOMEM. */
int do_munmap(struct vmproc* vmp, message* m) { return unmap(vmp, m->VMM_ADDR, m->VMM_LEN); }

/* Lets the heap reach from one page boundary to a higher one. False if something is in the way. */
static bool grow_heap(struct vmproc* vmp, vir_bytes from, vir_bytes to) {
    if (to > USER_MMAP_BASE || !region_range_free(vmp, from, to))
        return false;
    struct vir_region* heap = from > vmp->vm_heap_start ? map_lookup(vmp, from - 1) : NULL;
    if (heap != NULL && (heap->flags & (VR_HEAP | VR_NOFORK)) == VR_HEAP && heap->def_memtype == &mem_type_anon)
        return map_region_extend(heap, to - heap->vaddr) == OK;
    return map_page_region(vmp, from, to - from, VR_READ | VR_WRITABLE | VR_HEAP, &mem_type_anon) != NULL;
}

/* VM_BRK: moves the end of the heap; 0 only asks. Always OK, with the end that is valid afterwards. */
int do_brk(struct vmproc* vmp, message* m) {
    vir_bytes end = m->VMB_ADDR;
    m->VMB_RETADDR = vmp->vm_heap_end;
    if (end < vmp->vm_heap_start || end > USER_MMAP_BASE)
        return OK;
    vir_bytes old_top = roundup_page(vmp->vm_heap_end), new_top = roundup_page(end);
    if (new_top > old_top && !grow_heap(vmp, old_top, new_top))
        return OK;
    if (new_top < old_top && unmap(vmp, new_top, old_top - new_top) != OK)
        return OK;
    vmp->vm_heap_end = m->VMB_RETADDR = end;
    return OK;
}

/* Says whether a range is mapped throughout. */
static bool is_mapped(struct vmproc* vmp, vir_bytes start, vir_bytes end) {
    const struct vir_region* region;
    for (vir_bytes at = start; at < end; at = region->vaddr + region->length)
        if ((region = map_lookup(vmp, at)) == NULL)
            return false;
    return true;
}

/* Decides how one region passes through fork. OK, or -ENOMEM with the region unchanged. */
static int set_inheritance(struct vmproc* vmp, struct vir_region* region, int inheritance) {
    if (inheritance == INHERIT_SHARE) {
        int r = map_populate(vmp, region);
        if (r != OK)
            return r;
    }
    region->def_memtype = inheritance == INHERIT_SHARE ? &mem_type_shared : private_memtype(region);
    region->flags = (region->flags & ~VR_NOFORK) | (inheritance == INHERIT_NONE ? VR_NOFORK : 0);
    return OK;
}

/* VM_MINHERIT. OK, -EINVAL where the range is not mapped throughout, or -ENOMEM. */
int do_minherit(struct vmproc* vmp, message* m) {
    vir_bytes start = m->VMM_ADDR, bytes = m->VMM_LEN;
    int inheritance = m->VMM_INHERITANCE;
    vir_bytes end = start + roundup_page(bytes);
    if (!is_mapped(vmp, start, end))
        return -EINVAL;
    if (map_region_isolate(vmp, start, end) != OK)
        return -ENOMEM;
    struct vir_region* region = region_search(&vmp->vm_regions_avl, start, AVL_EQUAL);
    while (region != NULL && region->vaddr < end) {
        int r = set_inheritance(vmp, region, inheritance);
        if (r != OK)
            return r;
        region = region_next(&vmp->vm_regions_avl, region);
    }
    return OK;
}

/* VM_THREAD_STACK: makes the user stack of a new thread, with a guard page below it. OK with its top and the number of
 * its region, or -ENOMEM. */
int do_thread_stack(struct vmproc* vmp, message* m) {
    vir_bytes bytes = m->VMT_BYTES + VM_PAGE_SIZE;
    vir_bytes start = region_find_slot(vmp, USER_MMAP_BASE, USER_MMAP_TOP, bytes);
    uint32_t flags = VR_READ | VR_WRITABLE | VR_STACK | VR_GUARDED;
    struct vir_region* region = start != 0 ? map_page_region(vmp, start, bytes, flags, &mem_type_anon) : NULL;
    if (region == NULL)
        return -ENOMEM;
    region->id = m->VMT_REGION = new_stack_id();
    m->VMT_TOP = start + bytes;
    return OK;
}

/* VM_THREAD_EXIT: gives back a thread's stack, if it still is one. Always OK. */
int do_thread_exit(struct vmproc* vmp, message* m) {
    const region_avl* avl = &vmp->vm_regions_avl;
    for (struct vir_region* region = region_first(avl); region != NULL; region = region_next(avl, region)) {
        if ((region->flags & VR_STACK) != 0 && region->id == m->VMT_REGION) {
            map_unmap_region(vmp, region);
            break;
        }
    }
    return OK;
}
