/* Multiboot entry, the stubs of the vectors, and the way into a step that may fault and out of it. */
#include "kernel.h"

    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002
    .long 0x00000002
    .long -(0x1BADB002 + 0x00000002)

    .text
    .global boot_entry
boot_entry:
    cli
    cld
    movl $kernel_stack_top, %esp
    call kernel_main
1:  hlt
    jmp 1b

/* void load_tables(const void* gdt, const void* idt): both in the form of LGDT's operand; the task's segment is 28h. */
    .global load_tables
load_tables:
    movl 4(%esp), %eax
    lgdt (%eax)
    movl 8(%esp), %eax
    lidt (%eax)
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $0x28, %eax
    ltr %ax
    ret

    .global attempt, attempt_user, leave_attempt
attempt:
    pushal
    movl %esp, attempt_esp
    call *36(%esp)
    xorl %eax, %eax
    jmp leave

attempt_user:
    pushal
    movl %esp, attempt_esp
    movl %esp, task_segment + 4         /* ring 0's stack goes on below */
    movl 36(%esp), %eax
    movl $user_return, user_stack_top
    pushl $0x23
    pushl $user_stack_top
    pushl $2
    pushl $0x1B
    pushl %eax
    movl $0x23, %eax
    movl %eax, %ds
    movl %eax, %es
    iretl
user_return:
    int $0x30

/* void leave_attempt(bool faulted): goes back behind the call of attempt or attempt_user. */
leave_attempt:
    movl 4(%esp), %eax
leave:
    movl attempt_esp, %esp
    movl %eax, 28(%esp)
    popal
    ret

    .align 16
    .global vector_stubs
vector_stubs:
    .set vector, 0
    .rept 49
    .align 16
    .if (vector != 8) && (vector != 17) && ((vector < 10) || (vector > 14))
    pushl $0
    .endif
    pushl $vector
    jmp enter
    .set vector, vector + 1
    .endr
enter:
    pushal
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %esp
    call trap
    addl $4, %esp
    popal
    addl $8, %esp
    iretl

/* Half of what PUSHA stores lies in the present page, half below it. */
    .global push_all_step, pop_all_step, enter_step, read_page_step
push_all_step:
    movl $SECOND_PAGE + 16, %esp
    pushal
    int $0x30
/* EDI, ESI, EBP and the slot of ESP can be read, EBX cannot. */
pop_all_step:
    movl $SECOND_PAGE - 16, %esp
    movl $0x11111111, %edi
    movl $0x22222222, %esi
    movl $0x33333333, %ebp
    popal
    int $0x30
/* EBP is pushed to the present page; the frame reaches below it. */
enter_step:
    movl $SECOND_PAGE + 0x100, %esp
    enter $0x200, $0
    int $0x30
read_page_step:
    movl PAGE, %eax
    movl %eax, step_result
    ret

    .bss
    .align 16
    .skip 16384
kernel_stack_top:
    .skip 4096
user_stack_top:
    .skip 16
    .lcomm attempt_esp, 4
