/* sys_vmctl: what VM has decided about page tables and frames, done by the kernel: pmap.c stays the one writer of
 * entries, frames.c the one owner of memory. A frame's references are counted here as well as in VM: one for each entry
 * that maps it, and one while VM holds it in hand, between VMCTL_ALLOCFRAME and the entry that takes it over. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/string.h"
#include "guest/kernel/x86.h"
#include "guest/personality/minix/proc.h"

#define OWN_HEAP_BASE 0x80000000u
#define OWN_HEAP_SHARE 8u /* VM may use an eighth of memory for its own tables */

/* Says whether a frame is the page directory of some address space. */
static bool is_directory(phys_t address) {
    return address % PAGE_BYTES == 0 && address < boot_info.ram_top && frame_of(address)->use == FRAME_PAGE_DIRECTORY;
}

/* VMCTL_PT_NEW: makes a page directory, and with a slot also all else that a child in it will need. */
static int pt_new(message* m) {
    struct proc* parent = NULL;
    int slot = m->SVMCTL_SLOT;
    if (slot >= NR_PROCS || (slot >= 0 && !isokendpt(m->SYS_ENDPT, &parent))) {
        return -EINVAL;
    }
    phys_t directory = pmap_create();
    if (directory == 0) {
        return -ENOMEM;
    }
    int r = slot >= 0 ? fork_allocate(slot, parent, directory) : OK;
    if (r != OK) {
        pmap_destroy(directory);
        return r;
    }
    m->SVMCTL_PDBR = directory;
    return OK;
}

/* VMCTL_PT_FREE: frees a page directory with its tables, whose entries are empty, and the child that was never
 * committed. */
static int pt_free(const message* m) {
    int slot = m->SVMCTL_SLOT;
    if (!is_directory(m->SVMCTL_PDBR) || slot >= NR_PROCS) {
        return -EINVAL;
    }
    pmap_free_tables(m->SVMCTL_PDBR);
    if (slot >= 0 && (proc[slot].p_rts_flags & RTS_VMINHIBIT) != 0) {
        delete_process(proc[slot].p_process);
    }
    pmap_destroy(m->SVMCTL_PDBR);
    return OK;
}

/* Writes one entry. The frame that it mapped before loses a reference, unless it is the same one; the new one gains one
 * or was in VM's hand. -ENOMEM where the entry needs a table and there is no memory. */
static int write_entry(phys_t directory, const struct pt_entry* entry) {
    bool present = (entry->flags & PTF_PRESENT) != 0;
    pte_t* ptep = present ? pmap_pte_make(directory, entry->vir) : pmap_pte(directory, entry->vir);
    if (ptep == NULL) {
        return present ? -ENOMEM : OK;
    }
    pte_t old = *ptep;
    bool same = present && pte_isloaded(old) && pte_paddr(old) == entry->phys;
    if (present && !same && (entry->flags & PTF_NEW) == 0) {
        frame_share(frame_of(entry->phys));
    }
    uint32_t bits = PTE_PRESENT | PTE_USER | ((entry->flags & PTF_WRITE) != 0 ? PTE_WRITABLE : 0);
    set_pte(ptep, present ? mkpte(entry->phys, bits) : null_pte);
    if (directory == read_cr3()) {
        tlb_flush_page(entry->vir);
    }
    if (pte_isloaded(old) && !same) {
        frame_release(frame_of(pte_paddr(old)));
    }
    return OK;
}

/* VMCTL_PT_BATCH: writes a batch of entries of one directory. No translation need be dropped: VM runs in an address
 * space of its own, so the owner of these pages runs again only after a load of CR3. OK, or -ENOMEM with a part
 * written. */
static int pt_batch(const message* m) {
    struct pt_entry entries[PT_BATCH_ENTRIES];
    uint32_t count = m->SVMCTL_COUNT;
    if (!is_directory(m->SVMCTL_PDBR) || count > PT_BATCH_ENTRIES ||
        copy_from_user(entries, m->SVMCTL_ADDR, count * sizeof(entries[0])) < 0) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].vir >= USER_TOP || entries[i].phys >= boot_info.ram_top) {
            return -EINVAL;
        }
        int r = write_entry(m->SVMCTL_PDBR, &entries[i]);
        if (r != OK) {
            return r;
        }
    }
    return OK;
}

/* VMCTL_PT_BIND: makes a page table its process's, which is no longer inhibited by VM. */
static int pt_bind(struct proc* rp, const message* m) {
    if (rp == NULL || !is_directory(m->SVMCTL_PDBR)) {
        return -EINVAL;
    }
    rp->p_process->page_directory = m->SVMCTL_PDBR;
    rts_unset(rp, RTS_VMINHIBIT);
    return OK;
}

