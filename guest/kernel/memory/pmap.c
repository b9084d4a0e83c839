#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"
#include "guest/kernel/x86.h"

#define TABLE_BITS (PTE_PRESENT | PTE_WRITABLE)
#define FLUSH_LIMIT 32u /* above this many pages one reload of CR3 is cheaper than as many INVLPG */

phys_t kernel_directory;
pte_t guard_pte = 0xDEADC0F0u;
static unsigned window_flush_pages = PDE_COUNT;
static pte_t kernel_directory_entries[PDE_COUNT] __attribute__((aligned(PAGE_BYTES)));

void set_pte(pte_t* entry, pte_t value) { *(volatile pte_t*)entry = value; }

void tlb_flush_page(ptr_t address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

void tlb_flush_all(void) { pmap_activate(read_cr3()); }

void tlb_flush_range(ptr_t address, unsigned pages) {
    if (pages > FLUSH_LIMIT) {
        tlb_flush_all();
        return;
    }
    for (unsigned i = 0; i < pages; i++) {
        tlb_flush_page(address + i * PAGE_BYTES);
    }
}

void pmap_activate(phys_t directory) { __asm__ volatile("movl %0, %%cr3" : : "r"(directory) : "memory"); }

/* Shows the entries of a table or directory through the linear map. */
static pte_t* table_entries(phys_t table) { return phys_to_pointer(table); }

/* Maps 4 MB of RAM by a table of small pages, for CPUs without large ones; pmap_init() calls it. */
static void map_linear_small(unsigned slot, uint32_t global) {
    phys_t table = boot_alloc(PAGE_BYTES);
    pte_t* entries = table_entries(table);
    for (unsigned i = 0; i < PDE_COUNT; i++) {
        set_pte(&entries[i], mkpte(slot * PDE_SPAN + i * PAGE_BYTES, TABLE_BITS | global));
    }
    pte_t* active = phys_to_pointer(read_cr3());
    set_pte(&kernel_directory_entries[KERNEL_BASE / PDE_SPAN + slot], mkpte(table, TABLE_BITS));
    set_pte(&active[KERNEL_BASE / PDE_SPAN + slot], mkpte(table, TABLE_BITS));
}

void pmap_init(void) {
    uint32_t features = cpu_features();
    uint32_t global = (features & CPUID_PGE) != 0 ? PTE_GLOBAL : 0;
    unsigned slots = (boot_info.ram_top + PDE_SPAN - 1) / PDE_SPAN;
    if ((features & CPUID_PSE) != 0) {
        write_cr4(read_cr4() | CR4_PAGE_SIZE);
    }
    for (unsigned slot = 0; slot < slots; slot++) {
        if ((features & CPUID_PSE) != 0) {
            set_pte(&kernel_directory_entries[KERNEL_BASE / PDE_SPAN + slot],
                    mkpte(slot * PDE_SPAN, TABLE_BITS | PDE_LARGE | global));
        } else {
            map_linear_small(slot, global);
        }
    }
    kernel_directory = (phys_t)kernel_directory_entries - KERNEL_BASE;
    set_pte(&kernel_directory_entries[VMS_SELF / PDE_SPAN], mkpte(kernel_directory, TABLE_BITS));
    pmap_activate(kernel_directory);
    if (global != 0) {
        write_cr4(read_cr4() | CR4_PAGE_GLOBAL);
    }
    write_cr0(read_cr0() | CR0_EMULATION | CR0_WRITE_PROTECT | CR0_NUMERIC_ERROR); /* no FPU: its state is not saved */
}

phys_t pmap_create(void) {
    struct frame* frame = frame_alloc(0, FRAME_PAGE_DIRECTORY);
    if (frame == NULL) {
        return 0;
    }
    phys_t directory = frame_address(frame);
    pte_t* entries = table_entries(directory);
    memset(entries, 0, PAGE_BYTES);
    for (unsigned i = KERNEL_BASE / PDE_SPAN; i < KSTACK_AREA / PDE_SPAN; i++) {
        if (!pte_isnull(kernel_directory_entries[i])) {
            set_pte(&entries[i], kernel_directory_entries[i]);
        }
    }
    set_pte(&entries[VMS_SELF / PDE_SPAN], mkpte(directory, TABLE_BITS));
    return directory;
}

void pmap_destroy(phys_t directory) {
    pte_t* entries = table_entries(directory);
    pte_t stacks = entries[KSTACK_AREA / PDE_SPAN];
    KERNEL_ASSERT(directory != read_cr3());
    if (pte_isloaded(stacks)) {
        frame_release(frame_of(pte_paddr(stacks)));
    }
    frame_release(frame_of(directory));
}

bool ptep_alloc_table(ptr_t window, pfn_t number) {
    pte_t* slot = mkpdep_pn(window, number);
    if (pte_isloaded(*slot)) {
        return true;
    }
    struct frame* frame = frame_alloc(0, FRAME_PAGE_TABLE);
    if (frame == NULL) {
        return false;
    }
    memset(frame_pointer(frame), 0, PAGE_BYTES);
    set_pte(slot, mkpte(frame_address(frame), TABLE_BITS | PTE_USER));
    return true;
}

void pmap_free_user_tables(ptr_t window) {
    for (unsigned i = 0; i < PDE_USER_END; i++) {
        pte_t* slot = mkpdep_pn(window, i * PDE_COUNT);
        if (!pte_isloaded(*slot)) {
            continue;
        }
        struct frame* frame = frame_of(pte_paddr(*slot));
        set_pte(slot, null_pte);
        tlb_flush_page((ptr_t)mkptep_pn(window, i * PDE_COUNT));
        frame_release(frame);
    }
}

pte_t* pmap_pte(phys_t directory, ptr_t address) {
    pte_t slot = table_entries(directory)[address / PDE_SPAN];
    return pte_isloaded(slot) ? &table_entries(pte_paddr(slot))[pfn(address) % PDE_COUNT] : NULL;
}

pte_t* pmap_pte_make(phys_t directory, ptr_t address) {
    pte_t* slot = &table_entries(directory)[address / PDE_SPAN];
    if (!pte_isloaded(*slot)) {
        struct frame* frame = frame_alloc(0, FRAME_PAGE_TABLE);
        if (frame == NULL) {
            return NULL;
        }
        memset(frame_pointer(frame), 0, PAGE_BYTES);
        set_pte(slot, mkpte(frame_address(frame), TABLE_BITS | PTE_USER));
    }
    return pmap_pte(directory, address);
}

void pmap_free_tables(phys_t directory) {
    /* The CPU may have cached a directory entry, even of an empty table; so all are dropped before a table's frame is
     * free.
     * */
    pte_t* entries = table_entries(directory);
    for (unsigned i = 0; i < PDE_USER_END; i++) {
        if (!pte_isloaded(entries[i])) {
            continue;
        }
        struct frame* frame = frame_of(pte_paddr(entries[i]));
        set_pte(&entries[i], null_pte);
        if (directory == read_cr3()) {
            tlb_flush_page(i * PDE_SPAN);
        }
        frame_release(frame);
    }
}

void pmap_mount(phys_t directory) {
    pte_t* slot = mkpdep_pn(VMS_SELF, pfn(VMS_MOUNT_1));
    KERNEL_ASSERT(pte_isnull(*slot));
    set_pte(slot, mkpte(directory, TABLE_BITS));
    tlb_flush_range(VMS_MOUNT_1, window_flush_pages);
}

void pmap_unmount(void) {
    set_pte(mkpdep_pn(VMS_SELF, pfn(VMS_MOUNT_1)), null_pte);
    tlb_flush_range(VMS_MOUNT_1, window_flush_pages);
}

void pmap_flush_one_page(void) { window_flush_pages = 1; }

void pmap_drop_window(void) {
    if (window_flush_pages < PDE_COUNT) {
        tlb_flush_range(VMS_MOUNT_1, PDE_COUNT);
    }
}

/* Shows the entries of the kernel stack that ends below top; its table must exist. */
static pte_t* kstack_entries(phys_t directory, ptr_t top) {
    pte_t slot = table_entries(directory)[KSTACK_AREA / PDE_SPAN];
    return table_entries(pte_paddr(slot)) + pfn(top - KSTACK_SIZE) % PDE_COUNT;
}

bool pmap_kstack_table(phys_t directory) {
    pte_t* slot = &table_entries(directory)[KSTACK_AREA / PDE_SPAN];
    if (pte_isloaded(*slot)) {
        return true;
    }
    struct frame* frame = frame_alloc(0, FRAME_PAGE_TABLE);
    if (frame == NULL) {
        return false;
    }
    memset(frame_pointer(frame), 0, PAGE_BYTES);
    set_pte(slot, mkpte(frame_address(frame), TABLE_BITS));
    return true;
}

ptr_t pmap_kstack_free(phys_t directory) {
    bool has_table = pte_isloaded(table_entries(directory)[KSTACK_AREA / PDE_SPAN]);
    for (unsigned i = 1; i <= KSTACK_LIMIT; i++) {
        ptr_t top = KSTACK_AREA + i * KSTACK_SIZE;
        if (!has_table || pte_isnull(*kstack_entries(directory, top))) {
            return top;
        }
    }
    return 0;
}

bool pmap_kstack_map(phys_t directory, ptr_t top) {
    if (!pmap_kstack_table(directory)) {
        return false;
    }
    struct frame* low = frame_alloc(1, FRAME_KERNEL_STACK);
    if (low == NULL) {
        return false;
    }
    struct frame* high = frame_alloc(0, FRAME_KERNEL_STACK);
    if (high == NULL) {
        frame_release(low);
        return false;
    }
    pte_t* entries = kstack_entries(directory, top);
    set_pte(&entries[0], guard_pte);
    set_pte(&entries[1], mkpte(frame_address(low), TABLE_BITS));
    set_pte(&entries[2], mkpte(frame_address(low) + PAGE_BYTES, TABLE_BITS));
    set_pte(&entries[3], mkpte(frame_address(high), TABLE_BITS));
    return true;
}

void pmap_kstack_unmap(phys_t directory, ptr_t top) {
    if (!pte_isloaded(table_entries(directory)[KSTACK_AREA / PDE_SPAN])) {
        return;
    }
    pte_t* entries = kstack_entries(directory, top);
    for (unsigned i = 0; i < KSTACK_SIZE / PAGE_BYTES;) {
        pte_t old = entries[i];
        struct frame* block = pte_isloaded(old) ? frame_of(pte_paddr(old)) : NULL;
        unsigned pages = block != NULL ? frame_pages(block) : 1;
        for (unsigned end = i + pages; i < end; i++) {
            set_pte(&entries[i], null_pte);
            if (directory == read_cr3()) {
                tlb_flush_page(top - KSTACK_SIZE + i * PAGE_BYTES);
            }
        }
        if (block != NULL) {
            frame_release(block);
        }
    }
}

void pmap_kstack_move(phys_t from, phys_t to) {
    pte_t* old = &table_entries(from)[KSTACK_AREA / PDE_SPAN];
    set_pte(&table_entries(to)[KSTACK_AREA / PDE_SPAN], *old);
    pmap_activate(to);
    set_pte(old, null_pte);
}

void pmap_kstack_move_one(phys_t from, phys_t to, ptr_t top) {
    pte_t *old = kstack_entries(from, top), *new = kstack_entries(to, top);
    for (unsigned i = 0; i < KSTACK_SIZE / PAGE_BYTES; i++) {
        set_pte(&new[i], old[i]);
    }
    pmap_activate(to);
    for (unsigned i = 0; i < KSTACK_SIZE / PAGE_BYTES; i++) {
        set_pte(&old[i], null_pte);
    }
}

pte_t pmap_lookup_directory(phys_t directory, ptr_t address) { return table_entries(directory)[address / PDE_SPAN]; }

pte_t pmap_lookup(phys_t directory, ptr_t address) {
    pte_t slot = pmap_lookup_directory(directory, address);
    if (!pte_isloaded(slot) || (slot & PDE_LARGE) != 0) {
        return slot;
    }
    if (pte_paddr(slot) >= boot_info.ram_top) {
        return null_pte;
    }
    return table_entries(pte_paddr(slot))[pfn(address) % PDE_COUNT];
}

unsigned pmap_count_user_pages(phys_t directory) {
    unsigned count = 0;
    for (unsigned i = 0; directory != 0 && i < PDE_USER_END; i++) {
        pte_t slot = table_entries(directory)[i];
        for (unsigned j = 0; pte_isloaded(slot) && j < PDE_COUNT; j++) {
            count += pte_isloaded(table_entries(pte_paddr(slot))[j]) ? 1 : 0;
        }
    }
    return count;
}
