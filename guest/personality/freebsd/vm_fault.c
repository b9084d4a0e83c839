/* F: the page fault, where the copies are made that vmspace_fork() put off. Read vm_fault() first. */
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/freebsd/proc.h"
#include "guest/personality/freebsd/vm_map.h"

/* All that is known about one fault. */
struct faultstate {
    struct vm_map* map;
    struct vm_map_entry* entry;
    ptr_t vaddr;                    /* the page */
    bool write;                     /* what was tried */
    bool kernel_access;             /* the kernel copies from or to user memory */
    bool was_mapped;                /* there is an entry, which forbids what was tried */
    int prot;                       /* the rights that the page will be mapped with */
    struct vm_object* first_object; /* the entry's object, and where in it the page belongs */
    vm_pindex_t first_pindex;
    struct vm_object* object; /* the object in which the page was found */
    struct vm_page* m;        /* the page; NULL: nowhere */
    bool beyond_end;          /* of the file */
    unsigned fault_class;     /* FAULT_*, once resolved */
};

/* Finds the entry of an address and says whether it allows what was tried; a stack grows here. */
static bool vm_map_lookup(struct faultstate* fs) {
    fs->entry = vm_map_lookup_entry(fs->map, fs->vaddr);
    if (fs->entry != NULL && (fs->entry->eflags & MAP_ENTRY_STACK_GAP) != 0 &&
        vm_map_growstack(fs->map, fs->entry, fs->vaddr)) {
        fs->entry = vm_map_lookup_entry(fs->map, fs->vaddr);
    }
    if (fs->entry == NULL || (fs->entry->eflags & MAP_ENTRY_GUARD) != 0) {
        return false;
    }
    fs->prot = fs->entry->protection;
    return (fs->prot & (fs->write ? PROT_WRITE : PROT_READ | PROT_EXEC)) != 0;
}

/* Makes the object for the page: a write to a NEEDS_COPY entry makes the shadow, a first touch the first object. A read
 * of shared memory leaves NEEDS_COPY set and the page read-only. False if out of memory. */
static bool vm_map_lookup_object(struct faultstate* fs) {
    struct vm_map_entry* entry = fs->entry;
    size_t bytes = entry->end - entry->start;
    if ((entry->eflags & MAP_ENTRY_NEEDS_COPY) != 0) {
        if (!fs->write) {
            fs->prot &= ~PROT_WRITE;
        } else if (vm_object_shadow(&entry->object, &entry->offset, bytes) < 0) {
            return false;
        } else {
            entry->eflags &= ~MAP_ENTRY_NEEDS_COPY;
        }
    }
    if (entry->object == NULL) {
        entry->object = vm_object_allocate(pfn(bytes));
        entry->offset = 0;
    }
    fs->first_object = entry->object;
    fs->first_pindex = pfn(entry->offset + (fs->vaddr - entry->start));
    return fs->first_object != NULL;
}

/* Looks for the page along the chain, from the entry's own object to the oldest; a file at its end is read. If no
 * object has the page, fs->m stays NULL. False beyond a file's end, or if out of memory. */
static bool vm_fault_object(struct faultstate* fs) {
    vm_pindex_t pindex = fs->first_pindex;
    unsigned looked_at = 0;
    for (fs->object = fs->first_object;; fs->object = fs->object->backing_object) {
        looked_at += fs->object->type == OBJT_DEFAULT ? 1 : 0;
        fs->m = vm_page_lookup(fs->object, pindex);
        if (fs->m != NULL || fs->object->type == OBJT_VNODE || fs->object->backing_object == NULL) {
            break;
        }
        pindex += pfn(fs->object->backing_object_offset);
    }
    trace(TP_SHADOW_CHAIN, (uint32_t)current_process->pid, (uint32_t)fs->first_object, looked_at);
    if (fs->object->type != OBJT_VNODE) {
        return true;
    }
    fs->fault_class = FAULT_FILE;
    fs->beyond_end = pindex >= fs->object->size;
    if (fs->m == NULL && !fs->beyond_end) {
        fs->m = vnode_pager_getpage(fs->object, pindex);
    }
    return fs->m != NULL;
}

/* The page is nowhere: a page of zeroes comes into the first object. False if out of memory. */
static bool vm_fault_zerofill(struct faultstate* fs) {
    fs->m = vm_page_alloc(fs->first_object, fs->first_pindex);
    if (fs->m == NULL) {
        return false;
    }
    pmap_zero_page(fs->m);
    fs->fault_class = (fs->entry->eflags & MAP_ENTRY_GROWS_DOWN) != 0 ? FAULT_STACK : FAULT_DEMAND_ZERO;
    return true;
}

