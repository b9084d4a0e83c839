/* sys_exit and sys_clear: the end of a process in the kernel, in two parts: it stops taking part, then its slot is
 * free.
 */
#include "guest/personality/minix/proc.h"

/* sys_exit: from now on no message reaches the process; its thread, which waits for PM, continues to exit. OK, or
 * -EINVAL where there is no such process. */
int do_exit(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rp;
    if (!isokendpt(m->SYS_ENDPT, &rp) || rp->p_server) {
        return -EINVAL;
    }
    rp->p_exiting = true;
    clear_ipc_refs(rp);
    rts_unset(rp, RTS_RECEIVING);
    return OK;
}

/* sys_clear: frees the slot of a process that has exited and been waited for. OK or -EINVAL. */
int do_clear(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rp;
    if (!isokendpt(m->SYS_ENDPT, &rp) || !rp->p_exiting) {
        return -EINVAL;
    }
    proc_free_slot(rp);
    return OK;
}
