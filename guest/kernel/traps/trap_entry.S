/* Every way into the kernel and the one way out. A stub pushes (error code,) vector; trap_common saves the registers
 * as struct trap_frame. trap_return leaves through the frame at esp; a new thread starts there. */

#define KERNEL_DATA_SELECTOR 0x10

    .text
    .macro stub vector
    .align 8
stub_\vector:
    .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
    .else
    pushl $0
    .endif
    pushl $\vector
    jmp trap_common
    .endm

    .altmacro
    .macro numbered_stub number
    stub \number
    .endm
    .set number, 0
    .rept 48
    numbered_stub %number
    .set number, number + 1
    .endr
    stub 128

    .type trap_common, @function
trap_common:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $KERNEL_DATA_SELECTOR, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp
    call trap_dispatch
    addl $4, %esp

    .global trap_return
    .type trap_return, @function
trap_return:
    pushl %esp
    call trap_leave
    addl $4, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp                       /* vector and error code */
    iret
    .size trap_common, . - trap_common

/* The double-fault task starts here, on a stack of its own. */
    .global double_fault_entry
    .type double_fault_entry, @function
double_fault_entry:
    call double_fault
    .size double_fault_entry, . - double_fault_entry

    .section .rodata
    .align 4
    .global trap_stubs
trap_stubs:
    .macro address_of number
    .long stub_\number
    .endm
    .set number, 0
    .rept 48
    address_of %number
    .set number, number + 1
    .endr
    .global system_call_stub
system_call_stub:
    .long stub_128

    .section .note.GNU-stack, "", @progbits
