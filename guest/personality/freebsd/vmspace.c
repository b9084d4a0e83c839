/* Address spaces: made, copied, shared, freed. Read vmspace_fork() first. */
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/personality/freebsd/uma.h"
#include "guest/personality/freebsd/vm_map.h"

static struct uma_zone vmspace_zone = {"VMSPACE", sizeof(struct vmspace), 0};

/* Makes an empty address space with one reference; fork, exec and the making of init call it. NULL if out of memory. */
struct vmspace* vmspace_alloc(ptr_t min, ptr_t max) {
    struct vmspace* vm = uma_zalloc(&vmspace_zone);
    if (vm == NULL) {
        return NULL;
    }
    if (pmap_pinit(&vm->vm_pmap) < 0) {
        uma_zfree(&vmspace_zone, vm);
        return NULL;
    }
    vm_map_init(&vm->vm_map, &vm->vm_pmap, min, max);
    vm->vm_refcnt = 1;
    return vm;
}

/* Frees a space to which neither living nor dead processes refer. */
static void vmspace_dofree(struct vmspace* vm) {
    KERNEL_ASSERT(list_empty(&vm->vm_map.header));
    pmap_release(&vm->vm_pmap);
    uma_zfree(&vmspace_zone, vm);
}

/* Takes one more reference; rfork(RFMEM) calls it. */
struct vmspace* vmspace_acquire(struct vmspace* vm) {
    vm->vm_refcnt++;
    return vm;
}

/* Releases the reference of a living process; the last one unmaps everything. */
static void vmspace_drop(struct vmspace* vm) {
    if (--vm->vm_refcnt == 0) {
        vm_map_delete(&vm->vm_map, vm->vm_map.min_offset, vm->vm_map.max_offset);
    }
}

/* Frees the space of a process that fork has not committed, or that has a new one; its kernel stack has left it. */
void vmspace_free(struct vmspace* vm) {
    vmspace_drop(vm);
    if (vm->vm_refcnt == 0 && vm->vm_exitingcnt == 0) {
        vmspace_dofree(vm);
    }
}

/* Releases the space of the running process, which is dying on a kernel stack in it: the directory stays. */
void vmspace_exit(struct vmspace* vm) {
    vm->vm_exitingcnt++;
    vmspace_drop(vm);
}

/* Frees what a dead process kept of its space; wait calls it. */
void vmspace_exitfree(struct vmspace* vm) {
    vm->vm_exitingcnt--;
    if (vm->vm_refcnt == 0 && vm->vm_exitingcnt == 0) {
        vmspace_dofree(vm);
    }
}

/* Adds an entry that was just copied to the sizes of the new space. */
static void vmspace_map_entry_forked(const struct vmspace* vm1, struct vmspace* vm2, const struct vm_map_entry* entry) {
    unsigned pages = pfn(entry->end - entry->start);
    if ((entry->eflags & MAP_ENTRY_GROWS_DOWN) != 0) {
        vm2->vm_ssize += entry->start >= vm1->vm_maxsaddr ? pages : 0;
    } else if (entry->start >= vm1->vm_daddr && entry->start < page_up(vm1->vm_break)) {
        vm2->vm_dsize += pages;
    } else if (entry->start >= vm1->vm_taddr && entry->start < vm1->vm_taddr + page_addr(vm1->vm_tsize)) {
        vm2->vm_tsize += pages;
    }
}

/* Makes both sides of an entry copy-on-write: no page is copied and no shadow made; the entries are marked and the
 * parent's pages write-protected. vmspace_fork() calls it. Cannot fail. */
static void vm_map_copy_entry(struct vm_map* src_map, struct vm_map* dst_map, struct vm_map_entry* src_entry,
                              struct vm_map_entry* dst_entry) {
    struct vm_object* src_object = src_entry->object;
    if (src_object == NULL) {
        return; /* never touched: each side makes its own object when it touches it */
    }
    if ((src_entry->eflags & MAP_ENTRY_NEEDS_COPY) == 0) {
        pmap_protect(src_map->pmap, src_entry->start, src_entry->end);
    }
    vm_object_collapse(src_object);
    vm_object_reference(src_object);
    src_object->flags &= (uint16_t)~OBJ_ONEMAPPING;
    src_entry->eflags |= MAP_ENTRY_COW | MAP_ENTRY_NEEDS_COPY;
    dst_entry->eflags |= MAP_ENTRY_COW | MAP_ENTRY_NEEDS_COPY;
    pmap_copy(dst_map->pmap, src_map->pmap, src_entry->start, src_entry->end);
}

