/* Owns: what FreeBSD's pmap layer knows beyond the entries: which address spaces map a page (pv entries). The
 * machine-independent half calls. Promises: entries are written by the mechanism's set_pte() alone; a translation that
 * may exist is dropped before its frame can be free; a mapping is a reference on its frame, except the first one, which
 * uses the page's own reference. */
#ifndef FREEBSD_PMAP_H
#define FREEBSD_PMAP_H

#include "guest/kernel/memory/pmap.h"
#include "guest/personality/freebsd/vm_page.h"

/* The page tables of one address space. */
struct pmap {
    phys_t pm_pdir;             /* the page directory; 0 before there is one */
    unsigned pm_resident_count; /* pages mapped */
};

/* One mapping of a page. */
struct pv_entry {
    struct pv_entry* pv_next;
    struct pmap* pv_pmap;
    ptr_t pv_va;
};

/* Makes an empty page directory; vmspace_alloc() calls it. 0 or -ENOMEM. */
int pmap_pinit(struct pmap* pmap);
/* Frees the tables and the directory, which is not active and maps nothing any more. */
void pmap_release(struct pmap* pmap);

/* Maps a page for PROT_* rights, in the place of whatever was there; faults and exec call it. 0, or -ENOMEM with the
 * old mapping kept. */
int pmap_enter(struct pmap* pmap, ptr_t va, struct vm_page* page, int prot);
/* Unmaps a range; the deletion of map entries calls it. */
void pmap_remove(struct pmap* pmap, ptr_t start, ptr_t end);
/* Unmaps a page from every address space, before it is freed or because sharers must find its successor. */
void pmap_remove_all(struct vm_page* page);
/* Write-protects a range, with one flush at the end; fork calls it for the parent. */
void pmap_protect(struct pmap* pmap, ptr_t start, ptr_t end);
/* Copies the entries of a range into a space that maps nothing there and is not active, to spare it the faults; fork
 * calls it. It may stop half-way if out of memory: faults then find the rest. */
void pmap_copy(struct pmap* to, struct pmap* from, ptr_t start, ptr_t end);
/* Returns the entry of an address; null_pte if there is none. */
pte_t pmap_extract_pte(const struct pmap* pmap, ptr_t va);
/* Fills a page with zeroes. */
void pmap_zero_page(struct vm_page* page);
/* Fills a page with the bytes of another one. */
void pmap_copy_page(const struct vm_page* from, struct vm_page* to);

#endif
