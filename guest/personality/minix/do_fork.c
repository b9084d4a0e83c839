/* The kernel's part of a fork, stop 3. Everything that needs memory was allocated when VM asked for the page table, so
 * nothing can fail here any more. */
#include "guest/abi/trace.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/minix/proc.h"

/* Takes the mechanism's side of a child that is to live in a slot: process, thread, kernel stack, descriptors, names.
 * VMCTL_PT_NEW calls it with the child's page directory. 0, or -ENOMEM with nothing kept. */
int fork_allocate(int slot, const struct proc* parent, phys_t directory) {
    if ((proc[slot].p_rts_flags & RTS_SLOT_FREE) == 0) {
        return -EINVAL;
    }
    proc_claim_slot(slot);
    struct process* process = alloc_process();
    if (process == NULL) {
        return -ENOMEM;
    }
    process->page_directory = directory;
    process->parent = parent->p_process;
    process->descriptors = descriptors_create();
    struct thread* thread = alloc_thread(process);
    if (process->descriptors == NULL || thread == NULL || !thread_map_kstack(thread) ||
        process_inherit_name(process, parent->p_process) < 0) {
        delete_process(process);
        return -ENOMEM;
    }
    rts_set(&proc[slot], RTS_VMINHIBIT);
    return OK;
}

/* Shows the saved user registers of a thread, whose kernel stack may lie in another address space than the active one:
 * they are the last thing on its topmost page. */
static struct trap_frame* saved_registers(const struct thread* thread) {
    ptr_t va = (ptr_t)thread_first_frame(thread);
    phys_t frame = pte_paddr(pmap_lookup(thread->process->page_directory, va));
    return phys_to_pointer(frame + va % PAGE_BYTES);
}

/* Makes the calling thread of the parent the child's one thread: same registers, but fork returns 0, and signals that
 * wait for it are not inherited. Its own kernel stack is fresh. */
static void copy_thread(struct thread* child, struct thread* parent) {
    struct trap_frame* registers = saved_registers(child);
    *registers = *saved_registers(parent);
    registers->eax = 0;
    child->hstate = thread_first_frame(child);
    child->ustack = parent->ustack;
    child->sigctx.blocked = parent->sigctx.blocked;
    child->sigctx.pending = 0;
    memcpy(child->process->actions, parent->process->actions, sizeof(child->process->actions));
}

/* SYS_FORK, the kernel call of VM's do_fork() (servers/vm/fork.c), to which it returns. Makes the slot a copy of the
 * parent's, which is in a sendrec with PM: so the child waits for PM's answer too. It gets a new generation, and what
 * must not be inherited is cleared: notifications, senders, time. OK, or -EINVAL if VM is mistaken. */
int do_fork(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rpp;
    int slot = m->SYS_FORK_SLOT;
    if (!isokendpt(m->SYS_ENDPT, &rpp) || slot < 0 || slot >= NR_PROCS || rpp->p_thread == NULL ||
        (proc[slot].p_rts_flags & RTS_VMINHIBIT) == 0) {
        return -EINVAL;
    }
    struct proc* rpc = &proc[slot];
    struct process* process = rpc->p_process;
    struct thread* thread = container_of(process->threads.next, struct thread, link);
    trace(TP_FORK_REGISTERS, (uint32_t)rpp->p_process->pid, 0, process->page_directory);
    copy_thread(thread, rpp->p_thread);
    int generation = _ENDPOINT_G(rpc->p_endpoint) + 1;
    rpc->p_endpoint = _ENDPOINT(generation <= _ENDPOINT_MAX_GENERATION ? generation : 1, slot);
    rpc->p_rts_flags =
        rpp->p_rts_flags | RTS_NO_QUANTUM | ((m->SYS_FORK_FLAGS & PFF_VMINHIBIT) != 0 ? RTS_VMINHIBIT : 0);
    rpc->p_getfrom_e = rpp->p_getfrom_e;
    rpc->p_delivermsg_vir = rpp->p_delivermsg_vir;
    rpc->p_priority = rpp->p_priority;
    rpc->p_thread = thread;
    m->SYS_FORK_ENDPT = rpc->p_endpoint;
    m->SYS_FORK_MSGADDR = rpp->p_delivermsg_vir;
    m->SYS_FORK_STACK = (uint32_t)rpp->p_thread->ustack;
    return OK;
}

/* sys_dupfiles: gives a child a reference of its own on every open file of its parent, whose offsets stay common, and
 * on the working directory. VFS calls it; in MINIX these tables are VFS's own. */
int do_dupfiles(struct proc* caller, message* m) {
    (void)caller;
    struct proc *rpc, *rpp;
    if (!isokendpt(m->SYS_ENDPT, &rpc) || !isokendpt(m->SYS_PARENT_ENDPT, &rpp)) {
        return -EINVAL;
    }
    struct process *child = rpc->p_process, *parent = rpp->p_process;
    descriptors_fill(child->descriptors, parent->descriptors);
    child->working_directory = parent->working_directory;
    node_share(child->working_directory);
    return OK;
}

/* sys_schedule: gives a new process its queue and its time, the last thing but PM's answer that it waits for; and makes
 * it known to the mechanism, as its parent's child. */
int do_schedule(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rp;
    if (!isokendpt(m->SYS_ENDPT, &rp) || m->SYS_PRIORITY >= NR_SCHED_QUEUES || m->SYS_QUANTUM == 0) {
        return -EINVAL;
    }
    rp->p_priority = m->SYS_PRIORITY;
    rp->p_quantum = m->SYS_QUANTUM;
    if (rp->p_process->state == PROCESS_NEW) {
        commit_process(rp->p_process);
    }
    rts_unset(rp, RTS_NO_QUANTUM);
    return OK;
}
