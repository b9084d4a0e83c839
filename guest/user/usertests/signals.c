/* Tests of signals in one process: handlers, masks, what sigreturn restores, faults as signals. */
#include "guest/user/usertests/usertests.h"

static volatile int count;
static volatile int last_signal;

/* Counts its calls and keeps the last signal. */
static void handle(int signal) {
    count++;
    last_signal = signal;
}

/* Sends a signal to this process. */
static void raise(int signal) { CHECK_EQUAL(kill(getpid(), signal), 0); }

/* Installs a handler with a mask. */
static void set_handler(int signal, signal_handler handler, unsigned mask) {
    struct sigaction action = {(unsigned)handler, mask, (unsigned)signal_restorer};

    CHECK_EQUAL(sigaction(signal, &action, NULL), 0);
}

/* A handler runs once per signal, with the signal's number, before kill returns to its caller. */
static void signal_runs_handler(void) {
    set_handler(SIGUSR1, handle, 0);
    for (int i = 1; i <= 5; i++) {
        raise(SIGUSR1);
        CHECK_EQUAL(count, i);
        CHECK_EQUAL(last_signal, SIGUSR1);
    }
}

/* sigaction returns what was set before, and refuses what cannot be set. */
static void signal_actions(void) {
    struct sigaction action = {(unsigned)handle, 0, (unsigned)signal_restorer};
    struct sigaction old = {7, 7, 7};

    CHECK_EQUAL(sigaction(SIGUSR1, &action, &old), 0);
    CHECK_EQUAL(old.handler, SIG_DFL);
    CHECK_EQUAL(sigaction(SIGUSR1, NULL, &old), 0);
    CHECK_EQUAL(old.handler, (unsigned)handle);
    CHECK_EQUAL(old.restorer, (unsigned)signal_restorer);
    CHECK_ERROR(sigaction(SIGKILL, &action, NULL), EINVAL);
    CHECK_ERROR(sigaction(0, &action, NULL), EINVAL);
    CHECK_ERROR(sigaction(NSIG, &action, NULL), EINVAL);
    CHECK_ERROR(sigaction(-5, &action, NULL), EINVAL);
    CHECK_ERROR(sigprocmask(17, &action.mask, NULL), EINVAL);
}

/* Sends itself the signal and then exits. */
static void raise_and_exit(void* signal) { raise((int)signal); }

/* Signals without a handler end the process; SIGCHLD does nothing. */
static void signal_defaults(void) {
    static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM};

    for (unsigned i = 0; i < ARRAY_LENGTH(deadly); i++)
        must_die(raise_and_exit, (void*)deadly[i], deadly[i]);
    CHECK_EQUAL(run_apart(raise_and_exit, (void*)SIGCHLD), 0);
}

/* An ignored signal does nothing, and is not waiting when it is no longer ignored. */
static void signal_ignored(void) {
    set_handler(SIGTERM, (signal_handler)SIG_IGN, 0);
    raise(SIGTERM);
    set_handler(SIGTERM, handle, 0);
    yield();
    CHECK_EQUAL(count, 0);
}

/* A blocked signal waits, once however often it was sent, until it is unblocked; SIGKILL cannot be blocked. */
static void signal_blocked(void) {
    unsigned set = signal_bit(SIGUSR1) | signal_bit(SIGKILL);
    unsigned old = 0xFFFF;

    set_handler(SIGUSR1, handle, 0);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, &set, &old), 0);
    CHECK_EQUAL(old, 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    yield();
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(sigprocmask(SIG_UNBLOCK, &set, &old), 0);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(old, signal_bit(SIGUSR1));
    set = signal_bit(SIGUSR2) | signal_bit(SIGTERM);
    CHECK_EQUAL(sigprocmask(SIG_SETMASK, &set, NULL), 0);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, NULL, &old), 0);
    CHECK_EQUAL(old, set);
}

static volatile int nested_count;

/* Sends itself two signals: its own and one in its mask; neither may come before it returns. */
static void raise_blocked(int signal) {
    count++;
    if (count == 1) {
        raise(signal);
        raise(SIGUSR2);
        yield();
        CHECK_EQUAL(count, 1);
        CHECK_EQUAL(nested_count, 0);
    }
}

/* Counts. */
static void count_nested(int signal) {
    (void)signal;
    nested_count++;
}

/* While a handler runs its own signal and those of its mask wait; afterwards they come, and the mask is as before. */
static void signal_mask_of_handler(void) {
    unsigned mask = 99;

    set_handler(SIGUSR1, raise_blocked, signal_bit(SIGUSR2));
    set_handler(SIGUSR2, count_nested, 0);
    raise(SIGUSR1);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(nested_count, 1);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK_EQUAL(mask, 0);
}

