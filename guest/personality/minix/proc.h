/* Owns: the process table of the MINIX kernel, and what its files call of each other. Names are MINIX's.
 * Promises: a process runs exactly if no bit of p_rts_flags is set; messages pass through the table, never from one
 * kernel stack to another, for each lies in an address space of its own. */
#ifndef MINIX_PROC_H
#define MINIX_PROC_H

#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/types.h"
#include "guest/personality/minix/abi/com.h"

/* Why a process cannot run. */
#define RTS_SLOT_FREE 0x001u
#define RTS_SENDING 0x004u
#define RTS_RECEIVING 0x008u
#define RTS_VMINHIBIT 0x200u   /* until VM has bound its page table */
#define RTS_PAGEFAULT 0x400u   /* until VM has dealt with its fault */
#define RTS_NO_QUANTUM 0x8000u /* until the scheduler has given it time */

#define NR_SCHED_QUEUES 16
#define VM_Q 2
#define SRV_Q 4
#define USER_Q 7
#define MIN_USER_Q 14

#define NOTIFY_WORDS (NR_PROCS / 32)
#define CALL_WORDS ((NR_SYS_CALLS + 31) / 32)

struct proc {
    int p_nr; /* the slot */
    endpoint_t p_endpoint;
    uint32_t p_rts_flags;
    bool p_exiting; /* no process may send to it any more */

    struct proc* p_caller_q; /* processes that want to send to us, first come first */
    struct proc* p_q_link;   /* the next one in the queue that we are in */
    endpoint_t p_getfrom_e, p_sendto_e;
    uint32_t p_notify_pending[NOTIFY_WORDS]; /* by slot of the sender */
    message p_sendmsg, p_delivermsg;
    ptr_t p_delivermsg_vir; /* where the message lies in user memory */
    int p_ipc_result;       /* how a wait has ended */
    unsigned p_fault_class; /* FAULT_*, as VM has seen the fault */

    bool p_server;                      /* may send and receive as it likes */
    uint32_t p_k_call_mask[CALL_WORDS]; /* which kernel calls it may make */
    unsigned p_priority, p_quantum, p_ticks_left;

    struct process* p_process; /* the mechanism's side of it */
    struct thread* p_thread;   /* the one thread that is in an IPC or has a fault; NULL: none */
    struct mutex p_mutex;      /* held by that thread, for endpoints belong to processes */
    struct exec_info* p_exec;  /* while VM builds the memory of a new program */
};

extern struct proc proc[NR_PROCS];

/* Returns the table's entry of a process of the mechanism. */
static inline struct proc* proc_of(const struct process* process) { return process->vm; }

/* proc.c: messages. Results are negative errors. */

bool isokendpt(endpoint_t endpoint, struct proc** rp);
int do_sync_ipc(struct proc* caller, int call_nr, endpoint_t src_dst_e, message* m);
int mini_send(struct proc* caller, endpoint_t dst_e, const message* m);
void proc_wait(struct proc* rp);
void clear_ipc_refs(struct proc* rp);
void rts_set(struct proc* rp, uint32_t flag);
void rts_unset(struct proc* rp, uint32_t flag);

/* table.c: slots. */

void proc_init(void);
void proc_claim_slot(int slot);
void proc_free_slot(struct proc* rp);

/* request.c: what MINIX's C library does for a program, done at the entry of the system call. */

int taskcall(endpoint_t who, message* m);
int usercall(endpoint_t who, message* m);
void deliver_to_child(void);

/* system.c: kernel calls. */

int kernel_call(struct proc* caller, message* m);

/* The kernel calls that are longer than a few lines, one file for each topic. */

int do_fork(struct proc* caller, message* m);
int fork_allocate(int slot, const struct proc* parent, phys_t directory);
int do_exit(struct proc* caller, message* m);
int do_clear(struct proc* caller, message* m);
int do_dupfiles(struct proc* caller, message* m);
int do_schedule(struct proc* caller, message* m);
int do_vmctl(struct proc* caller, message* m);
int do_abscopy(struct proc* caller, message* m);
int do_memset(struct proc* caller, message* m);
int do_filepage(struct proc* caller, message* m);
int do_exec(struct proc* caller, message* m);
void inodes_init(void);

/* schedule.c, boot.c */

void run_queues_init(void);
void boot_servers(void);

#endif
