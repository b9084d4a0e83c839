/* F: page faults, which come as messages from the kernel, and memory that must be ready before it is touched. */
#include "guest/personality/minix/servers/vm/vm.h"

#define PFERR_WRITE 0x2u
#define PFERR_USER 0x4u

/* Finds the region of an address that may be accessed so; NULL if there is none, or the address is in its guard
 * page. */
static struct vir_region* find_accessible(struct vmproc* vmp, vir_bytes address, bool write) {
    struct vir_region* region = map_lookup(vmp, address);
    uint32_t wanted = write ? VR_WRITABLE : VR_READ | VR_EXEC;
    if (region == NULL || (region->flags & wanted) == 0)
        return NULL;
    if ((region->flags & VR_GUARDED) != 0 && address - region->vaddr < VM_PAGE_SIZE)
        return NULL;
    return region;
}

/* Deals with a fault: zeroes, the file's page, a copy, or only the right to write; then the kernel lets the process try
 * again. Where there is no such memory, or none left, the process gets its signal. */
void do_pagefaults(struct vmproc* vmp, const message* m) {
    bool write = (m->VPF_FLAGS & PFERR_WRITE) != 0;
    vir_bytes address = m->VPF_ADDR;
    unsigned fault_class = FAULT_PROTECTION;
    struct vir_region* region = find_accessible(vmp, address, write);
    vir_bytes offset = region != NULL ? (address - region->vaddr) & ~(VM_PAGE_SIZE - 1) : 0;
    bool refused = region != NULL && map_pf(vmp, region, offset, write, &fault_class) != OK;
    if (refused)
        fault_class = FAULT_NO_MEMORY;
    if (fault_class == FAULT_COW_COPY && (m->VPF_FLAGS & PFERR_USER) == 0)
        fault_class = FAULT_KERNEL_COPY;
    message answer = {.SVMCTL_VALUE = fault_class, .SVMCTL_COUNT = refused};
    int r = sys_vmctl(m->m_source, VMCTL_CLEAR_PAGEFAULT, &answer);
    SERVER_ASSERT(r == OK);
}

/* Makes every page of a range of a process ready for reading or writing. OK, -EFAULT where there is no such memory, or
 * -ENOMEM. */
int handle_memory(struct vmproc* vmp, vir_bytes mem, vir_bytes len, bool write) {
    vir_bytes page = mem & ~(VM_PAGE_SIZE - 1);
    unsigned fault_class;
    for (; page < mem + len; page += VM_PAGE_SIZE) {
        struct vir_region* region = find_accessible(vmp, page, write);
        if (region == NULL)
            return -EFAULT;
        int r = map_pf(vmp, region, page - region->vaddr, write, &fault_class);
        if (r != OK)
            return r;
    }
    return OK;
}
