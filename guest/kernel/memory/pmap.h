/* Owns: page tables. pmap.c is the only file that writes page-table entries and the only one that invalidates
 * translations; personalities and the kernel ask it. Promises: an entry is written before its translation is
 * dropped, a frame of tables is never leaked, and nothing here decides about memory. */
#ifndef KERNEL_PMAP_H
#define KERNEL_PMAP_H

#include "guest/kernel/layout.h"
#include "guest/kernel/types.h"

typedef uint32_t pte_t;

#define PTE_PRESENT 0x001u
#define PTE_WRITABLE 0x002u
#define PTE_USER 0x004u
#define PTE_ACCESSED 0x020u
#define PTE_DIRTY 0x040u
#define PDE_LARGE 0x080u
#define PTE_GLOBAL 0x100u
#define PTE_FRAME 0xFFFFF000u

#define null_pte 0x00000000u

#define PDE_COUNT 1024u
#define PDE_SPAN 0x00400000u
#define PDE_USER_END (USER_TOP / PDE_SPAN)

/* Returns the page number of an address. */
static inline pfn_t pfn(ptr_t address) { return address >> PAGE_SHIFT; }

/* Returns the address of a page number. */
static inline ptr_t page_addr(pfn_t number) { return number << PAGE_SHIFT; }

/* Returns where the entry of a page appears in a window (VMS_SELF, VMS_MOUNT_1). Reading it faults where the page's
 * table does not exist: ask ptep_table_present() first. */
static inline pte_t* mkptep_pn(ptr_t window, pfn_t number) { return (pte_t*)window + number; }

/* Returns where the directory entry of a page appears in a window: a directory maps itself in its last slot. */
static inline pte_t* mkpdep_pn(ptr_t window, pfn_t number) {
    return (pte_t*)(window + (PDE_COUNT - 1) * PAGE_BYTES) + number / PDE_COUNT;
}

/* Says whether the table that holds a page's entry exists in the space behind a window. */
static inline bool ptep_table_present(ptr_t window, pfn_t number) {
    return (*mkpdep_pn(window, number) & PTE_PRESENT) != 0;
}

/* Makes an entry that maps a frame with the given PTE_* bits. */
static inline pte_t mkpte(phys_t frame, uint32_t bits) { return (frame & PTE_FRAME) | bits; }

/* Says whether an entry maps a frame. */
static inline bool pte_isloaded(pte_t pte) { return (pte & PTE_PRESENT) != 0; }

/* Says whether an entry is empty. */
static inline bool pte_isnull(pte_t pte) { return pte == null_pte; }

/* Says whether an entry forbids writing (to ring 0 too, because CR0.WP is set). */
static inline bool pte_iswprotect(pte_t pte) { return (pte & PTE_WRITABLE) == 0; }

/* Returns the physical address of the frame that an entry maps. */
static inline phys_t pte_paddr(pte_t pte) { return pte & PTE_FRAME; }

/* Returns the entry without the right to write. */
static inline pte_t pte_mkwprotect(pte_t pte) { return pte & ~PTE_WRITABLE; }

/* Returns the entry with the right to write. */
static inline pte_t pte_mkwritable(pte_t pte) { return pte | PTE_WRITABLE; }

/* Returns the entry as if its page had never been accessed. */
static inline pte_t pte_mkuntouch(pte_t pte) { return pte & ~PTE_ACCESSED; }

/* Returns the entry as if its page had never been written. */
static inline pte_t pte_mkclean(pte_t pte) { return pte & ~PTE_DIRTY; }

/* Shows physical memory through the kernel's linear map. */
static inline void* phys_to_pointer(phys_t address) { return (void*)(address + KERNEL_BASE); }

/* Marks a page that must never be touched. Neither present nor writable, so that write-protecting leaves it as it is.
 * LunaixOS may choose another value before the first address space is made. */
extern pte_t guard_pte;
/* Says whether an entry marks a guard page. */
static inline bool pte_isguardian(pte_t pte) { return pte == guard_pte; }

extern phys_t kernel_directory; /* the directory that has no user half; the idle process runs on it */

