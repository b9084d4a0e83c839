/* VFS, here a small stand-in: it keeps the table of processes that may have open files; at a fork it makes the kernel
 * reference every open file and the working directory once more. Files themselves are read by the kernel's mechanism.
 * */
#include "guest/personality/minix/servers/lib/syslib.h"

struct fproc {
    endpoint_t fp_endpoint; /* NONE: free */
    int fp_pid;
};

static struct fproc fproc[NR_PROCS];

/* PM has made a child: it gets its parent's files and directory. OK, or -EINVAL for an endpoint without a process. */
static int pm_fork(const message* m) {
    struct fproc* cp = &fproc[_ENDPOINT_P(m->VFS_PM_ENDPT) % NR_PROCS];
    int r = sys_dupfiles(m->VFS_PM_ENDPT, m->VFS_PM_PENDPT);
    if (r == OK) {
        cp->fp_endpoint = m->VFS_PM_ENDPT;
        cp->fp_pid = m->VFS_PM_CPID;
    }
    return r;
}

/* PM lets a process go, which has closed its files itself. OK, or -EINVAL where it is not known. */
static int pm_exit(const message* m) {
    struct fproc* fp = &fproc[_ENDPOINT_P(m->VFS_PM_ENDPT) % NR_PROCS];
    if (fp->fp_endpoint != m->VFS_PM_ENDPT)
        return -EINVAL;
    fp->fp_endpoint = NONE;
    return OK;
}

/* Does what a message asks for; only PM may ask. */
static int handle(const message* m) {
    if (m->m_source != PM_PROC_NR)
        return -EPERM;
    switch (m->m_type) {
    case VFS_PM_FORK:
        return pm_fork(m);
    case VFS_PM_EXIT:
        return pm_exit(m);
    default:
        return -ENOSYS;
    }
}

/* Receives, acts and answers, for ever. */
int main(void) {
    message m;
    for (int slot = 0; slot < NR_PROCS; slot++)
        fproc[slot].fp_endpoint = NONE;
    fproc[INIT_PROC_NR].fp_endpoint = INIT_PROC_NR;
    for (;;) {
        int r = ipc_receive(ANY, &m);
        if (r != OK)
            panic("VFS: cannot receive: error %d", -r);
        if (m.m_type != NOTIFY_MESSAGE)
            reply(m.m_source, &m, handle(&m));
    }
}
