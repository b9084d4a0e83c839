/* The calls that wait for the death of others: waitpid and thread_join; and thread_create next to its counterpart. */
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

#define DEFAULT_STACK_BYTES 65536u
#define LARGEST_STACK_BYTES 0x04000000u

/* Finds a dead child that matches pid (-1: any). Says through `any` whether a matching child exists at all. */
static struct process* find_dead_child(pid_t pid, bool* any) {
    struct process *child, *following;
    *any = false;
    list_for_each(child, following, &current_process->children, sibling) {
        if (pid != -1 && child->pid != pid) {
            continue;
        }
        *any = true;
        if (child->state == PROCESS_DEAD) {
            return child;
        }
    }
    return NULL;
}

/* Copies out the status of a dead child and frees what is left of it. The child has no parent while the copy may sleep,
 * so that no other thread reaps it. Returns its pid, or -EFAULT with the child kept. */
static int reap(struct process* child, ptr_t status) {
    pid_t pid = child->pid;
    list_remove(&child->sibling);
    if (status != 0 && copy_to_user(status, &child->exit_status, sizeof(child->exit_status)) < 0) {
        list_append(&current_process->children, &child->sibling);
        wake_all(&current_process->child_waiters);
        return -EFAULT;
    }
    delete_process(child);
    return pid;
}

int process_wait(pid_t pid, ptr_t status, int options) {
    for (;;) {
        bool any;
        struct process* child = find_dead_child(pid, &any);
        if (child != NULL) {
            return reap(child, status);
        }
        if (!any) {
            return -ECHILD;
        }
        if ((options & WNOHANG) != 0) {
            return 0;
        }
        int error = wait_on(&current_process->child_waiters);
        if (error < 0) {
            return error;
        }
    }
}

int thread_create(ptr_t entry, ptr_t argument, size_t stack_bytes) {
    ptr_t stack_top;
    uint32_t call[2] = {0, argument}; /* what the entry finds on its stack: no return address, one argument */
    if (entry < USER_BASE || entry >= USER_TOP) {
        return -EINVAL;
    }
    struct thread* thread = stack_bytes <= LARGEST_STACK_BYTES ? alloc_thread(current_process) : NULL;
    if (thread == NULL) {
        return -ENOMEM;
    }
    int error = -ENOMEM;
    if (!thread_map_kstack(thread)) {
        goto fail_thread;
    }
    error = vm_thread_stack(thread, page_up(stack_bytes != 0 ? stack_bytes : DEFAULT_STACK_BYTES), &stack_top);
    if (error < 0) {
        goto fail_thread;
    }
    error = -ENOMEM; /* all that a fresh stack can lack */
    if (copy_to_user(stack_top - 16, call, sizeof(call)) < 0) {
        goto fail_stack;
    }
    thread->hstate = thread_first_frame(thread);
    memset(thread->hstate, 0, sizeof(struct trap_frame));
    trap_prepare_user(thread->hstate, entry, stack_top - 16);
    signal_dup_context(&thread->sigctx);
    commit_thread(thread);
    return thread->id;

fail_stack:
    vm_thread_exit(thread);
fail_thread:
    delete_thread(thread);
    wake_all(&current_process->thread_waiters); /* a thread that guessed its id must not wait for it */
    return error;
}

/* Tells the value of a dead thread and deletes it, with it out of the list while the copy may sleep.
 * 0, or -EFAULT with the thread kept. */
static int forget_thread(struct thread* thread, ptr_t value) {
    list_remove(&thread->link);
    if (value != 0 && copy_to_user(value, &thread->exit_value, sizeof(thread->exit_value)) < 0) {
        list_append(&current_process->threads, &thread->link);
        wake_all(&current_process->thread_waiters);
        return -EFAULT;
    }
    delete_thread(thread);
    return 0;
}

int thread_join(int id, ptr_t value) {
    for (;;) {
        struct thread *thread, *following, *found = NULL;
        list_for_each(thread, following, &current_process->threads, link) { found = thread->id == id ? thread : found; }
        if (found == NULL) {
            return -ESRCH;
        }
        if (found == current_thread) {
            return -EDEADLK;
        }
        if (found->state == THREAD_DEAD) {
            return forget_thread(found, value);
        }
        int error = wait_on(&current_process->thread_waiters);
        if (error < 0) {
            return error;
        }
    }
}
