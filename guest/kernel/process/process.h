/* Owns: processes and threads: their life from alloc_process() to delete_process(). Kernel and personalities call.
 * Promises: a process that cannot be made leaves nothing behind; one that dies frees everything, the last part when its
 * parent has waited. */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include "guest/abi/syscalls.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/process/signal.h"
#include "guest/kernel/types.h"

struct trap_frame;

#define PROCESS_LIMIT 256
#define PID_LIMIT 30000
#define NAME_BYTES 32
#define INIT_PID 1

enum process_state { PROCESS_NEW, PROCESS_ALIVE, PROCESS_DEAD };

struct process {
    pid_t pid;
    enum process_state state;
    struct process* parent;
    struct list children; /* of struct process, by sibling */
    struct list sibling;
    struct list link;    /* among all processes */
    struct list threads; /* of struct thread, by link */
    unsigned live_threads;
    bool exiting;
    int exit_status; /* as waitpid reports it */
    struct wait_queue child_waiters;
    struct wait_queue thread_waiters; /* joins, and exec waiting for the other threads to die */

    phys_t page_directory;
    void* vm; /* the personality's own; the mechanism never looks inside */

    char name[NAME_BYTES];
    char* command;        /* the command line, words separated by spaces; may be NULL */
    size_t command_bytes; /* its final zero included */
    struct node* working_directory;
    struct descriptor_table* descriptors; /* NULL before fork has made them, and after death */
    struct sigaction actions[NSIG];
    uint32_t pending; /* signals for whichever thread can take them, bit n = signal n */
    unsigned ticks;
    unsigned workload; /* the parameter of the measured workload under way, 0 outside one */
};

enum thread_state {
    THREAD_NEW,
    THREAD_READY,
    THREAD_RUNNING,
    THREAD_BLOCKED,
    THREAD_BLOCKED_KILLABLE,
    THREAD_BLOCKED_FIRMLY,
    THREAD_DEAD
};

struct thread {
    uint32_t saved_esp, saved_eip; /* switch.S knows that these two come first */
    int id;
    enum thread_state state;
    struct process* process;
    struct list link;          /* in its process */
    struct list queue_link;    /* in the run queue or a wait queue */
    struct trap_frame* hstate; /* registers of the user program, on the kernel stack */
    ptr_t kstack;              /* one past the top of its kernel stack */
    size_t kstack_kept;        /* bytes below that top which belong to the personality; traps begin below them */
    void* ustack;              /* the personality's note of the user stack; NULL: none */
    void* own;                 /* the personality's own; the mechanism never looks inside */
    struct signal_context sigctx;
    bool doomed;      /* dies before it sees user mode again */
    bool interrupted; /* was woken by a signal or its doom, not by what it waited for */
    uint32_t wake_time;
    int exit_value;
};

extern unsigned forks_since_boot, faults_since_boot, cow_copies_since_boot;

/* Prepares the list of processes. */
void processes_init(void);

/* Allocates a process, whose pid is 0 until the personality sets it. NULL if the table is full or memory is short. */
struct process* alloc_process(void);
/* Returns the next pid that is not in use, for personalities without a rule of their own. There are more pids than
 * processes. */
pid_t process_next_pid(void);
/* Makes an allocated process known to its parent and to all others. Cannot fail. */
void commit_process(struct process* process);
/* Frees everything that a process owns, its threads and memory included; none of its threads may run. wait calls it for
 * the dead, and the failure path of fork. */
void delete_process(struct process* process);

/* Makes a thread of a process, without stacks. NULL if out of memory. */
struct thread* alloc_thread(struct process* process);
/* Gives a thread the first free kernel stack of its address space. False if none is free or memory is short. */
bool thread_map_kstack(struct thread* thread);
/* Returns where a thread's first trap frame belongs: at the top of its kernel stack, below what the personality keeps
 * there. */
struct trap_frame* thread_first_frame(const struct thread* thread);
/* Frees a dead thread, or one that was never committed, and its kernel stack. */
void delete_thread(struct thread* thread);
/* Makes a thread ready; it will leave the kernel through its hstate. Cannot fail. */
void commit_thread(struct thread* thread);

/* Ends the running process with a waitpid status; exit and fatal signals call it. */
void process_exit(int status) __attribute__((noreturn));
/* Ends the running thread; the last one of a process ends the process. */
void thread_finish(int value) __attribute__((noreturn));
/* Ends every other thread of the running process; exec calls it before it replaces the memory. 0, or -EINTR if the
 * running thread was told to die meanwhile. */
int thread_end_others(void);

/* Looks through all processes for a pid, except those that fork has not committed; NULL if there is none. For
 * personalities whose process_find() has no index. */
struct process* process_search(pid_t pid);
/* Waits for a child to die and frees it. Returns its pid, 0 with WNOHANG if none is dead, -ECHILD, -EINTR, or -EFAULT
 * with the child kept. */
int process_wait(pid_t pid, ptr_t status, int options);
/* Makes a thread of the running process that calls entry(argument) on a stack of its own; 0 bytes mean the default
 * size. Returns its id, -EINVAL, or -ENOMEM with nothing left behind. */
int thread_create(ptr_t entry, ptr_t argument, size_t stack_bytes);
/* Waits for a thread of the same process to end and frees it. 0, -ESRCH, -EDEADLK for oneself, -EINTR, or -EFAULT with
 * the thread kept. */
int thread_join(int id, ptr_t value);
/* Fills in what ps shows of the index-th process; false past the last. */
bool process_describe(int index, struct procinfo* info);
/* Calls signal_send() for every living process but init; ^C does. */
void process_signal_all(int signal);
/* Gives a child that fork is making its parent's name and a copy of the command line. 0 or -ENOMEM. */
int process_inherit_name(struct process* child, const struct process* parent);
/* Replaces name and command line of the running process and takes ownership of the command; exec calls it. */
void process_rename(const char* path, char* command, size_t command_bytes);

#endif
