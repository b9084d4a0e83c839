/* Doors of fork and of page faults: both become messages. The stops of a fork are in PM's do_fork()
 * (servers/pm/forkexit.c), VM's (servers/vm/fork.c) and the kernel's (do_fork.c), called in this order. */
#include "guest/abi/trace.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/minix/proc.h"

/* Door: the fork system call. Returns the child's pid, or -EAGAIN, -ENOMEM, or -EFAULT where the message does not fit
 * on the stack. The child does not come this way: see deliver_to_child(). */
int fork_process(void) {
    uint32_t parent = (uint32_t)current_process->pid;
    message m = {.m_type = PM_FORK};
    trace(TP_FORK_ENTER, parent, 0, current_process->workload);
    int pid = usercall(PM_PROC_NR, &m);
    forks_since_boot += pid > 0 ? 1 : 0;
    trace(TP_FORK_LEAVE, parent, pid > 0 ? (uint32_t)pid : 0, (uint32_t)pid);
    return pid;
}

/* Door: MINIX has fork() alone. */
int rfork_process(unsigned flags) {
    (void)flags;
    return -ENOSYS;
}

/* Sends VM the fault of the running process in its name, and waits until VM clears it. */
static unsigned ask_vm(ptr_t address, uint32_t error) {
    struct proc* rp = proc_of(current_process);
    const message m = {.m_type = VM_PAGEFAULT, .VPF_ADDR = address, .VPF_FLAGS = error};
    mutex_lock(&rp->p_mutex);
    rp->p_thread = current_thread;
    rts_set(rp, RTS_PAGEFAULT);
    int r = mini_send(rp, VM_PROC_NR, &m);
    KERNEL_ASSERT(r == OK);
    proc_wait(rp);
    rp->p_thread = NULL;
    unsigned fault_class = rp->p_fault_class;
    mutex_unlock(&rp->p_mutex);
    return fault_class;
}

/* Door, and F: resolves a page fault of a program or of the kernel's copy for it; the kernel itself decides nothing.
 * False if VM refuses: the program gets SIGSEGV, the copy -EFAULT. A server never faults: if it does, panics. */
bool handle_page_fault(struct trap_frame* frame, ptr_t address) {
    uint32_t pid = (uint32_t)current_process->pid;
    if (proc_of(current_process)->p_server) {
        panic_trap(frame, "the server %s has a page fault at %08x", current_process->name, address);
    }
    trace(TP_FAULT_ENTER, pid, address, frame->error);
    unsigned fault_class = address < USER_TOP ? ask_vm(address, frame->error) : FAULT_PROTECTION;
    trace(TP_FAULT_LEAVE, pid, address, fault_class);
    return fault_class != FAULT_PROTECTION && fault_class != FAULT_NO_MEMORY;
}
