/* fork in VM: the child is a copy of the parent, and both share its pages, which can only be written after a copy. The
 * numbers are the stops of README.md. */
#include "guest/personality/minix/servers/vm/vm.h"

/* Takes the user stacks of the parent's other threads, which the child does not have, out of the child. A caller on a
 * stack that is no thread's keeps them all. */
static void drop_other_stacks(struct vmproc* vmc, uint32_t own_stack) {
    const region_avl* avl = &vmc->vm_regions_avl;
    struct vir_region *region, *following;
    bool found = false;
    for (region = region_first(avl); region != NULL; region = region_next(avl, region))
        found = found || ((region->flags & VR_STACK) != 0 && region->id == own_stack);
    for (region = region_first(avl); found && region != NULL; region = following) {
        following = region_next(avl, region);
        if ((region->flags & VR_STACK) != 0 && region->id != own_stack)
            map_unmap_region(vmc, region);
    }
}

/* Makes the page of the message writable in child and parent, so that PM's two answers can be stored: the first copies
 * of this fork. The spare blocks are for this. Only a stack that is not inherited can be missing, and a child without
 * one dies when the answer is stored. */
static void make_messages_writable(struct vmproc* vmc, struct vmproc* vmp, vir_bytes msgaddr) {
    spare_use(true);
    int child = handle_memory(vmc, msgaddr, sizeof(message), true);
    int parent = handle_memory(vmp, msgaddr, sizeof(message), true);
    spare_use(false);
    if (child == -EFAULT || parent != OK)
        panic("do_fork: handle_memory failed for %s", parent != OK ? "parent" : "child");
}

/* Makes the child's entry a copy of the parent's, but for its slot, its page table, its regions, and its name, which it
 * has not yet: NONE, in case someone tries to use it. */
static void copy_entry(struct vmproc* vmc, const struct vmproc* vmp) {
    pt_t origpt = vmc->vm_pt;
    int slot = vmc->vm_slot;
    *vmc = *vmp;
    vmc->vm_slot = slot;
    region_init(&vmc->vm_regions_avl);
    vmc->vm_endpoint = NONE;
    vmc->vm_pt = origpt;
}

/* VM_FORK, the message of PM's do_fork() (servers/pm/forkexit.c) after stop 1; the reply takes it to stop 4. In between
 * sys_fork() calls the kernel's do_fork() (do_fork.c). OK with the child's endpoint, -EINVAL for an endpoint or slot
 * that cannot be right, or -ENOMEM with nothing changed and nothing left behind. */
int do_fork(message* msg) {
    int r, proc, childproc = msg->VMF_SLOTNO;
    uint32_t parent_pid = (uint32_t)msg->VMF_PARENT_PID, own_stack;
    vir_bytes msgaddr;
    if (vm_isokendpt(msg->VMF_ENDPOINT, &proc) != OK) {
        diag("VM: bogus endpoint VM_FORK %d\n", msg->VMF_ENDPOINT);
        return -EINVAL;
    }
    if (childproc < 0 || childproc >= NR_PROCS || (vmproc[childproc].vm_flags & VMF_INUSE) != 0) {
        diag("VM: bogus slotno VM_FORK %d\n", childproc);
        return -EINVAL;
    }
    struct vmproc *vmp = &vmproc[proc], *vmc = &vmproc[childproc]; /* parent, child */
    SERVER_ASSERT(vmc->vm_slot == childproc);

    /* 2: address space. The child is basically a copy of the parent, but keeps its own page table. */
    trace(TP_FORK_ADDRESS_SPACE, parent_pid, 0, 0);
    copy_entry(vmc, vmp);
    if (!spare_fill() || pt_new(&vmc->vm_pt, vmp->vm_endpoint) != OK) {
        vmc->vm_flags = 0;
        return -ENOMEM;
    }
    trace(TP_FORK_ADDRESS_SPACE, parent_pid, 0, vmc->vm_pt.pt_dir_phys); /* still 2; now the directory exists */
    if (map_proc_copy(vmc, vmp) != OK) {
        pt_free(&vmc->vm_pt);
        vmc->vm_flags = 0;
        return -ENOMEM;
    }
    vmc->vm_flags &= VMF_INUSE; /* only this flag is inherited, and the call mask */

    /* 3: registers and return 0, by the kernel; from here on nothing may fail */
    if ((r = sys_fork(vmp->vm_endpoint, childproc, &vmc->vm_endpoint, PFF_VMINHIBIT, &msgaddr, &own_stack)) != OK)
        panic("do_fork can't sys_fork: %d", r);
    if ((r = pt_bind(&vmc->vm_pt, vmc)) != OK)
        panic("fork can't pt_bind: %d", r);

    /* 2b: protection. It was done entry by entry at 2; the message's page is taken out of it on both sides. */
    trace(TP_FORK_PROTECT, parent_pid, 0, vmc->vm_pt.pt_dir_phys);
    make_messages_writable(vmc, vmp, msgaddr);
    drop_other_stacks(vmc, own_stack);
    spare_fill();
    msg->VMF_CHILD_ENDPOINT = vmc->vm_endpoint;
    msg->VMF_CHILD_PDBR = vmc->vm_pt.pt_dir_phys;
    return OK;
}