/* Builds the kernel's own tables (4 MB pages and global pages if the CPU has them) and leaves boot.S's. Panics if out
 * of memory. */
void pmap_init(void);
/* Allocates a directory: kernel half linked, itself mapped at VMS_SELF, user half empty. Returns 0 if out of memory. */
phys_t pmap_create(void);
/* Frees a directory whose user half is empty, and the table of its kernel stacks. It must not be active. */
void pmap_destroy(phys_t directory);
/* Makes a directory the active one without changing the kernel stack: only exec may, which moves the stack too. */
void pmap_activate(phys_t directory);

/* Writes one entry, in any window or through the linear map. Every entry of every address space is written here and
 * nowhere else. The caller flushes if a translation may exist. */
void set_pte(pte_t* entry, pte_t value);
/* Makes sure that the table exists that holds a page's entry in the space behind a window. False if out of memory. */
bool ptep_alloc_table(ptr_t window, pfn_t number);
/* Frees every table of the user half behind a window; none of their entries may map a frame. */
void pmap_free_user_tables(ptr_t window);

/* Shows another space's tables at VMS_MOUNT_1 of the active space, where nothing may be mounted yet. Must be unmounted
 * before the caller sleeps. */
void pmap_mount(phys_t directory);
/* Closes the window at VMS_MOUNT_1 and drops the translations of it. */
void pmap_unmount(void);
/* From now on mounting and unmounting drop the first page's translation alone; LunaixOS may order it, see its README.
 */
void pmap_flush_one_page(void);
/* Drops what unmounting has left of the window since then; else does nothing. */
void pmap_drop_window(void);

/* Drops the translation of one page of the active space, and the cached directory entry above it. */
void tlb_flush_page(ptr_t address);
/* Drops the translations of a run of pages: one by one, or all at once if they are many. */
void tlb_flush_range(ptr_t address, unsigned pages);
/* Drops every translation that is not global, by loading CR3 with its own value. */
void tlb_flush_all(void);

/* Other spaces without a window, through the linear map: returns the entry of a page, NULL if its table does not exist.
 * The caller flushes if the space is active. */
pte_t* pmap_pte(phys_t directory, ptr_t address);
/* The same, but makes the table if it does not exist. NULL if out of memory. */
pte_t* pmap_pte_make(phys_t directory, ptr_t address);
/* Frees every table of a directory's user half, none of whose entries may map a frame. Flushes if the directory is
 * active. */
void pmap_free_tables(phys_t directory);

/* Returns the top of the first kernel stack that no thread in a directory has; 0 if all are taken. */
ptr_t pmap_kstack_free(phys_t directory);
/* Maps a fresh kernel stack that ends below top in any directory: a guard page, one block of two pages, one single
 * page. False with nothing mapped if out of memory. */
bool pmap_kstack_map(phys_t directory, ptr_t top);
/* Unmaps and frees the kernel stack that ends below top, as far as it is mapped. No thread may be running on it. */
void pmap_kstack_unmap(phys_t directory, ptr_t top);
/* Makes the table of kernel stacks exist in a directory. Returns false if out of memory. */
bool pmap_kstack_table(phys_t directory);
/* Moves one kernel stack, on which the caller may be running, to the same place of another directory, which has the
 * table and becomes the active one. exec calls it if others still use the old space. */
void pmap_kstack_move_one(phys_t from, phys_t to, ptr_t top);
/* Moves the table of kernel stacks from one directory to another that has none; exec calls it between two spaces of a
 * process. */
void pmap_kstack_move(phys_t from, phys_t to);

/* Returns the entry of an address in any directory; null_pte if there is no table, the directory's entry for a large
 * page. For inspection only. */
pte_t pmap_lookup(phys_t directory, ptr_t address);
/* Returns a directory's entry for an address. For inspection only. */
pte_t pmap_lookup_directory(phys_t directory, ptr_t address);
/* Counts the pages present in the user half of any directory; ps and free ask. */
unsigned pmap_count_user_pages(phys_t directory);

#endif
