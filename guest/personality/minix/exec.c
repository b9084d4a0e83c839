/* Doors of exec: PM is told, and VM builds the new memory next to the old. The mechanism's pointer is the physical
 * address of the new page directory. */
#include "guest/kernel/process/exec.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/string.h"
#include "guest/personality/minix/proc.h"

/* Writes down for VM what it must know of the program; NULL if out of memory. */
static struct exec_info* describe(const struct executable* program, size_t stack_bytes) {
    struct exec_info* info = kzalloc(sizeof(*info));
    if (info == NULL) {
        return NULL;
    }
    info->inode = program->node->inode;
    info->end = program->end;
    info->stack_bytes = stack_bytes;
    info->segments = program->segment_count;
    for (unsigned i = 0; i < program->segment_count; i++) {
        const struct segment* segment = &program->segments[i];
        info->segment[i].start = segment->start;
        info->segment[i].memory_bytes = segment->memory_bytes;
        info->segment[i].file_bytes = segment->file_bytes;
        info->segment[i].file_offset = segment->file_offset;
        info->segment[i].protection = segment->protection;
    }
    return info;
}

/* Copies the arguments to the top of the new stack, whose pages VM has made present. */
static void copy_stack(phys_t directory, const char* stack, size_t bytes) {
    ptr_t at = USER_STACK_TOP - bytes;
    while (bytes > 0) {
        pte_t pte = pmap_lookup(directory, at);
        size_t piece = PAGE_BYTES - at % PAGE_BYTES;
        piece = piece < bytes ? piece : bytes;
        KERNEL_ASSERT(pte_isloaded(pte) && !pte_iswprotect(pte));
        memcpy(phys_to_pointer(pte_paddr(pte) + at % PAGE_BYTES), stack, piece);
        at += piece;
        stack += piece;
        bytes -= piece;
    }
}

/* Door: makes VM build the memory of a new program next to the running one's. NULL with *error and nothing left. The
 * mutex is held meanwhile, so that the description is the right one if two threads call exec. */
void* vm_exec_prepare(const struct executable* image, const void* stack, size_t bytes, int* error) {
    struct proc* rp = proc_of(current_process);
    message m = {.m_type = PM_EXEC};
    struct exec_info* info = describe(image, bytes);
    if (info == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    mutex_lock(&rp->p_mutex);
    rp->p_exec = info;
    int r = do_sync_ipc(rp, SENDREC, PM_PROC_NR, &m);
    rp->p_exec = NULL;
    mutex_unlock(&rp->p_mutex);
    kfree(info);
    r = r == OK ? m.m_type : r;
    if (r != OK) {
        *error = r;
        return NULL;
    }
    copy_stack(m.PM_EXEC_VM, stack, bytes);
    return (void*)m.PM_EXEC_VM;
}

/* Tells PM that the prepared memory comes into force or is dropped. Returns the number of its stack's region. */
static uint32_t restart(void* vm, bool commit) {
    message m = {.m_type = PM_EXEC_RESTART, .PM_EXEC_VM = (uint32_t)vm, .PM_EXEC_COMMIT = commit};
    int r = taskcall(PM_PROC_NR, &m);
    KERNEL_ASSERT(r == OK);
    return m.PM_EXEC_STACK;
}

/* Door: makes the prepared memory the running process's. The kernel stack under our feet keeps its frames and its
 * address: its page table moves over; then VM frees the old memory. Cannot fail. */
void vm_exec_commit(void* vm) {
    phys_t directory = (phys_t)vm;
    pmap_kstack_move(current_process->page_directory, directory);
    current_process->page_directory = directory;
    current_thread->ustack = (void*)restart(vm, true);
}

/* Door: frees prepared memory that will not be used. */
void vm_exec_abandon(void* vm) { restart(vm, false); }
