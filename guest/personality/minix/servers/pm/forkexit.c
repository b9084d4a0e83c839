/* fork and exit as PM sees them. The numbers are the stops of README.md; stops 2, 3 and 2b are in VM's fork.c. */
#include "guest/personality/minix/servers/pm/mproc.h"

#define USER_Q 7 /* where a child begins among the kernel's sixteen queues */
#define USER_QUANTUM 1

static int next_child = FIRST_USER_SLOT;
static int next_pid = INIT_PID;

/* Finds a free slot, going round from the last one given; the caller has seen that there is one. */
static int find_slot(void) {
    while ((mproc[next_child].mp_flags & IN_USE) != 0)
        next_child = next_child + 1 < NR_PROCS ? next_child + 1 : FIRST_USER_SLOT;
    return next_child;
}

/* Returns how many slots there are for processes that are no servers, without those between the boot image's. */
static int slots_for_users(void) { return NR_PROCS - FIRST_USER_SLOT + 1; }

/* Counts the servers, whose slots are not for users. */
static int servers(void) {
    int count = 0;
    for (int slot = 0; slot < FIRST_USER_SLOT; slot++)
        count += (mproc[slot].mp_flags & PRIV_PROC) != 0;
    return count;
}

/* Returns the next pid that no process and no process group has. */
static int get_free_pid(void) {
    bool taken;
    do {
        next_pid = next_pid < NR_PIDS ? next_pid + 1 : INIT_PID + 1;
        taken = false;
        for (const struct mproc* rmp = mproc; rmp < &mproc[NR_PROCS]; rmp++)
            taken =
                taken || ((rmp->mp_flags & IN_USE) != 0 && (rmp->mp_pid == next_pid || rmp->mp_procgrp == next_pid));
    } while (taken);
    return next_pid;
}

/* Tells VFS something about a process and waits until it has acted. */
static void tell_vfs(int call, endpoint_t who, endpoint_t parent, int pid) {
    message m = {.VFS_PM_ENDPT = who, .VFS_PM_PENDPT = parent, .VFS_PM_CPID = pid};
    int r = taskcall(VFS_PROC_NR, call, &m);
    if (r != OK)
        panic("PM: VFS refuses call %x: error %d", (unsigned)call, -r);
}

/* Makes the child's entry: a copy of the parent's, but for its flags and its names. */
static void copy_entry(struct mproc* rmc, const struct mproc* rmp, endpoint_t child) {
    *rmc = *rmp;
    rmc->mp_parent = (int)(rmp - mproc);
    rmc->mp_flags &= INHERITED;
    rmc->mp_endpoint = child;
    rmc->mp_effuid = SOME_USER;
    rmc->mp_pid = get_free_pid();
    procs_in_use++;
}

/* PM_FORK, the message that fork_process() (the kernel's fork.c) sends for the parent. Asks VM's do_fork()
 * (servers/vm/fork.c), which calls the kernel's do_fork() (do_fork.c), then VFS; answers child and parent itself.
 * Returns SUSPEND, or an error for the parent: -EAGAIN before anything was done, or VM's with nothing left behind. */
int do_fork(struct mproc* rmp, message* m) {
    uint32_t parent_pid = (uint32_t)rmp->mp_pid;
    int in_use = procs_in_use - servers();

    /* 1: child slot. Checked before anything is done, for half a fork is worse than none. */
    trace(TP_FORK_CHILD_SLOT, parent_pid, 0, 0);
    if (in_use >= slots_for_users() || (in_use >= slots_for_users() - LAST_FEW && rmp->mp_effuid != SUPER_USER))
        return -EAGAIN;
    int slot = find_slot();

    /* 2, 3, 2b: VM makes the address space and lets the kernel copy the process */
    m->VMF_ENDPOINT = rmp->mp_endpoint;
    m->VMF_SLOTNO = slot;
    m->VMF_PARENT_PID = (int)parent_pid;
    int r = taskcall(VM_PROC_NR, VM_FORK, m);
    if (r != OK)
        return r;
    endpoint_t child = m->VMF_CHILD_ENDPOINT;
    uint32_t child_pdbr = m->VMF_CHILD_PDBR;

    /* 4: files and parent */
    struct mproc* rmc = &mproc[slot];
    copy_entry(rmc, rmp, child);
    uint32_t child_pid = (uint32_t)rmc->mp_pid;
    trace(TP_FORK_FILES, parent_pid, child_pid, child_pdbr);
    r = sys_setpid(child, rmc->mp_pid);
    if (r != OK)
        panic("PM: cannot name the child: error %d", -r);
    tell_vfs(VFS_PM_FORK, child, rmp->mp_endpoint, rmc->mp_pid);

    /* 5: runnable. VFS has answered: the child gets its quantum, and two answers let both continue. */
    trace(TP_FORK_RUNNABLE, parent_pid, child_pid, child_pdbr);
    r = sys_schedule(child, USER_Q, USER_QUANTUM);
    if (r != OK)
        panic("PM: cannot schedule the child: error %d", -r);
    message answer = {0};
    reply(child, &answer, 0);
    reply(rmp->mp_endpoint, &answer, rmc->mp_pid);
    return SUSPEND;
}

/* Gives the children of a dying process to init, the dead ones too. */
static void orphan_children(int slot) {
    for (struct mproc* rmc = mproc; rmc < &mproc[NR_PROCS]; rmc++)
        if ((rmc->mp_flags & IN_USE) != 0 && rmc->mp_parent == slot)
            rmc->mp_parent = INIT_PROC_NR;
}

/* A process is dying: VM empties its memory, VFS forgets it, its children become init's, and the kernel lets it exit.
 * Its slot and its pid stay until its parent has waited for it. The only answer is that its thread continues. */
int do_exit(struct mproc* rmp) {
    message m = {.VMEX_ENDPOINT = rmp->mp_endpoint};
    orphan_children((int)(rmp - mproc));
    rmp->mp_flags |= EXITING;
    int r = taskcall(VM_PROC_NR, VM_WILLEXIT, &m);
    if (r == OK) {
        tell_vfs(VFS_PM_EXIT, rmp->mp_endpoint, NONE, rmp->mp_pid);
        r = sys_exit(rmp->mp_endpoint);
    }
    if (r != OK)
        panic("PM: process %d cannot exit: error %d", rmp->mp_pid, -r);
    return SUSPEND;
}

/* A dead process has been waited for: VM drops its page directory, and its slots become free everywhere. OK, or -EINVAL
 * where the process is none or has not exited. */
int do_cleanup(message* m) {
    int slot;
    endpoint_t dead = m->PM_CLEANUP_ENDPT;
    if (pm_isokendpt(dead, &slot) != OK || (mproc[slot].mp_flags & EXITING) == 0)
        return -EINVAL;
    m->VMEX_ENDPOINT = dead;
    int r = taskcall(VM_PROC_NR, VM_EXIT, m);
    if (r == OK)
        r = sys_clear(dead);
    if (r != OK)
        panic("PM: cannot clean up after process %d: error %d", mproc[slot].mp_pid, -r);
    mproc[slot].mp_flags = 0;
    procs_in_use--;
    return OK;
}
