/* void switch_thread(struct thread *from, struct thread *to, phys_t directory) Saves the callee's registers on from's
 * kernel stack, notes esp and where to continue, changes the address space, and continues `to`. Both kernel stacks may
 * have the same address, each in its own space: between the load of CR3 and the load of esp nothing may touch the
 * stack. The load of CR3 is the change of spaces; only pmap.c drops translations *within* one space. saved_esp and
 * saved_eip are the first two words of a thread. */

    .text
    .global switch_thread
    .type switch_thread, @function
switch_thread:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    movl 12(%esp), %ecx
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, 0(%eax)
    movl $1f, 4(%eax)
    movl %cr3, %ebx
    cmpl %ebx, %ecx
    je 2f                               /* threads of one process share the space */
    movl %ecx, %cr3
2:  movl 0(%edx), %esp
    xorl %ebp, %ebp                     /* a thread that never ran ends the stack walk */
    jmp *4(%edx)
1:  popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret
    .size switch_thread, . - switch_thread

    .section .note.GNU-stack, "", @progbits
