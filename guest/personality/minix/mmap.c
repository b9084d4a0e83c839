/* Doors of the memory system calls: each is one message to VM, which decides. */
#include "guest/kernel/files/file.h"
#include "guest/kernel/personality.h"
#include "guest/personality/minix/proc.h"

/* Door: maps memory. Returns the address (with MAP_STACK that of the page above the guard), or a negative error. */
int vm_mmap(const struct mmap_args* arguments, struct node* node) {
    message m = {.m_type = VM_MMAP,
                 .VMM_ADDR = arguments->address,
                 .VMM_LEN = arguments->length,
                 .VMM_PROT = arguments->protection,
                 .VMM_FLAGS = arguments->flags,
                 .VMM_OFFSET = arguments->offset,
                 .VMM_INODE = node != NULL ? node->inode : 0,
                 .VMM_SIZE = node != NULL ? node->size : 0};
    int r = usercall(VM_PROC_NR, &m);
    return r == OK ? (int)m.VMM_ADDR : r;
}

/* Door: unmaps a range. 0, -ENOMEM, or -EFAULT where the message does not fit on the stack. */
int vm_munmap(ptr_t start, size_t bytes) {
    message m = {.m_type = VM_MUNMAP, .VMM_ADDR = start, .VMM_LEN = bytes};
    return usercall(VM_PROC_NR, &m);
}

/* Door: moves the end of the heap; 0 only asks. Returns the valid end, or -EFAULT. */
ptr_t vm_brk(ptr_t end) {
    message m = {.m_type = VM_BRK, .VMB_ADDR = end};
    int r = usercall(VM_PROC_NR, &m);
    return r == OK ? m.VMB_RETADDR : (ptr_t)r;
}

/* Door: decides how a range passes through the next fork. 0 or a negative error. */
int vm_minherit(ptr_t start, size_t bytes, int inheritance) {
    message m = {.m_type = VM_MINHERIT, .VMM_ADDR = start, .VMM_LEN = bytes, .VMM_INHERITANCE = inheritance};
    return usercall(VM_PROC_NR, &m);
}

/* Door: makes the user stack of a new thread, with a guard page below it. 0 and its top, or a negative error. What the
 * thread remembers of it is the number of its region: addresses can be unmapped and given to others. */
int vm_thread_stack(struct thread* thread, size_t bytes, ptr_t* top) {
    message m = {.m_type = VM_THREAD_STACK, .VMT_BYTES = bytes};
    int r = usercall(VM_PROC_NR, &m);
    if (r == OK) {
        thread->ustack = (void*)m.VMT_REGION;
        *top = m.VMT_TOP;
    }
    return r;
}

/* Door: gives back the user stack of a thread of the running process, if it still is one. The thread may be dying for
 * want of a stack: so the message is the kernel's. */
void vm_thread_exit(struct thread* thread) {
    message m = {.m_type = VM_THREAD_EXIT, .VMT_REGION = (uint32_t)thread->ustack};
    if (thread->ustack != NULL) {
        taskcall(VM_PROC_NR, &m);
    }
}
