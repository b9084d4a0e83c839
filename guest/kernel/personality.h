/* The door between the mechanism and the one personality that is linked into this image. The mechanism knows how to
 * trap, switch, schedule, read files and write page-table entries; the personality decides what memory a process has.
 * Each personality defines exactly these functions, by these names, and keeps its own data behind process->vm and
 * thread->own. All run with interrupts off. Those that say so may sleep: then other threads, also of this process, run
 * before they return. */
#ifndef KERNEL_PERSONALITY_H
#define KERNEL_PERSONALITY_H

#include "guest/kernel/process/schedule.h"
#include "guest/kernel/types.h"

struct executable;
struct mmap_args;
struct process;
struct thread;
struct trap_frame;

extern const char personality_name[];

/* Prepares the personality's own tables, before any thread is made; starts its servers, where it has any. */
void personality_init(void);

/* Life of a process's memory. vm_alloc() makes an empty vm without a page directory (NULL: no memory); vm_destroy()
 * frees everything of a process that is not running, page directory included, and may sleep. */
void* vm_alloc(struct process* process);
void vm_destroy(struct process* process);
/* Gives the first process, whose pid is set, an address space without user memory. Returns 0 or -ENOMEM. */
int vm_create_first(struct process* process);
/* Empties the user half of the running process, which is dying. May sleep. */
void vm_exit(struct process* process);

/* Life of a thread: what the personality keeps behind thread->own. False if out of memory. */
bool thread_attach(struct thread* thread);
void thread_detach(struct thread* thread);

/* fork(): makes a child of the running process. Returns its pid, or a negative error with nothing changed. rfork()
 * does so by RF* flags; -ENOSYS where there is only fork(). May sleep. */
int fork_process(void);
int rfork_process(unsigned flags);

/* Finds a living or dead process by its pid; NULL if there is none, or if fork has not committed it. */
struct process* process_find(pid_t pid);

/* Called when an order to fail is given or cancelled (kernel/memory/fail.h), which servers' own memory obeys too. Never
 * sleeps. */
void failing_ordered(void);

/* The run queue. A thread is added when it is ready, with the reason; take() gives the one to run next, or NULL.
 * tick() charges the running thread one tick of so many per quantum, and says whether its turn is over. */
void run_queue_add(struct thread* thread, enum ready_reason reason);
struct thread* run_queue_take(void);
bool run_queue_is_empty(void);
bool run_queue_tick(struct thread* running, unsigned quantum);

/* The fault path, for faults of user programs and of the kernel's copies from and to user memory.
 * Returns false if the access is refused. May sleep. */
bool handle_page_fault(struct trap_frame* frame, ptr_t address);

/* A system call with a number from SYS_PERSONALITY on. Returns the value for eax. May sleep. */
int personality_call(struct trap_frame* frame);

/* exec in three steps. prepare builds the new memory next to the old, with `stack` (bytes) at the top of its stack, and
 * returns it, or NULL with *error set. Then either commit makes it the running process's memory and frees the old,
 * which cannot fail, or abandon frees it. All may sleep. */
void* vm_exec_prepare(const struct executable* image, const void* stack, size_t bytes, int* error);
void vm_exec_commit(void* vm);
void vm_exec_abandon(void* vm);

/* Stacks of threads in the running process, of whole pages. Returns 0 and the top, or a negative error. May sleep, as
 * all below. */
int vm_thread_stack(struct thread* thread, size_t bytes, ptr_t* top);
/* Frees the user stack of a thread of the running process. */
void vm_thread_exit(struct thread* thread);

/* The memory system calls of the running process; negative errors as abi/syscalls.h names them. The mechanism has
 * checked what depends on the arguments alone: one MAP_* mode, known bits, lengths that are not 0, ranges of pages in
 * the user half. A node is given for a mapping of a file, NULL for an anonymous one. vm_brk() returns the end that is
 * valid afterwards. */
struct node;
int vm_mmap(const struct mmap_args* arguments, struct node* node);
int vm_munmap(ptr_t start, size_t bytes);
ptr_t vm_brk(ptr_t end);
int vm_minherit(ptr_t start, size_t bytes, int inheritance);

#endif
