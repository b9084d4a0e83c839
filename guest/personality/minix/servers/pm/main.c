/* PM, the process manager: which processes exist, and which is whose child. Read main() here, then do_fork() in
 * forkexit.c. */
#include "guest/personality/minix/servers/pm/mproc.h"

struct mproc mproc[NR_PROCS];
int procs_in_use;

/* Enters a process of the boot image. */
static void enter(int slot, int pid, unsigned flags) {
    struct mproc* rmp = &mproc[slot];
    rmp->mp_flags = IN_USE | flags;
    rmp->mp_endpoint = slot;
    rmp->mp_pid = rmp->mp_procgrp = pid;
    rmp->mp_parent = slot;
    rmp->mp_effuid = SUPER_USER;
    procs_in_use++;
}

/* Fills the table with what the kernel has loaded. */
static void pm_init(void) {
    static const int servers[] = {PM_PROC_NR,   VFS_PROC_NR,      VM_PROC_NR,
                                  TEST_PROC_NR, TEST_PROC_NR + 1, TEST_PROC_NR + 2};
    trace_init();
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        if (sys_getinfo(GET_ENDPT, (uint32_t)servers[i]) == (uint32_t)servers[i])
            enter(servers[i], SERVER_PID(servers[i]), PRIV_PROC);
    enter(INIT_PROC_NR, INIT_PID, 0);
}

int pm_isokendpt(endpoint_t endpoint, int* slot) {
    *slot = _ENDPOINT_P(endpoint);
    if (endpoint < 0 || *slot >= NR_PROCS)
        return -EINVAL;
    return mproc[*slot].mp_endpoint == endpoint && (mproc[*slot].mp_flags & IN_USE) != 0 ? OK : -EINVAL;
}

/* Does what a message asks for. Returns the answer, or SUSPEND. */
static int handle(struct mproc* rmp, message* m) {
    switch (m->m_type) {
    case PM_FORK:
        return do_fork(rmp, m);
    case PM_EXIT:
        return do_exit(rmp);
    case PM_CLEANUP:
        return do_cleanup(m);
    case PM_EXEC:
        return do_exec(rmp, m);
    case PM_EXEC_RESTART:
        return do_exec_restart(rmp, m);
    default:
        return -ENOSYS;
    }
}

/* Receives, acts and answers, for ever. */
int main(void) {
    message m;
    int slot;
    pm_init();
    for (;;) {
        int r = ipc_receive(ANY, &m);
        if (r != OK)
            panic("PM: cannot receive: error %d", -r);
        if (m.m_type == NOTIFY_MESSAGE || pm_isokendpt(m.m_source, &slot) != OK)
            continue;
        endpoint_t who = m.m_source;
        r = handle(&mproc[slot], &m);
        if (r != SUSPEND)
            reply(who, &m, r);
    }
}
