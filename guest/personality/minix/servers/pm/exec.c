/* exec in PM: VM builds the new memory next to the old; when the process has lost its other threads, one of the two is
 * dropped. */
#include "guest/personality/minix/servers/pm/mproc.h"

/* PM_EXEC: lets VM build the memory of the new program. OK with its page directory, or VM's error. */
int do_exec(struct mproc* rmp, message* m) {
    m->VMEX_ENDPOINT = rmp->mp_endpoint;
    int r = taskcall(VM_PROC_NR, VM_EXEC_NEWMEM, m);
    uint32_t space = m->VMEX_SPACE;
    m->PM_EXEC_VM = space;
    return r;
}

/* PM_EXEC_RESTART: the new memory comes into force, or is dropped. OK with the number of its stack's region. */
int do_exec_restart(struct mproc* rmp, message* m) {
    uint32_t space = m->PM_EXEC_VM, commit = m->PM_EXEC_COMMIT;
    m->VMEX_ENDPOINT = rmp->mp_endpoint;
    m->VMEX_SPACE = space;
    m->VMEX_COMMIT = commit;
    int r = taskcall(VM_PROC_NR, VM_EXEC_RESTART, m);
    uint32_t stack = m->VMEX_STACK;
    m->PM_EXEC_STACK = stack;
    return r;
}
