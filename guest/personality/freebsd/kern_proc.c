/* Which processes exist: allproc and zombproc, the hash of pids, groups and sessions, and the choice of a pid. */
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/personality/freebsd/proc.h"
#include "guest/personality/freebsd/uma.h"

#define PIDHASH_SIZE 64u
#define PIDHASH(pid) (&pidhashtbl[(unsigned)(pid) % PIDHASH_SIZE])

const char personality_name[] = "FreeBSD";

static struct uma_zone proc_zone = {"PROC", sizeof(struct proc), 0};
static struct uma_zone thread_zone = {"THREAD", sizeof(struct td), 0};
static struct uma_zone pgrp_zone = {"PGRP", sizeof(struct pgrp), 0};
static struct uma_zone session_zone = {"SESSION", sizeof(struct session), 0};

static struct list allproc, zombproc;
static struct list pidhashtbl[PIDHASH_SIZE];

unsigned nprocs;
static pid_t lastpid;
static pid_t pidchecked; /* pids above lastpid and below this one are free */

/* Makes the empty lists; personality_init() calls it. */
void procinit(void) {
    list_init(&allproc);
    list_init(&zombproc);
    for (unsigned i = 0; i < PIDHASH_SIZE; i++) {
        list_init(&pidhashtbl[i]);
    }
}

/* Door: prepares the personality's tables. */
void personality_init(void) {
    procinit();
    vm_page_startup();
    sched_initticks();
}

void proc_insert(struct proc* p, pid_t pid) {
    p->p_pid = pid;
    p->p_process->pid = pid;
    list_insert_before(allproc.next, &p->p_list);
    list_insert_before(PIDHASH(pid)->next, &p->p_hash);
}

void proc_zombie(struct proc* p) {
    p->p_state = PRS_ZOMBIE;
    list_remove(&p->p_list);
    list_insert_before(zombproc.next, &p->p_list);
}

void pgrp_join(struct proc* p, struct pgrp* pgrp) {
    p->p_pgrp = pgrp;
    list_append(&pgrp->pg_members, &p->p_pglist);
}

/* Leaves the group; its last member frees it, and the last group its session. */
static void leavepgrp(struct proc* p) {
    struct pgrp* pgrp = p->p_pgrp;
    list_remove(&p->p_pglist);
    p->p_pgrp = NULL;
    if (pgrp == NULL || !list_empty(&pgrp->pg_members)) {
        return;
    }
    if (--pgrp->pg_session->s_count == 0) {
        uma_zfree(&session_zone, pgrp->pg_session);
    }
    uma_zfree(&pgrp_zone, pgrp);
}

void proc_remove(struct proc* p) {
    leavepgrp(p);
    list_remove(&p->p_hash);
    list_remove(&p->p_list);
}

bool proc0_post(struct proc* p) {
    struct session* session = uma_zalloc(&session_zone);
    struct pgrp* pgrp = uma_zalloc(&pgrp_zone);
    if (session == NULL || pgrp == NULL) {
        return false;
    }
    session->s_sid = p->p_pid;
    session->s_count = 1;
    pgrp->pg_id = p->p_pid;
    pgrp->pg_session = session;
    list_init(&pgrp->pg_members);
    pgrp_join(p, pgrp);
    return true;
}

void proc_for_each_thread(void (*function)(struct td* td)) {
    struct proc *p, *next_process;
    list_for_each(p, next_process, &allproc, p_list) {
        struct thread *thread, *next_thread;
        list_for_each(thread, next_thread, &p->p_process->threads, link) { function(thread_td(thread)); }
    }
}

struct proc* pfind(pid_t pid) {
    struct proc *p, *following;
    list_for_each(p, following, PIDHASH(pid), p_hash) {
        if (p->p_pid == pid) {
            return p->p_state != PRS_NEW ? p : NULL;
        }
    }
    return NULL;
}

/* Door: finds a process by its pid. */
struct process* process_find(pid_t pid) {
    struct proc* p = pfind(pid);
    return p != NULL ? p->p_process : NULL;
}

/* Says whether a process makes a number unfit as a new pid: its own, its group's or its session's. */
static bool pid_is_taken_by(const struct proc* p, pid_t pid) {
    return p->p_pid == pid || (p->p_pgrp != NULL && (p->p_pgrp->pg_id == pid || p->p_pgrp->pg_session->s_sid == pid));
}

