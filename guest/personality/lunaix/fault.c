/* F: the page fault, which makes copy-on-write, demand-zero and file pages. Read handle_page_fault() first. */
#include "guest/abi/trace.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/lunaix/lunaix.h"

/* All that is known about one fault. */
struct fault_context {
    ptr_t fault_va;      /* its page */
    uint32_t error;      /* the CPU's error code */
    bool kernel_access;  /* the kernel copies from or to user memory */
    bool kernel_vmfault; /* the address lies in the kernel's half */
    struct proc_mm* mm;
    struct mm_region* vmr;
    pte_t fault_pte;          /* the entry before the fault */
    struct leaflet* prealloc; /* for an entry that is to map a page */
    unsigned fault_class;     /* FAULT_*, once resolved */
};

/* Collects what is known, and allocates a leaflet ahead where the entry is to map one. */
static void __prepare_fault_context(struct fault_context* fault, const struct trap_frame* frame, ptr_t address) {
    fault->fault_va = page_down(address);
    fault->error = frame->error;
    fault->kernel_access = !trap_from_user(frame);
    fault->kernel_vmfault = address >= USER_TOP;
    fault->mm = vmspace(__current);
    if (fault->kernel_vmfault) {
        return;
    }
    pfn_t pn = pfn(address);
    fault->fault_pte = ptep_table_present(VMS_SELF, pn) ? *mkptep_pn(VMS_SELF, pn) : null_pte;
    if (!pte_isloaded(fault->fault_pte) && !pte_isguardian(fault->fault_pte)) {
        fault->prealloc = alloc_leaflet(0);
    }
    fault->vmr = region_get(fault->mm, address);
}

/* Says whether the region allows what was tried. */
static bool __access_allowed(const struct fault_context* fault) {
    if ((fault->error & PAGE_FAULT_WRITE) != 0) {
        return writable_region(fault->vmr);
    }
    return (fault->vmr->attr & (REGION_READ | REGION_EXEC)) != 0;
}

/* Case: the entry is present and yet there was a fault. If the entry allows what was tried, the translation was stale.
 * Otherwise this is a write to a shared page, which gets a copy of its own. LunaixOS copies even a page that is no
 * longer shared. False if out of memory. */
static bool __handle_conflict_pte(struct fault_context* fault) {
    pte_t pte = fault->fault_pte;
    if ((fault->error & PAGE_FAULT_WRITE) == 0 || !pte_iswprotect(pte)) {
        tlb_flush_page(fault->fault_va);
        fault->fault_class = FAULT_SPURIOUS;
        return true;
    }
    struct leaflet* fault_leaflet = pte_leaflet(pte);
    struct leaflet* duped_leaflet = dup_leaflet(fault_leaflet);
    if (duped_leaflet == NULL) {
        fault->fault_class = FAULT_NO_MEMORY;
        return false;
    }
    pte = pte_mkclean(pte_mkuntouch(pte_mkwritable(pte)));
    ptep_map_leaflet(mkptep_pn(VMS_SELF, pfn(fault->fault_va)), pte, duped_leaflet);
    tlb_flush_page(fault->fault_va);
    leaflet_return(fault_leaflet);
    cow_copies_since_boot++;
    fault->fault_class = fault->kernel_access ? FAULT_KERNEL_COPY : FAULT_COW_COPY;
    return true;
}

/* Writes into a leaflet what a page of a region holds before it is written: the file's bytes as far as they reach, then
 * zeroes. Returns the class that such a fault has. */
unsigned region_fill_page(const struct mm_region* region, ptr_t address, struct leaflet* leaflet) {
    uint8_t* bytes = frame_pointer(leaflet);
    unsigned skip = address - region->start;
    size_t wanted = region->mfile != NULL && region->flen > skip ? region->flen - skip : 0;
    wanted = wanted < PAGE_BYTES ? wanted : PAGE_BYTES;
    size_t had = wanted > 0 ? node_read(region->mfile, region->foff + skip, bytes, wanted) : 0;
    memset(bytes + had, 0, PAGE_BYTES - had);
    if (had > 0) {
        return FAULT_FILE;
    }
    return (region->attr & (REGION_TYPE_STACK | REGION_GUARDED)) != 0 ? FAULT_STACK : FAULT_DEMAND_ZERO;
}

/* Case: the entry maps nothing, in an anonymous region or one with a file: the pre-allocated leaflet is filled and
 * installed. False if out of memory. */
static bool __handle_absent_pte(struct fault_context* fault) {
    pfn_t pn = pfn(fault->fault_va);
    if (fault->prealloc == NULL || !ptep_alloc_table(VMS_SELF, pn)) {
        fault->fault_class = FAULT_NO_MEMORY;
        return false;
    }
    fault->fault_class = region_fill_page(fault->vmr, fault->fault_va, fault->prealloc);
    ptep_map_leaflet(mkptep_pn(VMS_SELF, pn), region_pte_bits(fault->vmr), fault->prealloc);
    tlb_flush_page(fault->fault_va);
    fault->prealloc = NULL;
    return true;
}

/* Goes through the cases in order. Returns whether the access can be tried again. */
static bool __try_resolve(struct fault_context* fault) {
    if (fault->kernel_vmfault) {
        return false;
    }
    if (pte_isguardian(fault->fault_pte)) {
        return false; /* over-run of a stack */
    }
    if (fault->vmr == NULL || !__access_allowed(fault)) {
        return false;
    }
    if (pte_isloaded(fault->fault_pte)) {
        return __handle_conflict_pte(fault);
    }
    return __handle_absent_pte(fault);
}

/* Door: resolves a page fault of a user program or of the kernel's copy for it. False if the access is refused:
 * the user gets SIGSEGV, the copy -EFAULT. */
bool handle_page_fault(struct trap_frame* frame, ptr_t address) {
    struct fault_context fault = {.fault_class = FAULT_PROTECTION};
    trace(TP_FAULT_ENTER, (uint32_t)__current->pid, address, frame->error);
    __prepare_fault_context(&fault, frame, address);
    bool resolved = __try_resolve(&fault);
    if (fault.prealloc != NULL) {
        leaflet_return(fault.prealloc);
    }
    trace(TP_FAULT_LEAVE, (uint32_t)__current->pid, address, fault.fault_class);
    return resolved;
}

/* Makes sure that each page of a region of the running process is present, and private if it may be written: a region
 * that becomes WSHARED must have its frames before the next fork. 0, or -ENOMEM with a part done, which does no harm.
 * */
int region_populate(struct mm_region* region) {
    ptr_t first = (region->attr & REGION_GUARDED) != 0 ? region->start + PAGE_BYTES : region->start;
    for (ptr_t va = first; va < region->end; va += PAGE_BYTES) {
        if (!ptep_alloc_table(VMS_SELF, pfn(va))) {
            return -ENOMEM;
        }
        pte_t* ptep = mkptep_pn(VMS_SELF, pfn(va));
        pte_t pte = *ptep;
        struct leaflet* leaflet = NULL;
        if (pte_isloaded(pte)) {
            if (!writable_region(region) || !pte_iswprotect(pte)) {
                continue;
            }
            leaflet = dup_leaflet(pte_leaflet(pte));
        } else {
            leaflet = alloc_leaflet(0);
        }
        if (leaflet == NULL) {
            return -ENOMEM;
        }
        if (!pte_isloaded(pte)) {
            region_fill_page(region, va, leaflet);
        }
        ptep_map_leaflet(ptep, region_pte_bits(region), leaflet);
        if (pte_isloaded(pte)) {
            tlb_flush_page(va);
            leaflet_return(pte_leaflet(pte));
        }
    }
    return 0;
}
