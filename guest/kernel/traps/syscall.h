/* Owns: the system calls by number. traps.c calls. Promises: an unknown number gives -ENOSYS; the result is in eax. */
#ifndef KERNEL_SYSCALL_H
#define KERNEL_SYSCALL_H

struct trap_frame;

/* Calls the system call that eax names with ebx, ecx, edx, esi, edi and puts its result in eax; trap_dispatch() calls
 * it. */
void syscall_dispatch(struct trap_frame* frame);

#endif
