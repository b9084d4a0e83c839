#include "guest/kernel/devices/clock.h"
#include "guest/kernel/devices/interrupts.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/print.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/process/signal.h"
#include "guest/kernel/traps/syscall.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

/* Returns the signal that an exception of a user program means. */
static int exception_signal(unsigned vector) {
    switch (vector) {
    case TRAP_DIVIDE:
    case TRAP_FPU:
        return SIGFPE;
    case TRAP_DEBUG:
    case TRAP_BREAKPOINT:
        return SIGTRAP;
    case TRAP_INVALID:
    case TRAP_NO_FPU: /* the kernel saves no FPU state, so it offers none */
        return SIGILL;
    default:
        return SIGSEGV;
    }
}

/* Handles a page fault: the personality decides. A fault that it refuses becomes SIGSEGV for a program, EFAULT for a
 * copy, and is a bug anywhere else. Only init is not killed when memory is short, for then everything would end: it
 * tries again in its next turn. */
static void page_fault(struct trap_frame* frame) {
    ptr_t address = read_cr2();
    bool from_user = trap_from_user(frame);
    unsigned refusals = refusals_since_boot;
    faults_since_boot++;
    if (!from_user && (address >= USER_TOP || !user_memory_is_copying(frame->eip))) {
        panic_trap(frame, "page fault in the kernel at %08x", address);
    }
    if (handle_page_fault(frame, address)) {
        return;
    }
    if (from_user && current_process->pid == INIT_PID && refusals_since_boot != refusals) {
        schedule_yield();
    } else if (from_user) {
        signal_force(current_thread, SIGSEGV);
    } else {
        user_memory_give_up(frame);
    }
}

/* Handles an exception other than a page fault. */
static void exception(struct trap_frame* frame) {
    if (frame->vector == TRAP_NMI) {
        printk("NMI\n");
    } else if (trap_from_user(frame)) {
        signal_force(current_thread, exception_signal(frame->vector));
    } else {
        panic_trap(frame, "exception %u in the kernel", frame->vector);
    }
}

void trap_prepare_user(struct trap_frame* frame, ptr_t eip, ptr_t esp) {
    frame->gs = frame->fs = frame->es = frame->ds = USER_DATA_SELECTOR;
    frame->cs = USER_CODE_SELECTOR;
    frame->user_ss = USER_DATA_SELECTOR;
    frame->eflags = (frame->eflags & EFLAGS_USER_MAY_SET) | EFLAGS_RESERVED_ONE | EFLAGS_INTERRUPT;
    frame->eip = eip;
    frame->user_esp = esp;
}

void trap_dispatch(struct trap_frame* frame) {
    if (trap_from_user(frame)) {
        current_thread->hstate = frame;
    }
    if (frame->vector == TRAP_SYSTEM_CALL) {
        syscall_dispatch(frame);
    } else if (frame->vector == TRAP_PAGE_FAULT) {
        page_fault(frame);
    } else if (frame->vector >= TRAP_IRQ_BASE) {
        interrupts_handle(frame->vector - TRAP_IRQ_BASE);
    } else {
        exception(frame);
    }
}

void trap_leave(struct trap_frame* frame) {
    if (!trap_from_user(frame)) {
        return;
    }
    schedule_if_due();
    if (current_thread->doomed) {
        thread_finish(0);
    }
    signal_deliver(frame);
    if (current_thread->doomed) {
        thread_finish(0); /* the thread was doomed while the handler's frame was copied */
    }
}
