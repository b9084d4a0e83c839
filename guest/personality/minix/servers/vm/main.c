/* VM, the memory server: it decides what memory every process has. Read main() here, then do_fork() in fork.c, then
 * map_proc_copy() in region.c and do_pagefaults() in pagefaults.c. */
#include "guest/personality/minix/servers/vm/vm.h"

struct vmproc vmproc[NR_PROCS];

#define CALL(type) (1u << ((type)-VM_RQ_BASE))
#define USER_CALLS                                                                                                     \
    (CALL(VM_BRK) | CALL(VM_MMAP) | CALL(VM_MUNMAP) | CALL(VM_MINHERIT) | CALL(VM_THREAD_STACK) | CALL(VM_THREAD_EXIT))
#define PM_CALLS (CALL(VM_FORK) | CALL(VM_EXEC_NEWMEM) | CALL(VM_EXEC_RESTART) | CALL(VM_WILLEXIT) | CALL(VM_EXIT))

/* Enters a process of the boot image. */
static void enter(int slot, uint32_t call_mask) {
    message m = {0};
    struct vmproc* vmp = &vmproc[slot];
    if (sys_vmctl(slot, VMCTL_GET_PDBR, &m) != OK)
        return; /* the test servers are not always there */
    vmp->vm_flags = VMF_INUSE;
    vmp->vm_endpoint = slot;
    vmp->vm_pt.pt_dir_phys = m.SVMCTL_PDBR;
    vmp->vm_call_mask = call_mask;
}

/* Fills the tables with what the kernel has loaded. */
static void vm_init(void) {
    trace_init();
    alloc_init();
    pb_init();
    sanity_init();
    for (int slot = 0; slot < NR_PROCS; slot++) {
        vmproc[slot].vm_slot = vmproc[slot].vm_pt.pt_slot = slot;
        vmproc[slot].vm_endpoint = NONE;
        vmproc[slot].vm_pt.pt_dir_phys = MAP_NONE;
    }
    enter(PM_PROC_NR, PM_CALLS);
    enter(TEST_PROC_NR, PM_CALLS); /* to be refused for better reasons than the mask */
    enter(INIT_PROC_NR, USER_CALLS);
    spare_fill();
}

/* Finds the slot of an endpoint. OK, or -EINVAL if its process is gone. */
int vm_isokendpt(endpoint_t endpoint, int* slot) {
    *slot = _ENDPOINT_P(endpoint);
    if (endpoint < 0 || *slot >= NR_PROCS)
        return -EINVAL;
    return vmproc[*slot].vm_endpoint == endpoint && (vmproc[*slot].vm_flags & VMF_INUSE) != 0 ? OK : -EINVAL;
}

/* Does what a message asks for. Returns the answer. */
static int handle(struct vmproc* vmp, message* m) {
    unsigned call = (unsigned)m->m_type - VM_RQ_BASE;
    if (call >= VM_CALLS)
        return -ENOSYS;
    if ((vmp->vm_call_mask & (1u << call)) == 0)
        return -EPERM;
    switch (m->m_type) {
    case VM_FORK:
        return do_fork(m);
    case VM_EXEC_NEWMEM:
        return do_exec_newmem(m);
    case VM_EXEC_RESTART:
        return do_exec_restart(m);
    case VM_WILLEXIT:
        return do_willexit(m);
    case VM_EXIT:
        return do_exit(m);
    case VM_BRK:
        return do_brk(vmp, m);
    case VM_MMAP:
        return do_mmap(vmp, m);
    case VM_MUNMAP:
        return do_munmap(vmp, m);
    case VM_MINHERIT:
        return do_minherit(vmp, m);
    case VM_THREAD_STACK:
        return do_thread_stack(vmp, m);
    case VM_THREAD_EXIT:
        return do_thread_exit(vmp, m);
    default:
        return -ENOSYS;
    }
}

/* Receives, acts and answers, for ever; a page fault is answered by the kernel call that ends it. */
int main(void) {
    message m;
    int slot;
    vm_init();
    for (;;) {
        int r = ipc_receive(ANY, &m);
        if (r != OK)
            panic("VM: cannot receive: error %d", -r);
        endpoint_t who = m.m_source;
        if (m.m_type == NOTIFY_MESSAGE)
            alloc_learn_order();
        if (m.m_type == NOTIFY_MESSAGE || vm_isokendpt(who, &slot) != OK)
            continue;
        if (m.m_type == VM_PAGEFAULT)
            do_pagefaults(&vmproc[slot], &m);
        else
            reply(who, &m, handle(&vmproc[slot], &m));
        sanitycheck();
    }
}
