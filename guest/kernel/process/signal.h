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

/* Sends a signal to a process; ignored ones are dropped at once. */
void signal_send(struct process* process, int signal);
/* Makes a signal that a thread has caused itself pending; a blocked or ignored one becomes deadly. */
void signal_force(struct thread* thread, int signal);
/* Sends a signal to the foreground: everybody but init, as in the 7th Edition; background jobs ignore it. */
void signal_foreground(int signal);
/* Says whether a signal waits that the thread does not block. */
bool signal_waiting(const struct thread* thread);
/* Delivers what waits: changes the frame so that a handler runs, or ends the process. */
void signal_deliver(struct trap_frame* frame);
/* Goes back from a handler to what it interrupted. Returns eax of what it interrupted. */
int signal_return(struct trap_frame* frame);
/* The system calls. 0 or a negative error. */
int signal_action(int signal, ptr_t new_action, ptr_t old_action);
int signal_mask(int how, ptr_t new_mask, ptr_t old_mask);
/* Starts a context as a copy of the running thread's: what is blocked stays blocked, what is pending is not inherited.
 */
void signal_dup_context(struct signal_context* context);
/* Copies the running process's actions to its child. */
void signal_dup_actions(struct process* child);
/* Caught signals become default ones, ignored ones stay so; exec calls. */
void signal_reset(struct process* process);

#endif