/* Sends another signal, whose handler runs inside this one. */
static void raise_other(int signal) {
    (void)signal;
    raise(SIGUSR2);
    CHECK_EQUAL(nested_count, 1);
    count++;
}

/* A signal that is not blocked interrupts a handler, and both continue where they were. */
static void signal_nested(void) {
    set_handler(SIGUSR1, raise_other, 0);
    set_handler(SIGUSR2, count_nested, 0);
    raise(SIGUSR1);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(nested_count, 1);
}

/* Spoils all registers and flags. */
static void spoil_registers(int signal) {
    (void)signal;
    count++;
    __asm__ volatile("movl $-1, %%eax\n\tmovl %%eax, %%ebx\n\tmovl %%eax, %%ecx\n\tmovl %%eax, %%edx\n\t"
                     "movl %%eax, %%esi\n\tmovl %%eax, %%edi\n\tcmpl %%eax, %%ebx"
                     :
                     :
                     : "eax", "ebx", "ecx", "edx", "esi", "edi", "cc");
}

/* Counts up in registers, with a known value in each, until the counter reaches `turns`; returns true if none of them
 * and no flag was disturbed by the handlers that ran meanwhile. */
static bool registers_survive(unsigned turns) {
    unsigned good;

    __asm__ volatile("pushl %%ebp\n\t"
                     "movl %1, %%ecx\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movl $0x11, %%ebx\n\tmovl $0x22, %%edx\n\tmovl $0x33, %%esi\n\tmovl $0x44, %%edi\n\t"
                     "movl $0x55, %%ebp\n"
                     "1:\tincl %%eax\n\t"
                     "stc\n\t"
                     "nop\n\tnop\n\tnop\n\t"
                     "jnc 2f\n\t"
                     "cmpl $0x11, %%ebx\n\tjne 2f\n\t"
                     "cmpl $0x22, %%edx\n\tjne 2f\n\t"
                     "cmpl $0x33, %%esi\n\tjne 2f\n\t"
                     "cmpl $0x44, %%edi\n\tjne 2f\n\t"
                     "cmpl $0x55, %%ebp\n\tjne 2f\n\t"
                     "decl %%ecx\n\t"
                     "jnz 1b\n\t"
                     "movl $1, %%ecx\n\t"
                     "jmp 3f\n"
                     "2:\txorl %%ecx, %%ecx\n"
                     "3:\tpopl %%ebp"
                     : "=&c"(good)
                     : "m"(turns)
                     : "eax", "ebx", "edx", "esi", "edi", "memory", "cc");
    return good;
}

/* Signals that strike at any moment leave registers and flags as they were. */
static void signal_restores_registers(void) {
    int parent = getpid();

    set_handler(SIGUSR1, spoil_registers, 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < 4; i++) {
            sleep_ms(1);
            kill(parent, SIGUSR1);
        }
        exit(0);
    }
    while (count < 3)
        CHECK(registers_survive(2000));
    while (waitpid(pid, NULL, 0) < 0)
        CHECK_EQUAL(errno, EINTR);
}

/* A system call that is not interrupted keeps its result although a handler runs on its way out. */
static void signal_keeps_result(void) {
    unsigned set = signal_bit(SIGUSR1);
    int result;

    set_handler(SIGUSR1, spoil_registers, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    set = 0;
    result = system_call(SYS_sigprocmask, SIG_SETMASK, (unsigned)&set, 0, 0, 0);
    CHECK_EQUAL(result, 0);
    CHECK_EQUAL(count, 1);
}

/* Starts a child that waits for the parent to block and then sends it the signal. */
static int signal_me_later(int signal) {
    int parent = getpid();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        await_state(parent, PROC_BLOCKED);
        kill(parent, signal);
        exit(0);
    }
    return pid;
}

/* A caught signal interrupts sleep, a read of an empty pipe and waitpid, which then fail with EINTR. */
static void signal_interrupts_calls(void) {
    struct gate gate = make_gate();
    char byte;

    set_handler(SIGUSR1, handle, 0);
    int pid = signal_me_later(SIGUSR1);
    CHECK_ERROR(sleep_ms(60000), EINTR);
    finish(pid);
    pid = signal_me_later(SIGUSR1);
    CHECK_ERROR(read(gate.fds[0], &byte, 1), EINTR);
    finish(pid);
    int waiting = fork();
    CHECK(waiting >= 0);
    if (waiting == 0) {
        wait_gate(gate);
        exit(0);
    }
    pid = signal_me_later(SIGUSR1);
    CHECK_ERROR(waitpid(waiting, NULL, 0), EINTR);
    open_gate(gate);
    finish(waiting);
    finish(pid);
    CHECK_EQUAL(count, 3);
}

