/* The kinds of memory: what a page holds before it is written, and when it may be written. */
#include "guest/personality/minix/servers/vm/vm.h"

/* Fills a fresh block with what a page of a region holds at first: the file's bytes as far as they reach, else zeroes.
 */
static void fill_page(const struct vir_region* region, vir_bytes offset, const struct phys_block* pb) {
    uint32_t left = region->file.clearend > offset ? region->file.clearend - offset : 0;
    int r = region->file.inode == 0 || left == 0 ? sys_memset(pb_phys(pb), 0, VM_PAGE_SIZE)
                                                 : sys_filepage(region->file.inode, region->file.offset + offset,
                                                                left < VM_PAGE_SIZE ? left : VM_PAGE_SIZE, pb_phys(pb));
    SERVER_ASSERT(r == OK);
}

/* Gives a page that is not there its first block. OK, or -ENOMEM with nothing changed. */
static int new_page(struct vir_region* region, struct phys_region* ph) {
    struct phys_block* pb = pb_new();
    if (pb == NULL)
        return -ENOMEM;
    fill_page(region, ph->offset, pb);
    pb_link(ph, pb);
    return OK;
}

/* Private memory can be written if no other process has the page. */
static bool private_writable(const struct phys_region* ph) { return ph->ph->refcount == 1; }

/* Makes a page of private memory ready: one that is not there is made, one with other places is copied when it is
 * written. */
static int private_pagefault(struct vir_region* region, struct phys_region* ph, bool write, unsigned* fault_class) {
    if (ph->ph == NULL)
        return new_page(region, ph);
    *fault_class = FAULT_COW_COPY;
    return write ? mem_cow(ph) : OK;
}

/* Anonymous memory: a page is zero at first. */
static int anon_pagefault(struct vir_region* region, struct phys_region* ph, bool write, unsigned* fault_class) {
    *fault_class = (region->flags & (VR_STACK | VR_GUARDED)) != 0 ? FAULT_STACK : FAULT_DEMAND_ZERO;
    return private_pagefault(region, ph, write, fault_class);
}

/* A private mapping of a file: a page is the file's at first. */
static int mappedfile_pagefault(struct vir_region* region, struct phys_region* ph, bool write, unsigned* fault_class) {
    *fault_class = ph->offset < region->file.clearend ? FAULT_FILE : FAULT_DEMAND_ZERO;
    return private_pagefault(region, ph, write, fault_class);
}

/* Shared memory has its pages from the beginning, for one that came to be after a fork would not be shared; so this
 * happens only while it is being mapped. */
static int shared_pagefault(struct vir_region* region, struct phys_region* ph, bool write, unsigned* fault_class) {
    (void)write;
    *fault_class = region->file.inode != 0 ? FAULT_FILE : FAULT_DEMAND_ZERO;
    return new_page(region, ph);
}

/* Shared memory can be written however many have the page. */
static bool shared_writable(const struct phys_region* ph) {
    (void)ph;
    return true;
}

const mem_type_t mem_type_anon = {"anonymous memory", anon_pagefault, private_writable};
const mem_type_t mem_type_mappedfile = {"file-mapped memory", mappedfile_pagefault, private_writable};
const mem_type_t mem_type_shared = {"shared memory", shared_pagefault, shared_writable};
