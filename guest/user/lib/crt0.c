/* Owns: the first instructions of every user program, and the place to which signal handlers return.
 * Callers: the kernel, after exec (_start) and, as the return address that it gives to handlers, signal_restorer. */
#include "guest/user/lib/system.h"

int main(int argc, char* argv[]);
void _start(void);

/* The kernel enters here with esp -> argc, argv[0], ..., NULL. Ends the process with main's result. ebp = 0 marks the
 * outermost frame, where a stack walk stops. */
__attribute__((naked, noreturn)) void _start(void) {
    __asm__ volatile("xorl %%ebp, %%ebp\n\t"
                     "movl (%%esp), %%eax\n\t"
                     "leal 4(%%esp), %%edx\n\t"
                     "andl $-16, %%esp\n\t"
                     "subl $8, %%esp\n\t"
                     "pushl %%edx\n\t"
                     "pushl %%eax\n\t"
                     "call main\n\t"
                     "movl %%eax, %%ebx\n\t"
                     "movl %0, %%eax\n\t"
                     "int $0x80\n\t"
                     "ud2"
                     :
                     : "i"(SYS_exit));
}

/* A signal handler returns to this address: the kernel put it on the stack. Returns to the place that the signal
 * interrupted. */
__attribute__((naked)) void signal_restorer(void) {
    __asm__ volatile("movl %0, %%eax\n\t"
                     "int $0x80\n\t"
                     "ud2"
                     :
                     : "i"(SYS_sigreturn));
}