/* Says what a copy is called: of a file's page that was not even mapped, it is how the file gets into memory. */
static unsigned vm_fault_copy_class(const struct faultstate* fs) {
    if (!fs->was_mapped && fs->object->type == OBJT_VNODE) {
        return FAULT_FILE;
    }
    cow_copies_since_boot++;
    return fs->kernel_access ? FAULT_KERNEL_COPY : FAULT_COW_COPY;
}

/* The page lies behind the first object and is to be written: it is copied up; then the chain is shortened if possible.
 * It cannot just be moved: an object to which only its shadow refers was swallowed when the last other reference went.
 * Sharers of the first object that still map the old page must find the new one. False if out of memory. */
static bool vm_fault_cow(struct faultstate* fs) {
    KERNEL_ASSERT(fs->object->type == OBJT_VNODE || fs->object->ref_count > 1);
    struct vm_page *old = fs->m, *copy = vm_page_alloc(fs->first_object, fs->first_pindex);
    if (copy == NULL) {
        vnode_pager_unmapped(old);
        return false;
    }
    pmap_copy_page(old, copy);
    fs->m = copy;
    fs->fault_class = vm_fault_copy_class(fs);
    if (fs->first_object->ref_count > 1) {
        pmap_remove_all(old);
    }
    vnode_pager_unmapped(old); /* perhaps it was read for this copy alone */
    vm_object_collapse(fs->first_object);
    return true;
}

/* Brings the page into the object from which it will be mapped, and decides with which rights. False if out of memory.
 */
static bool vm_fault_page(struct faultstate* fs) {
    if (fs->m == NULL) {
        return vm_fault_zerofill(fs);
    }
    if (fs->object != fs->first_object) {
        if (fs->write) {
            return vm_fault_cow(fs);
        }
        fs->prot &= ~PROT_WRITE;
    } else if (fs->was_mapped) {
        fs->fault_class = FAULT_COW_REUSE; /* ours alone by now: only the right to write was missing */
    }
    return true;
}

unsigned vm_fault(struct vm_map* map, ptr_t vaddr, int fault_type, bool kernel_access) {
    struct faultstate fs = {.map = map,
                            .vaddr = page_down(vaddr),
                            .write = fault_type == PROT_WRITE,
                            .kernel_access = kernel_access,
                            .fault_class = FAULT_RESIDENT};
    pte_t old = pmap_extract_pte(map->pmap, fs.vaddr);
    fs.was_mapped = pte_isloaded(old);
    if (!vm_map_lookup(&fs)) {
        return FAULT_PROTECTION;
    }
    if (fs.was_mapped && (!fs.write || !pte_iswprotect(old))) {
        tlb_flush_page(fs.vaddr); /* the entry allows it: the translation was out of date */
        return FAULT_SPURIOUS;
    }
    if (!vm_map_lookup_object(&fs) || !vm_fault_object(&fs) || !vm_fault_page(&fs)) {
        return fs.beyond_end ? FAULT_PROTECTION : FAULT_NO_MEMORY;
    }
    if (pmap_enter(map->pmap, fs.vaddr, fs.m, fs.prot) < 0) {
        vnode_pager_unmapped(fs.m);
        return FAULT_NO_MEMORY;
    }
    return fs.fault_class;
}

/* Door: resolves a page fault of a user program or of the kernel's copy for it. False if the access is refused: the
 * user gets SIGSEGV, the copy -EFAULT. */
bool handle_page_fault(struct trap_frame* frame, ptr_t address) {
    trace(TP_FAULT_ENTER, (uint32_t)current_process->pid, address, frame->error);
    unsigned fault_class = FAULT_PROTECTION;
    if (address < USER_TOP) {
        int fault_type = (frame->error & PAGE_FAULT_WRITE) != 0 ? PROT_WRITE : PROT_READ;
        fault_class = vm_fault(&curproc->p_vmspace->vm_map, address, fault_type, !trap_from_user(frame));
    }
    trace(TP_FAULT_LEAVE, (uint32_t)current_process->pid, address, fault_class);
    return fault_class != FAULT_PROTECTION && fault_class != FAULT_NO_MEMORY;
}
