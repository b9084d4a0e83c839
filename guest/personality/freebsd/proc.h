/* Owns: processes and threads as FreeBSD sees them: struct proc lies behind the mechanism's process, struct td behind
 * its thread (the original's struct thread; that name is the mechanism's here). Every file of the personality includes
 * it. The kernel is never preempted and nothing here sleeps, so that the original's locks are comments. */
#ifndef FREEBSD_PROC_H
#define FREEBSD_PROC_H

#include "guest/kernel/process/process.h"
#include "guest/kernel/types.h"
#include "guest/personality/freebsd/pcb.h"
#include "guest/personality/freebsd/vm_map.h"

#define MAXCOMLEN 19
#define PID_MAX PID_LIMIT
#define PID_RESERVED 100 /* after a wrap pids begin above the long-lived ones */
#define MAXPROC PROCESS_LIMIT
#define MAXPROC_RESERVED 10 /* the last slots are for init */

/* The processes of one login. */
struct session {
    pid_t s_sid;
    unsigned s_count; /* groups */
};

/* Processes that a terminal's signals reach together. */
struct pgrp {
    pid_t pg_id;
    struct session* pg_session;
    struct list pg_members; /* of struct proc, by p_pglist */
};

enum proc_state { PRS_NEW, PRS_NORMAL, PRS_ZOMBIE };

#define P_WEXIT 0x2000 /* is dying, or dead */

struct proc {
    struct list p_list;        /* allproc or zombproc; empty before the pid is chosen */
    struct list p_hash;        /* in PIDHASH */
    struct list p_pglist;      /* in its group */
    struct process* p_process; /* the mechanism's half: parent, children, threads, signals, command line */
    enum proc_state p_state;
    pid_t p_pid;
    struct vmspace* p_vmspace;
    struct node* p_textvp; /* the file of the program */

/* The fields from here are zero in a child ... */
#define p_startzero p_flag
    unsigned p_flag;     /* P_* */
    unsigned p_nforks;   /* children made */
    unsigned p_runticks; /* ticks of the clock that it ran */
#define p_endzero p_nice

/* ... and these are its parent's. */
#define p_startcopy p_nice
    int p_nice;
    char p_comm[MAXCOMLEN + 1]; /* the program's name */
#define p_endcopy p_pgrp

    struct pgrp* p_pgrp;
};

/* What FreeBSD keeps of a thread: its struct thread. */
struct td {
    struct thread* td_thread; /* the mechanism's half */
    struct proc* td_proc;

#define td_startzero td_runticks
    unsigned td_runticks; /* ticks of the clock that it ran */
#define td_endzero td_stack_start

#define td_startcopy td_stack_start
    ptr_t td_stack_start, td_stack_end; /* its user stack with the gap below; 0, 0: not this thread's to free */
#define td_endcopy td_name

    char td_name[MAXCOMLEN + 1];
    struct pcb* td_pcb;          /* at the top of its kernel stack */
    struct trap_frame* td_frame; /* below it; both are addresses in its own space */
    unsigned td_estcpu;          /* recent use of the CPU: sched_4bsd.c */
    uint8_t td_user_pri;         /* what that makes of its priority */
    uint8_t td_priority;         /* the priority it is queued with */
    uint8_t td_rqindex;          /* the queue it is in */
};

/* How many bytes lie between two fields of a structure. */
#define __rangeof(type, start, end) (offsetof(type, end) - offsetof(type, start))

/* Returns FreeBSD's half of a process or thread. */
static inline struct proc* process_proc(struct process* process) { return process->vm; }
static inline struct td* thread_td(struct thread* thread) { return thread->own; }

#define curproc process_proc(current_process)
#define curthread thread_td(current_thread)

/* kern_proc.c: which processes exist. */

extern unsigned nprocs;
void procinit(void);
/* Finds a living or dead process by its pid; NULL if there is none, or if fork has not committed it. */
struct proc* pfind(pid_t pid);
/* Makes the group and session of the first process. False if out of memory. */
bool proc0_post(struct proc* p);
/* Puts a process into allproc and PIDHASH; fork1() calls it under the lock of all processes. */
void proc_insert(struct proc* p, pid_t pid);
/* Moves a dying process from allproc to zombproc; PIDHASH keeps it. */
void proc_zombie(struct proc* p);
/* Removes a process from every list; its death and a failed fork call it. */
void proc_remove(struct proc* p);
/* Joins a group; fork1() calls it for the parent's. */
void pgrp_join(struct proc* p, struct pgrp* pgrp);
/* Calls a function for every thread of every living process. */
void proc_for_each_thread(void (*function)(struct td* td));
/* Chooses the pid of a new process: the next of the range that is known to be free, or the first of a new range. */
pid_t fork_findpid(void);
/* Maps a kernel stack for a thread; fork1() calls it as soon as the child has an address space, to which a kernel stack
 * belongs here. False if out of memory. */
bool vm_thread_new(struct td* td);

/* vm_machdep.c and exception.S: how a child begins. */

void cpu_fork(struct td* td1, struct proc* p2, struct td* td2, unsigned flags);
void cpu_set_start(struct td* td);
void cpu_resume(void);
void fork_trampoline(void);
void fork_exit(void (*callout)(void* argument, struct trap_frame* frame), void* argument, struct trap_frame* frame);
void fork_return(void* argument, struct trap_frame* frame);

/* sched_4bsd.c: the scheduler. */

void sched_initticks(void);
#define SRQ_BORING 0x0000   /* nothing special */
#define SRQ_YIELDING 0x0001 /* gives way: after all others of its priority */
void sched_add(struct td* td, int flags);
void sched_fork(struct td* td, struct td* child);
void sched_fork_thread(const struct td* td, struct td* child);
void sched_exit(struct proc* parent, const struct td* child);

#endif