/* Lowers the end of the free range to a number that is taken above its beginning. */
static void pid_limit_range(pid_t taken, pid_t trypid) {
    if (taken > trypid && taken < pidchecked) {
        pidchecked = taken;
    }
}

/* Scans the processes of one list. Returns false if `trypid` is taken; else the range above it is limited. */
static bool pid_scan(const struct list* procs, pid_t trypid) {
    const struct proc *p, *following;
    list_for_each(p, following, procs, p_list) {
        if (pid_is_taken_by(p, trypid)) {
            return false;
        }
        pid_limit_range(p->p_pid, trypid);
        if (p->p_pgrp != NULL) {
            pid_limit_range(p->p_pgrp->pg_id, trypid);
            pid_limit_range(p->p_pgrp->pg_session->s_sid, trypid);
        }
    }
    return true;
}

pid_t fork_findpid(void) {
    /* As long as a range that was found free lasts, this costs one addition; then all living and dead processes are
     * scanned for the next range [pid, pidchecked). */
    pid_t trypid = lastpid + 1;
    while (trypid >= pidchecked) {
        if (trypid >= PID_MAX) {
            trypid = PID_RESERVED;
        }
        pidchecked = PID_MAX;
        if (!pid_scan(&allproc, trypid) || !pid_scan(&zombproc, trypid)) {
            trypid++;
            pidchecked = 0;
        }
    }
    lastpid = trypid;
    return trypid;
}

/* Door: makes FreeBSD's half of a process, without memory of its own yet; NULL if out of memory. */
void* vm_alloc(struct process* process) {
    struct proc* p = uma_zalloc(&proc_zone);
    if (p == NULL) {
        return NULL;
    }
    list_init(&p->p_list);
    list_init(&p->p_hash);
    list_init(&p->p_pglist);
    p->p_process = process;
    p->p_state = PRS_NEW;
    nprocs++;
    return p;
}

/* Door: frees what is left of a process that has died, or that fork has not committed. */
void vm_destroy(struct process* process) {
    struct proc* p = process_proc(process);
    proc_remove(p);
    if (p->p_textvp != NULL) {
        node_release(p->p_textvp);
    }
    if (p->p_vmspace != NULL && (p->p_flag & P_WEXIT) != 0) {
        vmspace_exitfree(p->p_vmspace);
    } else if (p->p_vmspace != NULL) {
        vmspace_free(p->p_vmspace);
    }
    nprocs--;
    uma_zfree(&proc_zone, p);
}

/* Door: gives the first process, whose pid is set, an empty address space, a group and a session. 0 or -ENOMEM. */
int vm_create_first(struct process* process) {
    struct proc* p = process_proc(process);
    p->p_vmspace = vmspace_alloc(USER_BASE, USER_TOP);
    if (p->p_vmspace == NULL) {
        return -ENOMEM;
    }
    process->page_directory = p->p_vmspace->vm_pmap.pm_pdir;
    proc_insert(p, process->pid);
    lastpid = process->pid;
    p->p_state = PRS_NORMAL;
    return proc0_post(p) ? 0 : -ENOMEM;
}

/* Door: empties the user half of the running process, which is dying, unless another process shares it. */
void vm_exit(struct process* process) {
    struct proc* p = process_proc(process);
    p->p_flag |= P_WEXIT;
    sched_exit(process_proc(process->parent), curthread);
    vmspace_exit(p->p_vmspace);
    proc_zombie(p);
}

/* Door: makes FreeBSD's half of a thread: thread_alloc() and thread_link() of the original. The top of its kernel stack
 * is for the PCB. False if out of memory. */
bool thread_attach(struct thread* thread) {
    struct td* td = uma_zalloc(&thread_zone);
    if (td == NULL) {
        return false;
    }
    td->td_thread = thread;
    td->td_proc = process_proc(thread->process);
    thread->own = td;
    thread->kstack_kept = sizeof(struct pcb) + PCB_GAP;
    sched_fork_thread(curthread, td);
    return true;
}

/* Door: see thread_attach(). */
void thread_detach(struct thread* thread) { uma_zfree(&thread_zone, thread_td(thread)); }

bool vm_thread_new(struct td* td) { return thread_map_kstack(td->td_thread); }
