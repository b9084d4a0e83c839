/* The end of a process, in two parts: its memory goes when it dies, its page directory when it has been waited for, for
 * the kernel stack on which it dies lies in it. */
#include "guest/personality/minix/servers/vm/vm.h"

/* The VM_WILLEXIT call of PM: empties the memory of a dying process. OK or -EINVAL. */
int do_willexit(message* m) {
    int slot;
    if (vm_isokendpt(m->VMEX_ENDPOINT, &slot) != OK)
        return -EINVAL;
    map_free_proc(&vmproc[slot]);
    vmproc[slot].vm_flags |= VMF_EXITING;
    return OK;
}

/* The VM_EXIT call of PM: frees the page directory of a dead process and its slot. OK or -EINVAL. */
int do_exit(message* m) {
    int slot;
    if (vm_isokendpt(m->VMEX_ENDPOINT, &slot) != OK || (vmproc[slot].vm_flags & VMF_EXITING) == 0)
        return -EINVAL;
    pt_free(&vmproc[slot].vm_pt);
    vmproc[slot].vm_flags = 0;
    vmproc[slot].vm_endpoint = NONE;
    return OK;
}