/* VMCTL_OWNHEAP: tells the caller where it may have pages of its own, and makes their tables, once and for all. */
static int own_heap(const struct proc* caller, message* m) {
    uint32_t bytes = (boot_info.ram_top / OWN_HEAP_SHARE + PDE_SPAN - 1) / PDE_SPAN * PDE_SPAN;
    for (ptr_t va = OWN_HEAP_BASE; va < OWN_HEAP_BASE + bytes; va += PDE_SPAN) {
        if (pmap_pte_make(caller->p_process->page_directory, va) == NULL) {
            return -ENOMEM;
        }
    }
    m->SVMCTL_ADDR = OWN_HEAP_BASE;
    m->SVMCTL_COUNT = pfn(bytes);
    return OK;
}

/* VMCTL_FREEPAGES: frees pages of the caller's heap, as far as they are mapped. */
static int free_pages(phys_t directory, ptr_t start, uint32_t count) {
    for (ptr_t va = start; va < start + count * PAGE_BYTES; va += PAGE_BYTES) {
        const struct pt_entry entry = {.vir = va};
        write_entry(directory, &entry);
    }
    return OK;
}

/* VMCTL_ALLOCPAGES: gives the caller cleared pages in its heap. OK, or -ENOMEM with nothing changed. */
static int alloc_pages(phys_t directory, ptr_t start, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct frame* frame = frame_alloc(0, FRAME_HEAP);
        if (frame == NULL) {
            free_pages(directory, start, i);
            return -ENOMEM;
        }
        memset(frame_pointer(frame), 0, PAGE_BYTES);
        const struct pt_entry entry = {start + i * PAGE_BYTES, frame_address(frame), PTF_PRESENT | PTF_WRITE | PTF_NEW};
        write_entry(directory, &entry);
    }
    return OK;
}

/* VMCTL_ALLOCPAGES and VMCTL_FREEPAGES: checks that the pages lie in the heap, whose tables exist. */
static int own_pages(const struct proc* caller, const message* m, int (*act)(phys_t, ptr_t, uint32_t)) {
    phys_t directory = caller->p_process->page_directory;
    uint32_t start = m->SVMCTL_ADDR, count = m->SVMCTL_COUNT;
    if (start < OWN_HEAP_BASE || start >= USER_TOP || start % PAGE_BYTES != 0 || count == 0 ||
        count > pfn(USER_TOP - start) || pmap_pte(directory, start) == NULL ||
        pmap_pte(directory, start + (count - 1) * PAGE_BYTES) == NULL) {
        return -EINVAL;
    }
    return act(directory, start, count);
}

/* VMCTL_ALLOCFRAME: gives VM a frame in hand. OK or -ENOMEM. */
static int alloc_frame(message* m) {
    struct frame* frame = frame_alloc(0, FRAME_USER);
    if (frame == NULL) {
        return -ENOMEM;
    }
    m->SVMCTL_VALUE = frame_address(frame);
    return OK;
}

/* VMCTL_CLEAR_PAGEFAULT: VM has dealt with a fault; its class says how. The process tries again, or gets its signal;
 * the mechanism must know if the reason is lack of memory. */
static int clear_pagefault(struct proc* rp, const message* m) {
    if (rp == NULL) {
        return -EINVAL;
    }
    rp->p_fault_class = m->SVMCTL_VALUE;
    refusals_since_boot += m->SVMCTL_COUNT;
    rts_unset(rp, RTS_PAGEFAULT);
    return OK;
}

/* sys_vmctl: chooses by parameter. OK or a negative error. */
int do_vmctl(struct proc* caller, message* m) {
    struct proc* rp;
    rp = isokendpt(m->SYS_ENDPT == SELF ? caller->p_endpoint : m->SYS_ENDPT, &rp) ? rp : NULL;
    switch (m->SVMCTL_PARAM) {
    case VMCTL_PT_NEW:
        return pt_new(m);
    case VMCTL_PT_FREE:
        return pt_free(m);
    case VMCTL_PT_BATCH:
        return pt_batch(m);
    case VMCTL_PT_BIND:
        return pt_bind(rp, m);
    case VMCTL_GET_PDBR:
        m->SVMCTL_PDBR = rp != NULL ? rp->p_process->page_directory : 0;
        return rp != NULL ? OK : -EINVAL;
    case VMCTL_CLEAR_PAGEFAULT:
        return clear_pagefault(rp, m);
    case VMCTL_ALLOCFRAME:
        return alloc_frame(m);
    case VMCTL_FREEFRAME:
        frame_release(frame_of(m->SVMCTL_VALUE));
        return OK;
    case VMCTL_OWNHEAP:
        return own_heap(caller, m);
    case VMCTL_ALLOCPAGES:
        return own_pages(caller, m, alloc_pages);
    case VMCTL_FREEPAGES:
        return own_pages(caller, m, free_pages);
    default:
        return -EINVAL;
    }
}