/* The end of a child sends SIGCHLD to a parent that catches it. */
static void signal_child_ended(void) {
    set_handler(SIGCHLD, handle, 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        exit(0);
    while (count == 0)
        sleep_ms(1);
    CHECK_EQUAL(last_signal, SIGCHLD);
    finish(pid);
}

static void* hole; /* where the page is missing */

/* Puts a page where it was missing. */
static void fill_hole(int signal) {
    (void)signal;
    count++;
    if (mmap(hole, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != hole)
        exit(9);
}

/* A handler of SIGSEGV may repair the cause; then the instruction is tried again. */
static void signal_repairs_fault(void) {
    hole = map_pages(1, MAP_PRIVATE);
    CHECK_EQUAL(munmap(hole, PAGE_BYTES), 0);
    set_handler(SIGSEGV, fill_hole, 0);
    poke((unsigned)hole + 40, 1234);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(peek((unsigned)hole + 40), 1234);
}

/* Faults inside the handler of that very fault. */
static void fault_again(int signal) {
    (void)signal;
    poke(16, 1);
}

/* Ignores or blocks SIGSEGV, or faults in its handler, according to the argument; then follows a wild pointer. */
static void fault_hopelessly(void* way) {
    unsigned set = signal_bit(SIGSEGV);

    if ((int)way == 0)
        set_handler(SIGSEGV, (signal_handler)SIG_IGN, 0);
    else if ((int)way == 1)
        sigprocmask(SIG_BLOCK, &set, NULL);
    else
        set_handler(SIGSEGV, fault_again, 0);
    poke(8, 1);
}

/* A fault whose signal is ignored, blocked or already being handled kills: it would come again for ever. */
static void signal_hopeless_fault(void) {
    for (int way = 0; way < 3; way++)
        must_die(fault_hopelessly, (void*)way, SIGSEGV);
}

/* Has a handler but no stack to run it on: the kernel must not write to the address given. */
static void signal_without_stack(void* address) {
    set_handler(SIGUSR1, handle, 0);
    __asm__ volatile("movl %0, %%esp\n\tint $0x80\n\tud2" : : "r"(address), "a"(SYS_kill), "b"(getpid()), "c"(SIGUSR1));
}

/* A stack pointer that points nowhere, to the kernel or to read-only memory kills when a signal comes. */
static void signal_bad_stack(void) {
    must_die(signal_without_stack, (void*)16, SIGSEGV);
    must_die(signal_without_stack, (void*)0xC0101000, SIGSEGV);
    must_die(signal_without_stack, (void*)0xFFFFFFF0, SIGSEGV);
    must_die(signal_without_stack, (void*)(((unsigned)signal_without_stack + 64) & ~15u), SIGSEGV);
}

/* Calls sigreturn with a stack full of the value given: a frame that the kernel never made. */
static void return_from_forged_frame(void* value) {
    volatile unsigned frame[256];

    for (unsigned i = 0; i < ARRAY_LENGTH(frame); i++)
        frame[i] = (unsigned)value;
    __asm__ volatile("movl %0, %%esp\n\tint $0x80\n\tud2" : : "r"(&frame[100]), "a"(SYS_sigreturn) : "memory");
}

/* Forged frames give no process more rights: the process ends by a signal, and the kernel stays up. */
static void signal_forged_frame(void) {
    static const unsigned values[] = {0, 0xFFFFFFFF, 0x8, 0x10, 0x3202, 0xC0100000, 0x13};

    for (unsigned i = 0; i < ARRAY_LENGTH(values); i++) {
        int status = run_apart(return_from_forged_frame, (void*)values[i]);
        if (status_exited(status))
            FAIL("a forged frame of 0x%x ended with status 0x%x", values[i], (unsigned)status);
    }
}

const struct test signal_tests[] = {
    {"signal_runs_handler", signal_runs_handler},
    {"signal_actions", signal_actions},
    {"signal_defaults", signal_defaults},
    {"signal_ignored", signal_ignored},
    {"signal_blocked", signal_blocked},
    {"signal_mask_of_handler", signal_mask_of_handler},
    {"signal_nested", signal_nested},
    {"signal_restores_registers", signal_restores_registers},
    {"signal_keeps_result", signal_keeps_result},
    {"signal_interrupts_calls", signal_interrupts_calls},
    {"signal_child_ended", signal_child_ended},
    {"signal_repairs_fault", signal_repairs_fault},
    {"signal_hopeless_fault", signal_hopeless_fault},
    {"signal_bad_stack", signal_bad_stack},
    {"signal_forged_frame", signal_forged_frame},
    {NULL, NULL},
};
