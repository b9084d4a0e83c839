/* How a system call becomes a message. MINIX's C library builds the message on the program's stack and traps; here the
 * kernel does so at the entry of the system call, on the same stack, so that programs need not know. */
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/process/signal.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/minix/proc.h"

/* Sends a message of the running process that lies in kernel memory, and waits for the answer. It serves where no user
 * memory may be touched: exec, exit, the end of a thread. Returns the answer's type or the error. */
int taskcall(endpoint_t who, message* m) {
    struct proc* caller = proc_of(current_process);
    mutex_lock(&caller->p_mutex);
    int r = do_sync_ipc(caller, SENDREC, who, m);
    mutex_unlock(&caller->p_mutex);
    return r == OK ? m->m_type : r;
}

/* Puts a message into the memory of the running process. The page was written to when the message was built; if it is
 * gone now, another thread took it, and the process is to blame. */
static void deliver_to_user(ptr_t vir, const message* m) {
    if (copy_to_user(vir, m, sizeof(*m)) < 0) {
        signal_force(current_thread, SIGSEGV);
    }
}

/* Locks the process's mutex, unless the page of the message cannot be written any more: while we waited for the mutex,
 * another thread may have unmapped it, or forked. VM relies on that page. False with the mutex unlocked. */
static bool lock_with_page(struct proc* caller, ptr_t vir) {
    mutex_lock(&caller->p_mutex);
    pte_t pte = pmap_lookup(current_process->page_directory, vir);
    if (pte_isloaded(pte) && !pte_iswprotect(pte)) {
        return true;
    }
    mutex_unlock(&caller->p_mutex);
    return false;
}

/* Builds the message on the user's stack, below esp, and sends it from there; the answer is put in its place. Aligned
 * to its size, it never lies across two pages, so no copy sleeps once it has begun: the message that is read back is
 * the one that was built. Returns the answer's type, -EFAULT where the stack cannot take it, or the error of the IPC.
 */
int usercall(endpoint_t who, message* m) {
    struct proc* caller = proc_of(current_process);
    ptr_t vir = (current_thread->hstate->user_esp - sizeof(*m)) & ~(ptr_t)(sizeof(*m) - 1);
    do {
        if (copy_to_user(vir, m, sizeof(*m)) < 0 || copy_from_user(m, vir, sizeof(*m)) < 0) {
            return -EFAULT;
        }
    } while (!lock_with_page(caller, vir));
    caller->p_delivermsg_vir = vir;
    int r = do_sync_ipc(caller, SENDREC, who, m);
    mutex_unlock(&caller->p_mutex);
    if (r != OK) {
        return r;
    }
    deliver_to_user(vir, m);
    return m->m_type;
}

/* Where the thread of a child begins, when PM's answer has made it runnable: puts the answer into the child's copy of
 * the message and leaves fork with it. */
void deliver_to_child(void) {
    struct proc* rp = proc_of(current_process);
    message m = rp->p_delivermsg;
    rp->p_thread = NULL;
    deliver_to_user(rp->p_delivermsg_vir, &m);
    current_thread->hstate->eax = (uint32_t)m.m_type;
    __asm__ volatile("movl %0, %%esp\n\tjmp trap_return" : : "r"(current_thread->hstate) : "memory");
    __builtin_unreachable();
}
