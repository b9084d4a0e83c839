/* Owns: signals: what is pending, what is blocked, and the frame on the user's stack in which a handler runs.
 * Promises: SIGKILL cannot be caught, blocked or ignored; a bad user stack kills the process, not the kernel. */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "guest/abi/syscalls.h"
#include "guest/kernel/types.h"

struct process;
struct thread;
struct trap_frame;

/* The signals of one thread, bit n = signal n. */
struct signal_context {
    uint32_t pending, blocked;
};

/* Sends a signal to a living process; kill, the terminal, pipes and dying children call it. A signal that is ignored is
 * dropped at once. Cannot fail. */
void signal_send(struct process* process, int signal);
/* Makes a signal that a thread has caused itself pending; a blocked or ignored one gets its default action. */
void signal_force(struct thread* thread, int signal);
/* Sends a signal to every process but init, as in the 7th Edition; the terminal calls it. Shells and background jobs
 * ignore SIGINT. */
void signal_foreground(int signal);
/* Says whether a signal is pending that the thread does not block; code that blocks asks. */
bool signal_waiting(const struct thread* thread);
/* Delivers pending signals before a return to user mode: changes the frame so that a handler runs, or ends the process.
 * trap_leave() calls it. */
void signal_deliver(struct trap_frame* frame);
/* Returns from a handler to what it interrupted; the restorer's system call. Returns eax of what was interrupted. A
 * frame that cannot be read kills the process; privileged flags are not restored. */
int signal_return(struct trap_frame* frame);
/* The system call: reads and changes what a signal does. 0, -EINVAL or -EFAULT. */
int signal_action(int signal, ptr_t new_action, ptr_t old_action);
/* Reads and changes what the running thread blocks; the system call. 0, -EINVAL or -EFAULT. */
int signal_mask(int how, ptr_t new_mask, ptr_t old_mask);
/* Starts a context as a copy of the running thread's: what is blocked stays blocked, what is pending is not inherited.
 * fork and thread_create() call it. */
void signal_dup_context(struct signal_context* context);
/* Copies the running process's actions to its child; fork calls it. */
void signal_dup_actions(struct process* child);
/* Makes caught signals default ones, for exec removes the handlers; ignored ones stay ignored. */
void signal_reset(struct process* process);

#endif
