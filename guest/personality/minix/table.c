/* The slots of the process table, and the doors through which the mechanism's processes get and lose one. */
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/string.h"
#include "guest/personality/minix/proc.h"

const char personality_name[] = "MINIX 3";

static int claimed_slot; /* which slot the next process gets */

/* Marks every slot free; personality_init() calls it. */
void proc_init(void) {
    for (int slot = 0; slot < NR_PROCS; slot++) {
        proc[slot].p_nr = slot;
        proc[slot].p_endpoint = _ENDPOINT(0, slot);
        proc[slot].p_rts_flags = RTS_SLOT_FREE;
    }
}

/* Says which slot the next process gets: PM decides, not the mechanism. The slot must be free. */
void proc_claim_slot(int slot) {
    KERNEL_ASSERT((proc[slot].p_rts_flags & RTS_SLOT_FREE) != 0);
    claimed_slot = slot;
}

/* Door: gives a process that is being made the slot that was claimed for it. */
void* vm_alloc(struct process* process) {
    struct proc* rp = &proc[claimed_slot];
    int slot = rp->p_nr;
    endpoint_t endpoint = rp->p_endpoint;
    memset(rp, 0, sizeof(*rp));
    rp->p_nr = slot;
    rp->p_endpoint = endpoint;
    rp->p_getfrom_e = rp->p_sendto_e = NONE;
    rp->p_priority = USER_Q;
    rp->p_quantum = 1;
    rp->p_process = process;
    mutex_init(&rp->p_mutex);
    return rp;
}

/* Frees a slot; its number of generations stays, so that its next bearer gets another endpoint. */
void proc_free_slot(struct proc* rp) {
    clear_ipc_refs(rp);
    rp->p_rts_flags = RTS_SLOT_FREE;
    rp->p_process = NULL;
}

/* Door: frees what is left of a process. One that fork has not committed has only its slot. For a dead one PM is asked,
 * which makes VM drop the page directory and frees the slots of all three. */
void vm_destroy(struct process* process) {
    struct proc* rp = proc_of(process);
    if (process->state == PROCESS_NEW) {
        proc_free_slot(rp);
        return;
    }
    message m = {.m_type = PM_CLEANUP, .PM_CLEANUP_ENDPT = rp->p_endpoint};
    int r = taskcall(PM_PROC_NR, &m);
    KERNEL_ASSERT(r == OK);
}

/* Door: gives the first process an empty address space; PM and VM know it from the boot image. 0 or -ENOMEM. */
int vm_create_first(struct process* process) {
    process->page_directory = pmap_create();
    return process->page_directory != 0 ? 0 : -ENOMEM;
}

/* Door: PM tells VM to empty the memory of the running process, VFS to forget it, and the kernel to let its thread go
 * on with dying (sys_exit); there is no answer to PM_EXIT but that. */
void vm_exit(struct process* process) {
    (void)process;
    message m = {.m_type = PM_EXIT};
    taskcall(PM_PROC_NR, &m);
}

/* Door: MINIX keeps nothing of a thread but the number of its stack's region. */
bool thread_attach(struct thread* thread) {
    (void)thread;
    return true;
}

/* Door: see thread_attach(). */
void thread_detach(struct thread* thread) { (void)thread; }

/* Door: finds a process by its pid. Servers are never found, and so cannot be killed. */
struct process* process_find(pid_t pid) {
    return pid <= PID_LIMIT ? process_search(pid) : NULL;
}
