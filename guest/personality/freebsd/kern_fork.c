/* fork as FreeBSD does it. Read fork1() first, then do_fork(), top to bottom; the numbers are the stops of README.md.
 */
#include "guest/abi/trace.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/string.h"
#include "guest/personality/freebsd/proc.h"

/* Emits one of fork's tracepoints. */
static void trace_stop(unsigned id, const struct proc* p2, uint32_t value) {
    trace(id, (uint32_t)current_process->pid, p2 != NULL ? (uint32_t)p2->p_pid : 0, value);
}

/* Gives the child its descriptors: a copy of the parent's table, an empty one, or the parent's own. 0 or -ENOMEM. */
static int fork_descriptors(unsigned flags, const struct proc* p1, struct proc* p2) {
    struct descriptor_table* fd = p1->p_process->descriptors;
    if ((flags & RFCFDG) != 0) {
        fd = descriptors_create();
    } else if ((flags & RFFDG) != 0) {
        fd = descriptors_copy(fd); /* fdcopy(): every open file gets one more reference */
    } else {
        descriptors_share(fd);
    }
    p2->p_process->descriptors = fd;
    return fd != NULL ? 0 : -ENOMEM;
}

/* Copies a thread's block and clears the other one; its name is its process's. do_fork() calls it. */
static void fork_thread(struct td* td, struct td* td2) {
    memset(&td2->td_startzero, 0, __rangeof(struct td, td_startzero, td_endzero));
    memcpy(&td2->td_startcopy, &td->td_startcopy, __rangeof(struct td, td_startcopy, td_endcopy));
    memcpy(td2->td_name, td2->td_proc->p_comm, sizeof(td2->td_name));
    signal_dup_context(&td2->td_thread->sigctx);
}

/* Lets the machine-dependent half make the child's registers; do_fork() calls it. */
static void vm_forkproc(struct td* td, struct proc* p2, struct td* td2, unsigned flags) {
    if ((flags & RFMEM) != 0) {
        td2->td_stack_start = td2->td_stack_end = 0; /* the stack that both see is the parent's */
    }
    cpu_fork(td, p2, td2, flags);
}

/* Makes the child visible: to its parent, its group, its session. do_fork() calls it when nothing can fail any more. */
static void fork_relations(struct proc* p1, struct proc* p2) {
    p2->p_textvp = p1->p_textvp;
    if (p2->p_textvp != NULL) {
        node_share(p2->p_textvp); /* vref() */
    }
    pgrp_join(p2, p1->p_pgrp);                                           /* the session is the group's */
    p2->p_process->working_directory = p1->p_process->working_directory; /* in the original a part of the descriptors */
    node_share(p2->p_process->working_directory);
    p2->p_process->parent = p1->p_process;
    commit_process(p2->p_process); /* among its siblings */
    p1->p_nforks++;
}

/* The second half of fork1(): p2 has memory, a thread and a pid. 0, or -ENOMEM with what was made belonging to p2. */
static int do_fork(struct td* td, unsigned flags, struct proc* p2, struct td* td2) {
    struct proc* p1 = td->td_proc;

    /* 4: files and parent. The original holds the locks of both processes from here on. */
    trace_stop(TP_FORK_FILES, p2, 0);
    memcpy(&p2->p_startcopy, &p1->p_startcopy, __rangeof(struct proc, p_startcopy, p_endcopy));
    memset(&p2->p_startzero, 0, __rangeof(struct proc, p_startzero, p_endzero));
    signal_dup_actions(p2->p_process); /* sigacts_copy() */
    if (fork_descriptors(flags, p1, p2) < 0 || process_inherit_name(p2->p_process, p1->p_process) < 0) {
        return -ENOMEM;
    }
    fork_thread(td, td2);
    fork_relations(p1, p2);

    /* 3: registers and return 0 */
    trace_stop(TP_FORK_REGISTERS, p2, p2->p_process->page_directory);
    vm_forkproc(td, p2, td2, flags);

    /* 5: runnable: the original's sched_add(td2, SRQ_BORING) is the end of commit_thread() */
    trace_stop(TP_FORK_RUNNABLE, p2, p2->p_process->page_directory);
    p2->p_state = PRS_NORMAL;
    commit_thread(td2->td_thread);
    cpu_set_start(td2);
    return 0;
}

