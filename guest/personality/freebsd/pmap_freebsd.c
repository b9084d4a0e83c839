/* FreeBSD's pmap calls on top of the mechanism's page tables. */
#include "guest/personality/freebsd/pmap_freebsd.h"
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"
#include "guest/kernel/x86.h"
#include "guest/personality/freebsd/uma.h"
#include "guest/personality/freebsd/vm_object.h"

static struct uma_zone pvzone = {"PV ENTRY", sizeof(struct pv_entry), 0};

int pmap_pinit(struct pmap* pmap) {
    pmap->pm_pdir = pmap_create();
    return pmap->pm_pdir != 0 ? 0 : -ENOMEM;
}

void pmap_release(struct pmap* pmap) {
    KERNEL_ASSERT(pmap->pm_resident_count == 0);
    pmap_free_tables(pmap->pm_pdir);
    pmap_destroy(pmap->pm_pdir);
    pmap->pm_pdir = 0;
}

/* Says whether the CPU translates by this space now: no other one can have translations in the TLB. */
static bool pmap_is_active(const struct pmap* pmap) { return pmap->pm_pdir == read_cr3(); }

pte_t pmap_extract_pte(const struct pmap* pmap, ptr_t va) {
    const pte_t* entry = pmap_pte(pmap->pm_pdir, va);
    return entry != NULL ? *entry : null_pte;
}

/* Notes a mapping on its page. From the second one on, each takes a reference on the frame. */
static void pmap_insert_entry(struct pmap* pmap, struct vm_page* page, struct pv_entry* pv, ptr_t va) {
    pv->pv_pmap = pmap;
    pv->pv_va = va;
    pv->pv_next = page->pv_list;
    page->pv_list = pv;
    page->pv_count++;
    pmap->pm_resident_count++;
    if (page->pv_count > 1) {
        frame_share(vm_page_frame(page));
    }
}

/* Forgets a mapping, whose pv entry goes to the caller, and releases its reference. A file's page whose last mapping
 * goes is freed at once: there is no page cache, so that the count of free frames is exact. */
static struct pv_entry* pmap_remove_entry(struct pmap* pmap, struct vm_page* page, ptr_t va) {
    struct pv_entry** place = &page->pv_list;
    while ((*place)->pv_pmap != pmap || (*place)->pv_va != va) {
        place = &(*place)->pv_next;
    }
    struct pv_entry* pv = *place;
    *place = pv->pv_next;
    pmap->pm_resident_count--;
    page->pv_count--;
    if (page->pv_count > 0) {
        frame_release(vm_page_frame(page));
    } else {
        vnode_pager_unmapped(page);
    }
    return pv;
}

/* Unmaps one present entry: the entry first, then the translation, then the frame's reference. Returns its pv entry,
 * for the caller to free or to reuse. */
static struct pv_entry* pmap_remove_pte(struct pmap* pmap, pte_t* entry, ptr_t va) {
    pte_t old = *entry;
    set_pte(entry, null_pte);
    if (pmap_is_active(pmap)) {
        tlb_flush_page(va);
    }
    return pmap_remove_entry(pmap, vm_page_of(pte_paddr(old)), va);
}

int pmap_enter(struct pmap* pmap, ptr_t va, struct vm_page* page, int prot) {
    pte_t* entry = pmap_pte_make(pmap->pm_pdir, va);
    if (entry == NULL) {
        return -ENOMEM;
    }
    struct frame* frame = vm_page_frame(page);
    bool same = pte_isloaded(*entry) && pte_paddr(*entry) == frame_address(frame);
    if (!same) {
        struct pv_entry* pv = pte_isloaded(*entry) ? pmap_remove_pte(pmap, entry, va) : uma_zalloc(&pvzone);
        if (pv == NULL) {
            return -ENOMEM;
        }
        pmap_insert_entry(pmap, page, pv, va);
    }
    pte_t bits = PTE_PRESENT | PTE_USER | ((prot & PROT_WRITE) != 0 ? PTE_WRITABLE : 0);
    set_pte(entry, mkpte(frame_address(frame), bits));
    if (same && pmap_is_active(pmap)) {
        tlb_flush_page(va);
    }
    return 0;
}

/* Returns the entry of the first address from *va on that has a table, moving *va there; NULL if none has below the
 * end. */
static pte_t* pmap_next_pte(const struct pmap* pmap, ptr_t* va, ptr_t end) {
    while (*va < end) {
        pte_t* entry = pmap_pte(pmap->pm_pdir, *va);
        if (entry != NULL) {
            return entry;
        }
        *va = (*va & ~(PDE_SPAN - 1)) + PDE_SPAN;
    }
    return NULL;
}

void pmap_remove(struct pmap* pmap, ptr_t start, ptr_t end) {
    pte_t* entry;
    for (ptr_t va = start; (entry = pmap_next_pte(pmap, &va, end)) != NULL; va += PAGE_BYTES) {
        if (pte_isloaded(*entry)) {
            uma_zfree(&pvzone, pmap_remove_pte(pmap, entry, va));
        }
    }
}

void pmap_remove_all(struct vm_page* page) {
    for (unsigned count = page->pv_count; count > 0; count--) {
        struct pv_entry* pv = page->pv_list;
        pmap_remove_pte(pv->pv_pmap, pmap_pte(pv->pv_pmap->pm_pdir, pv->pv_va), pv->pv_va);
        uma_zfree(&pvzone, pv);
    }
}

void pmap_protect(struct pmap* pmap, ptr_t start, ptr_t end) {
    bool anychanged = false;
    pte_t* entry;
    for (ptr_t va = start; (entry = pmap_next_pte(pmap, &va, end)) != NULL; va += PAGE_BYTES) {
        if (pte_isloaded(*entry) && !pte_iswprotect(*entry)) {
            set_pte(entry, pte_mkwprotect(*entry));
            anychanged = true;
        }
    }
    if (anychanged && pmap_is_active(pmap)) {
        tlb_flush_range(start, pfn(end - start));
    }
}

/* Copies one present entry into another space, as if the page had never been touched there. False if out of memory. */
static bool pmap_copy_pte(struct pmap* to, ptr_t va, pte_t pte) {
    pte_t* entry = pmap_pte_make(to->pm_pdir, va);
    struct pv_entry* pv = entry != NULL ? uma_zalloc(&pvzone) : NULL;
    if (pv == NULL) {
        return false;
    }
    pmap_insert_entry(to, vm_page_of(pte_paddr(pte)), pv, va);
    set_pte(entry, pte_mkclean(pte_mkuntouch(pte)));
    return true;
}

void pmap_copy(struct pmap* to, struct pmap* from, ptr_t start, ptr_t end) {
    const pte_t* entry;
    for (ptr_t va = start; (entry = pmap_next_pte(from, &va, end)) != NULL; va += PAGE_BYTES) {
        if (pte_isloaded(*entry) && !pmap_copy_pte(to, va, *entry)) {
            return;
        }
    }
}

void pmap_zero_page(struct vm_page* page) { memset(frame_pointer(vm_page_frame(page)), 0, PAGE_BYTES); }

void pmap_copy_page(const struct vm_page* from, struct vm_page* to) {
    const struct frame *source = vm_page_frame(from), *target = vm_page_frame(to);
    memcpy(frame_pointer(target), frame_pointer(source), PAGE_BYTES);
    trace(TP_FRAME_COPY, frame_address(source), frame_address(target), FRAME_USER);
}
