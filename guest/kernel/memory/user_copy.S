/* int user_copy(void *destination, const void *source, size_t bytes) The one place where the kernel touches user
 * memory. Returns 0; after a fault that cannot be resolved it continues at user_copy_failed, which returns -1. Both
 * string instructions can be restarted after a resolved fault. */

    .text
    .global user_copy
    .type user_copy, @function
user_copy:
    pushl %esi
    pushl %edi
    movl 12(%esp), %edi
    movl 16(%esp), %esi
    movl 20(%esp), %ecx
    movl %ecx, %edx
    shrl $2, %ecx
    andl $3, %edx
    .global user_copy_begin
user_copy_begin:
    rep movsl
    movl %edx, %ecx
    rep movsb
    .global user_copy_end
user_copy_end:
    xorl %eax, %eax
    popl %edi
    popl %esi
    ret
    .global user_copy_failed
user_copy_failed:
    movl $-1, %eax
    popl %edi
    popl %esi
    ret
    .size user_copy, . - user_copy

    .section .note.GNU-stack, "", @progbits
