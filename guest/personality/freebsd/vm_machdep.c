/* The machine-dependent half of fork: the child's registers. Read cpu_fork() first, then exception.S, then
 * fork_exit(). */
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"
#include "guest/personality/freebsd/proc.h"

#define PSL_C 0x1u /* the carry flag: how the original's system calls report errors */

/* Returns how far the linear map's view of the top page of a thread's kernel stack is from the address that the thread
 * itself uses: its stack is mapped in its own space only. */
static ptr_t kstack_distance(const struct td* td) {
    ptr_t top_page = td->td_thread->kstack - PAGE_BYTES;
    pte_t pte = pmap_lookup(td->td_thread->process->page_directory, top_page);
    KERNEL_ASSERT(pte_isloaded(pte));
    return (ptr_t)phys_to_pointer(pte_paddr(pte)) - top_page;
}

/* Returns where the PCB of a thread lies, by the address that the thread uses. */
static struct pcb* td_get_pcb(const struct td* td) { return (struct pcb*)td->td_thread->kstack - 1; }

/* Makes a child's thread begin as if it had made the system call itself: the PCB and, below it, the trap frame are
 * copied to the top of its fresh kernel stack; the frame returns 0, the PCB leads to fork_trampoline. vm_forkproc()
 * calls it. Cannot fail. */
void cpu_fork(struct td* td1, struct proc* p2, struct td* td2, unsigned flags) {
    KERNEL_ASSERT((flags & RFPROC) != 0);
    ptr_t distance = kstack_distance(td2);
    td1->td_pcb = td_get_pcb(td1);
    td1->td_frame = td1->td_thread->hstate;
    td2->td_pcb = td_get_pcb(td2);
    td2->td_frame = (struct trap_frame*)((char*)td2->td_pcb - PCB_GAP) - 1;

    struct pcb* pcb2 = (struct pcb*)((ptr_t)td2->td_pcb + distance);
    memcpy(pcb2, td1->td_pcb, sizeof(*pcb2));
    struct trap_frame* frame2 = (struct trap_frame*)((ptr_t)td2->td_frame + distance);
    memcpy(frame2, td1->td_frame, sizeof(*frame2));

    frame2->eax = 0; /* the child returns zero */
    frame2->eflags &= ~PSL_C;

    pcb2->pcb_cr3 = p2->p_vmspace->vm_pmap.pm_pdir;
    pcb2->pcb_edi = 0;
    pcb2->pcb_esi = (uint32_t)fork_return; /* fork_trampoline's argument: the function to call */
    pcb2->pcb_ebp = 0;
    pcb2->pcb_esp = (uint32_t)td2->td_frame;
    pcb2->pcb_ebx = (uint32_t)td2; /* fork_trampoline's argument: what to call it with */
    pcb2->pcb_eip = (uint32_t)fork_trampoline;
    td2->td_thread->hstate = td2->td_frame;
}

/* Lets the switch to a thread that never ran go by its PCB. */
void cpu_set_start(struct td* td) {
    td->td_thread->saved_esp = (ptr_t)td->td_pcb;
    td->td_thread->saved_eip = (ptr_t)cpu_resume;
}

/* The first C code of a child, on its own kernel stack: calls what cpu_fork() left in the PCB; fork_trampoline calls
 * it. Afterwards the frame leads to user mode. */
void fork_exit(void (*callout)(void* argument, struct trap_frame* frame), void* argument, struct trap_frame* frame) {
    KERNEL_ASSERT(curproc->p_state == PRS_NORMAL && trap_from_user(frame));
    callout(argument, frame);
}

/* Does what is due before a child sees user mode for the first time; fork_exit() calls it. The rest of userret() is the
 * mechanism's: trap_leave() delivers signals on the way out. */
void fork_return(void* argument, struct trap_frame* frame) {
    struct td* td = argument;
    KERNEL_ASSERT(td == curthread && frame->eax == 0);
    td->td_priority = td->td_user_pri;
}