/* Says whether there may be one more process: the last slots are for init. The new one is counted already. */
static bool fork_limit_reached(const struct proc* p1) {
    return nprocs > MAXPROC - MAXPROC_RESERVED && p1->p_pid != INIT_PID;
}

/* Gives the child its address space, with RFMEM the parent's own, and in it a kernel stack. fork1() calls it. False if
 * out of memory; what was made belongs to the child. */
static bool fork_address_space(unsigned flags, struct proc* p1, struct proc* p2, struct td* td2) {
    p2->p_vmspace = (flags & RFMEM) != 0 ? vmspace_acquire(p1->p_vmspace) : vmspace_fork(p1->p_vmspace);
    if (p2->p_vmspace == NULL) {
        return false;
    }
    p2->p_process->page_directory = p2->p_vmspace->vm_pmap.pm_pdir;
    return vm_thread_new(td2);
}

/* Makes a child of the running process. 0 with *procp set; -EAGAIN if there are too many processes, or -ENOMEM, with
 * nothing left behind. */
static int fork1(struct td* td, unsigned flags, struct proc** procp) {
    struct proc* p1 = td->td_proc;
    int error = -ENOMEM;

    /* 1: child slot: a process, its first thread, and the two linked */
    trace_stop(TP_FORK_CHILD_SLOT, NULL, 0);
    struct process* newproc = alloc_process(); /* uma_zalloc(proc_zone) is in vm_alloc() */
    if (newproc == NULL) {
        return nprocs >= MAXPROC ? -EAGAIN : -ENOMEM;
    }
    struct proc* p2 = process_proc(newproc);
    struct thread* thread = alloc_thread(newproc); /* thread_alloc() and proc_linkup() are in thread_attach() */
    if (thread == NULL) {
        goto fail_proc;
    }
    struct td* td2 = thread_td(thread);

    /* 2: address space: vmspace_fork() */
    trace_stop(TP_FORK_ADDRESS_SPACE, NULL, 0);
    if (!fork_address_space(flags, p1, p2, td2)) {
        goto fail_thread;
    }

    /* 1b: pid, under the locks of the process tree and of all processes */
    trace_stop(TP_FORK_PID, NULL, newproc->page_directory);
    if (fork_limit_reached(p1)) {
        error = -EAGAIN;
        goto fail_thread;
    }
    proc_insert(p2, fork_findpid());
    sched_fork(td, td2);

    error = do_fork(td, flags, p2, td2);
    if (error < 0) {
        goto fail_pid;
    }
    *procp = p2;
    return 0;

fail_pid:
    proc_remove(p2);
fail_thread: /* the kernel stack goes before the directory that maps it */
    delete_thread(thread);
fail_proc:
    delete_process(newproc); /* all else that belongs to it: descriptors, command line, memory */
    return error;
}

/* Runs fork1() between the tracepoints of its begin and end. Returns the child's pid or a negative error. */
static int fork_traced(unsigned flags) {
    struct proc* p2 = NULL;
    trace_stop(TP_FORK_ENTER, NULL, current_process->workload);
    int result = fork1(curthread, flags, &p2);
    if (result == 0) {
        result = p2->p_pid;
        forks_since_boot++;
    }
    trace_stop(TP_FORK_LEAVE, p2, (uint32_t)result);
    return result;
}

/* Door: the fork system call. Returns the child's pid, -EAGAIN or -ENOMEM. */
int fork_process(void) { return fork_traced(RFFDG | RFPROC); }

/* Door: the rfork system call. Returns the child's pid, -EINVAL for flags that make no sense, -EAGAIN or -ENOMEM. */
int rfork_process(unsigned flags) {
    if ((flags & ~(unsigned)(RFFDG | RFPROC | RFMEM | RFCFDG)) != 0 || (flags & RFPROC) == 0 ||
        (flags & (RFFDG | RFCFDG)) == (RFFDG | RFCFDG)) {
        return -EINVAL;
    }
    return fork_traced(flags);
}