/* Makes sure that an entry has an object which both sides can map for writing: one that was never touched gets its
 * first, a NEEDS_COPY one its shadow. 0, or -ENOMEM with the entry unchanged. */
static int vm_map_share_object(struct vm_map_entry* entry) {
    size_t bytes = entry->end - entry->start;
    if (entry->object == NULL) {
        entry->object = vm_object_allocate(pfn(bytes));
        entry->offset = 0;
        return entry->object != NULL ? 0 : -ENOMEM;
    }
    if ((entry->eflags & MAP_ENTRY_NEEDS_COPY) != 0) {
        if (vm_object_shadow(&entry->object, &entry->offset, bytes) < 0) {
            return -ENOMEM;
        }
        entry->eflags &= ~MAP_ENTRY_NEEDS_COPY;
    }
    return 0;
}

/* Gives the new map an entry for one of the old map, as its inheritance demands. 0 or -ENOMEM. */
static int vmspace_fork_entry(struct vmspace* vm1, struct vmspace* vm2, struct vm_map_entry* old_entry) {
    struct vm_map *old_map = &vm1->vm_map, *new_map = &vm2->vm_map;
    if (old_entry->inheritance == VM_INHERIT_NONE) {
        return 0;
    }
    bool guard = (old_entry->eflags & MAP_ENTRY_GUARD) != 0;
    if (old_entry->inheritance == VM_INHERIT_SHARE && !guard && vm_map_share_object(old_entry) < 0) {
        return -ENOMEM;
    }
    struct vm_map_entry* new_entry = vm_map_entry_create(new_map);
    if (new_entry == NULL) {
        return -ENOMEM;
    }
    *new_entry = *old_entry;
    vm_map_entry_link(new_map, new_entry);
    vmspace_map_entry_forked(vm1, vm2, new_entry);
    if (old_entry->inheritance == VM_INHERIT_SHARE) {
        vm_object_reference(old_entry->object);
        if (old_entry->object != NULL) {
            old_entry->object->flags &= (uint16_t)~OBJ_ONEMAPPING;
        }
        pmap_copy(new_map->pmap, old_map->pmap, old_entry->start, old_entry->end);
    } else {
        vm_map_copy_entry(old_map, new_map, old_entry, new_entry);
    }
    return 0;
}

/* Makes a child's address space: entry by entry, each by its inheritance. fork1() calls it. NULL if out of memory, with
 * nothing left; the parent's entries may then stay NEEDS_COPY, which costs a fault each. */
struct vmspace* vmspace_fork(struct vmspace* vm1) {
    struct vm_map* old_map = &vm1->vm_map;
    struct vmspace* vm2 = vmspace_alloc(old_map->min_offset, old_map->max_offset);
    if (vm2 == NULL) {
        return NULL;
    }
    vm2->vm_taddr = vm1->vm_taddr;
    vm2->vm_daddr = vm1->vm_daddr;
    vm2->vm_maxsaddr = vm1->vm_maxsaddr;
    vm2->vm_heap = vm1->vm_heap;
    vm2->vm_break = vm1->vm_break;

    /* 2b: entry by entry; those that are to be copied become copy-on-write on both sides */
    trace(TP_FORK_PROTECT, (uint32_t)current_process->pid, 0, vm2->vm_pmap.pm_pdir);
    struct vm_map_entry *old_entry, *following;
    list_for_each(old_entry, following, &old_map->header, link) {
        if (vmspace_fork_entry(vm1, vm2, old_entry) < 0) {
            vmspace_free(vm2);
            return NULL;
        }
    }
    return vm2;
}
