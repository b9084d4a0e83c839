/* Where a child's thread begins. switch.S has loaded its address space and comes to cpu_resume with esp at its PCB. */
#include "guest/personality/freebsd/pcb.h"

/* Loads the registers from the PCB and continues where it says: the second half of the original's cpu_switch(). */
    .text
    .global cpu_resume
    .type cpu_resume, @function
cpu_resume:
    movl %esp, %edx
    movl PCB_EDI(%edx), %edi
    movl PCB_ESI(%edx), %esi
    movl PCB_EBP(%edx), %ebp
    movl PCB_EBX(%edx), %ebx
    movl PCB_ESP(%edx), %esp
    jmp *PCB_EIP(%edx)
    .size cpu_resume, . - cpu_resume

/* The first code of a child: fork_exit(callout = esi, argument = ebx, frame = esp), then out of the kernel through the
 * frame, as if the child had made the system call itself. doreti is the mechanism's trap_return. */
    .global fork_trampoline
    .type fork_trampoline, @function
fork_trampoline:
    pushl %esp
    pushl %ebx
    pushl %esi
    call fork_exit
    addl $12, %esp
doreti:
    jmp trap_return
    .size fork_trampoline, . - fork_trampoline

    .section .note.GNU-stack, "", @progbits
