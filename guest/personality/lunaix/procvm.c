/* Address spaces: made, copied, mounted, torn down. A space is reached through a window: our own at VMS_SELF, another
 * one's at VMS_MOUNT_1 while it is mounted there. */
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/panic.h"
#include "guest/personality/lunaix/lunaix.h"

const char personality_name[] = "LunaixOS";

/* Makes the memory of a process, without page directory or regions; NULL if out of memory. */
struct proc_mm* procvm_create(struct process* process) {
    struct proc_mm* mm = kzalloc(sizeof(*mm));
    if (mm != NULL) {
        mm->proc = process;
        list_init(&mm->regions);
    }
    return mm;
}

/* Frees what procvm_create() made, and the page directory; both halves must be empty of pages by now. */
void procvm_release(struct proc_mm* mm) {
    if (mm->vmroot != 0) {
        pmap_destroy(mm->vmroot);
    }
    kfree(mm);
}

/* Shows a space's tables at VMS_MOUNT_1. */
void procvm_mount(struct proc_mm* mm) {
    KERNEL_ASSERT(mm->vm_mnt == 0);
    pmap_mount(mm->vmroot);
    mm->vm_mnt = VMS_MOUNT_1;
}

/* Closes the window on a space. */
void procvm_unmount(struct proc_mm* mm) {
    KERNEL_ASSERT(mm->vm_mnt == VMS_MOUNT_1);
    pmap_unmount();
    mm->vm_mnt = 0;
}

/* Copies one user page table, entry by entry, and borrows the leaflet behind every present one. A guard page's entry
 * is copied as it stands. */
static void ptcpy(ptr_t dest_mnt, ptr_t src_mnt, pfn_t first) {
    for (pfn_t pn = first; pn < first + PDE_COUNT; pn++) {
        pte_t pte = *mkptep_pn(src_mnt, pn);
        if (pte_isnull(pte)) {
            continue;
        }
        if (pte_isloaded(pte)) {
            leaflet_borrow(pte_leaflet(pte));
        }
        set_pte(mkptep_pn(dest_mnt, pn), pte);
    }
}

/* Copies every user page table of our own space into the mounted one. 0, or -ENOMEM with a part copied, which
 * procvm_teardown() undoes. */
static int vmscpy(ptr_t dest_mnt, ptr_t src_mnt) {
    for (pfn_t pn = 0; pn < pfn(USER_TOP); pn += PDE_COUNT) {
        if (!ptep_table_present(src_mnt, pn)) {
            continue;
        }
        if (!ptep_alloc_table(dest_mnt, pn)) {
            return -ENOMEM;
        }
        ptcpy(dest_mnt, src_mnt, pn);
    }
    return 0;
}

/* Makes a child's address space from the running process's and leaves it mounted at VMS_MOUNT_1: new directory, kernel
 * half linked, user tables copied, regions duplicated. dup_proc() calls it. 0, or -ENOMEM with nothing mounted and
 * nothing left. */
int procvm_dupvms_mount(struct proc_mm* mm) {
    struct proc_mm* parent = vmspace(__current);
    mm->vmroot = pmap_create();
    if (mm->vmroot == 0) {
        return -ENOMEM;
    }
    mm->proc->page_directory = mm->vmroot;
    mm->heap_start = parent->heap_start;
    mm->heap_end = parent->heap_end;
    procvm_mount(mm);
    int error = vmscpy(mm->vm_mnt, VMS_SELF);
    if (error < 0) {
        goto fail;
    }
    error = region_copy_mm(parent, mm);
    if (error < 0) {
        goto fail;
    }
    return 0;

fail:
    procvm_teardown(mm, mm->vm_mnt);
    procvm_unmount(mm);
    return error;
}

/* Empties one user page table: every present entry's translation is dropped where one can exist, its leaflet returned.
 */
static void ptfree(ptr_t vm_mnt, pfn_t first) {
    for (pfn_t pn = first; pn < first + PDE_COUNT; pn++) {
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
}

/* Empties the user half of the space behind a window and frees its tables and regions, however far they were built. */
void procvm_teardown(struct proc_mm* mm, ptr_t vm_mnt) {
    for (pfn_t pn = 0; pn < pfn(USER_TOP); pn += PDE_COUNT) {
        if (ptep_table_present(vm_mnt, pn)) {
            ptfree(vm_mnt, pn);
        }
    }
    pmap_free_user_tables(vm_mnt);
    struct mm_region *region, *following;
    list_for_each(region, following, &mm->regions, head) { region_release(region); }
}

/* Drops the translations of some pages of a space, if it is the one in which we run; a space that CR3 does not show
 * has none left. */
void tlb_flush_mm_range(const struct proc_mm* mm, pfn_t first, unsigned pages) {
    if (mm == vmspace(__current)) {
        tlb_flush_range(page_addr(first), pages);
    }
}

/* Drops our own space's translations of a region's addresses, whichever process the region belongs to: fork has just
 * taken the right to write from both. */
void tlb_flush_vmr_all(const struct mm_region* region) {
    tlb_flush_range(region->start, pfn(region->end - region->start));
}

/* Door: makes the empty memory of a new process; NULL if out of memory. */
void* vm_alloc(struct process* process) { return procvm_create(process); }

/* Door: frees everything of a process that is not running: one that has died and emptied its user half, or one that
 * fork has not committed. */
void vm_destroy(struct process* process) {
    struct proc_mm* mm = vmspace(process);
    if (mm->vmroot != 0 && !list_empty(&mm->regions)) {
        procvm_mount(mm);
        procvm_teardown(mm, mm->vm_mnt);
        procvm_unmount(mm);
    }
    procvm_release(mm);
}

/* Door: gives the first process an address space without user memory. 0 or -ENOMEM. */
int vm_create_first(struct process* process) {
    struct proc_mm* mm = vmspace(process);
    mm->vmroot = pmap_create();
    process->page_directory = mm->vmroot;
    return mm->vmroot != 0 ? 0 : -ENOMEM;
}

/* Door: empties the user half of the running process, which is dying; its directory and kernel stack remain. */
void vm_exit(struct process* process) { procvm_teardown(vmspace(process), VMS_SELF); }
