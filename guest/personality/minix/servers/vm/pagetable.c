/* Page tables as VM sees them: it decides on entries and the kernel writes them, a batch at a time. */
#include "guest/personality/minix/servers/vm/vm.h"

static struct pt_entry batch[PT_BATCH_ENTRIES];
static unsigned batch_count;
static phys_bytes batch_dir; /* whose entries they are */

/* Makes an empty page table. For one that belongs to a slot the kernel takes everything else that the child of `parent`
 * will need too, so that sys_fork cannot fail later. OK or -ENOMEM. */
int pt_new(pt_t* pt, endpoint_t parent) {
    message m = {.SVMCTL_SLOT = pt->pt_slot};
    int r = sys_vmctl(parent, VMCTL_PT_NEW, &m);
    if (r != OK)
        return r;
    pt->pt_dir_phys = m.SVMCTL_PDBR;
    pt->pt_unbound = pt->pt_slot >= 0;
    return OK;
}

/* Frees a page table, whose entries are all empty, and the unborn child with it. */
void pt_free(pt_t* pt) {
    message m = {.SVMCTL_PDBR = pt->pt_dir_phys, .SVMCTL_SLOT = pt->pt_unbound ? pt->pt_slot : -1};
    int r = sys_vmctl(SELF, VMCTL_PT_FREE, &m);
    SERVER_ASSERT(r == OK);
    pt->pt_dir_phys = MAP_NONE;
    pt->pt_unbound = false;
}

/* Makes a page table its process's. OK, or -EINVAL if there is no such process. */
int pt_bind(pt_t* pt, const struct vmproc* who) {
    message m = {.SVMCTL_PDBR = pt->pt_dir_phys};
    pt->pt_unbound = false;
    return sys_vmctl(who->vm_endpoint, VMCTL_PT_BIND, &m);
}

/* Has the kernel write what is in the batch. OK, or -ENOMEM with a part written; the batch is empty afterwards. */
int pt_flush(void) {
    if (batch_count == 0)
        return OK;
    message m = {.SVMCTL_PDBR = batch_dir, .SVMCTL_ADDR = (vir_bytes)batch, .SVMCTL_COUNT = batch_count};
    batch_count = 0;
    return sys_vmctl(SELF, VMCTL_PT_BATCH, &m);
}

/* Adds one entry to the batch, which is written first where it is full or another table's. OK, or the batch's error. */
int pt_writemap(pt_t* pt, vir_bytes v, phys_bytes phys, uint32_t flags) {
    int r = batch_count == PT_BATCH_ENTRIES || pt->pt_dir_phys != batch_dir ? pt_flush() : OK;
    batch_dir = pt->pt_dir_phys;
    batch[batch_count++] = (struct pt_entry){v, phys, flags};
    return r;
}
