#include "guest/kernel/process/signal.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"

#define SIGNAL_BIT(signal) (1u << (signal))
#define NEVER_BLOCKED SIGNAL_BIT(SIGKILL)

/* What lies on the user's stack while a handler runs. The handler returns to the restorer, which calls sigreturn with
 * esp just above the return address. */
struct signal_frame {
    uint32_t return_address, signal, blocked;
    struct trap_frame registers;
};

/* Says whether a process lets a signal pass without any effect. */
static bool is_ignored(const struct process* process, int signal) {
    uint32_t handler = process->actions[signal].handler;
    bool by_default = handler == SIG_DFL && (signal == SIGCHLD || process->pid == INIT_PID);
    return handler == SIG_IGN || by_default;
}

void signal_send(struct process* process, int signal) {
    if (process->state != PROCESS_ALIVE || is_ignored(process, signal)) {
        return;
    }
    process->pending |= SIGNAL_BIT(signal);
    struct thread *thread, *following;
    list_for_each(thread, following, &process->threads, link) {
        if (!thread->doomed && signal_waiting(thread)) {
            schedule_interrupt(thread);
            return;
        }
    }
}

void signal_force(struct thread* thread, int signal) {
    struct sigaction* action = &thread->process->actions[signal];
    if ((thread->sigctx.blocked & SIGNAL_BIT(signal)) != 0 || action->handler == SIG_IGN) {
        action->handler = SIG_DFL;
        thread->sigctx.blocked &= ~SIGNAL_BIT(signal);
    }
    thread->sigctx.pending |= SIGNAL_BIT(signal);
}

void signal_foreground(int signal) { process_signal_all(signal); }

/* Returns the signals that wait for a thread and are not blocked. */
static uint32_t deliverable(const struct thread* thread) {
    return (thread->sigctx.pending | thread->process->pending) & ~thread->sigctx.blocked;
}

bool signal_waiting(const struct thread* thread) { return deliverable(thread) != 0; }

/* Builds the frame in which a handler runs. False if the user's stack cannot take it. */
static bool enter_handler(struct trap_frame* frame, int signal) {
    const struct sigaction action = current_process->actions[signal]; /* as it is now: the copy below may sleep */
    struct signal_frame image = {action.restorer, (uint32_t)signal, current_thread->sigctx.blocked, *frame};
    ptr_t at = ((frame->user_esp - sizeof(image)) & ~15u) - 4;
    if (copy_to_user(at, &image, sizeof(image)) < 0) {
        return false;
    }
    current_thread->sigctx.blocked |= (action.mask | SIGNAL_BIT(signal)) & ~NEVER_BLOCKED;
    frame->eflags = 0;
    trap_prepare_user(frame, action.handler, at);
    return true;
}

void signal_deliver(struct trap_frame* frame) {
    uint32_t waiting;
    while ((waiting = deliverable(current_thread)) != 0) {
        int signal = __builtin_ctz(waiting);
        current_thread->sigctx.pending &= ~SIGNAL_BIT(signal);
        current_process->pending &= ~SIGNAL_BIT(signal);
        uint32_t handler = current_process->actions[signal].handler;
        bool forced = handler == SIG_DFL && !(signal == SIGCHLD);
        if (handler == SIG_IGN || (handler == SIG_DFL && signal == SIGCHLD)) {
            continue;
        }
        if (forced) {
            process_exit(signal);
        }
        if (!enter_handler(frame, signal)) {
            process_exit(SIGSEGV);
        }
    }
}

int signal_return(struct trap_frame* frame) {
    struct signal_frame image;
    if (copy_from_user(&image, frame->user_esp - sizeof(image.return_address), sizeof(image)) < 0) {
        process_exit(SIGSEGV);
    }
    current_thread->sigctx.blocked = image.blocked & ~NEVER_BLOCKED;
    *frame = image.registers;
    trap_prepare_user(frame, image.registers.eip, image.registers.user_esp);
    return (int)frame->eax;
}

int signal_action(int signal, ptr_t new_action, ptr_t old_action) {
    struct sigaction action;
    if (signal <= 0 || signal >= NSIG || (signal == SIGKILL && new_action != 0)) {
        return -EINVAL;
    }
    if (new_action != 0 && copy_from_user(&action, new_action, sizeof(action)) < 0) {
        return -EFAULT;
    }
    if (old_action != 0 && copy_to_user(old_action, &current_process->actions[signal], sizeof(action)) < 0) {
        return -EFAULT;
    }
    if (new_action != 0) {
        current_process->actions[signal] = action;
        if (is_ignored(current_process, signal)) {
            current_process->pending &= ~SIGNAL_BIT(signal);
        }
    }
    return 0;
}

int signal_mask(int how, ptr_t new_mask, ptr_t old_mask) {
    uint32_t mask, old = current_thread->sigctx.blocked;
    if (new_mask != 0 && copy_from_user(&mask, new_mask, sizeof(mask)) < 0) {
        return -EFAULT;
    }
    if (old_mask != 0 && copy_to_user(old_mask, &old, sizeof(old)) < 0) {
        return -EFAULT;
    }
    if (new_mask == 0) {
        return 0;
    }
    switch (how) {
    case SIG_BLOCK:
        mask |= old;
        break;
    case SIG_UNBLOCK:
        mask = old & ~mask;
        break;
    case SIG_SETMASK:
        break;
    default:
        return -EINVAL;
    }
    current_thread->sigctx.blocked = mask & ~NEVER_BLOCKED;
    return 0;
}

void signal_dup_context(struct signal_context* context) {
    context->blocked = current_thread->sigctx.blocked;
    context->pending = 0;
}

void signal_dup_actions(struct process* child) {
    memcpy(child->actions, current_process->actions, sizeof(child->actions));
}

void signal_reset(struct process* process) {
    for (int signal = 1; signal < NSIG; signal++) {
        if (process->actions[signal].handler != SIG_IGN) {
            memset(&process->actions[signal], 0, sizeof(process->actions[signal]));
        }
    }
}
