/* Multiboot entry, the road into a case and the roads out of it. Everything a case can see lies elsewhere, at fixed
 * addresses (arena.h): no log depends on where this code was linked. */

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define ENTRY_STACK 0x31FFF0

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
    pushl %ebx
    pushl %eax
    call kernel_main
1:  hlt
    jmp 1b

    .global load_kernel_segments
load_kernel_segments:
    ljmp $KERNEL_CODE, $1f
1:  movl $KERNEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    ret

/* void enter_case(void): loads everything from `start` and goes there; returns by one of the roads out. */
    .global enter_case
enter_case:
    pushal
    movl %esp, kernel_esp
    cmpb $0, debug_registers_matter
    je 1f
    movl start_dr, %eax
    movl %eax, %dr0
    movl start_dr + 4, %eax
    movl %eax, %dr1
    movl start_dr + 8, %eax
    movl %eax, %dr2
    movl start_dr + 12, %eax
    movl %eax, %dr3
    movl start_dr6, %eax
    movl %eax, %dr6
    movl start_dr7, %eax
    movl %eax, %dr7
1:  testl $0x20000, start_flags
    jnz enter_virtual
    movl $ENTRY_STACK, %eax             /* a 16-bit stack takes over the upper half of ESP: a known one */
    testl $3, start_cs
    jnz enter_outer
    lssl start_esp, %esp
    movl start_es, %eax
    movl %eax, %es
    movl start_fs, %eax
    movl %eax, %fs
    movl start_gs, %eax
    movl %eax, %gs
    movl %esp, start_saved_esp
    movw %ss, start_saved_ss
    movl $kernel_flags_stack, %esp      /* the flags come from a stack of ours: the case's stays as it is */
    movl $KERNEL_DATA, %eax
    movl %eax, %ss
    pushl start_flags
    popfl
    lssl start_saved_esp, %esp
    movl start_ecx, %ecx
    movl start_edx, %edx
    movl start_ebx, %ebx
    movl start_ebp, %ebp
    movl start_esi, %esi
    movl start_edi, %edi
    movl start_ds, %eax
    movl %eax, %ds
    movl %cs:start_eax, %eax
    ljmpl *%cs:start_eip

enter_virtual:
    movl $ENTRY_STACK, %esp
    pushl start_gs
    pushl start_fs
    pushl start_ds
    pushl start_es
    movl %esp, %eax
enter_outer:
    movl %eax, %esp
    pushl start_ss
    pushl start_esp
    pushl start_flags
    pushl start_cs
    pushl start_eip
    testl $0x20000, start_flags
    jnz 1f
    movl start_es, %eax
    movl %eax, %es
    movl start_fs, %eax
    movl %eax, %fs
    movl start_gs, %eax
    movl %eax, %gs
1:  movl start_ecx, %ecx
    movl start_edx, %edx
    movl start_ebx, %ebx
    movl start_ebp, %ebp
    movl start_esi, %esi
    movl start_edi, %edi
    testl $0x20000, start_flags
    jnz 2f
    movl start_ds, %eax
    movl %eax, %ds
2:  movl %cs:start_eax, %eax
    iretl

/* One entry a vector. The debug registers keep what the entry needs room for: no word of the case's stack may change. */
    .align 16
    .global vector_entries
vector_entries:
    .set number, 0
    .rept 64
    .align 16
    movl %eax, %dr0
    movl $number, %eax
    jmp case_end
    .set number, number + 1
    .endr

case_end:
    movl %eax, %dr1
    movl %ds, %eax
    movl %eax, %dr2
    movl $KERNEL_DATA, %eax
    movl %eax, %ds
    movl %dr0, %eax
    movl %eax, end_eax
    movl %dr1, %eax
    movl %eax, end_vector
    movl %dr2, %eax
    movw %ax, end_ds
end_registers:
    movl %ecx, end_ecx
    movl %edx, end_edx
    movl %ebx, end_ebx
    movl %esp, end_esp
    movl %ebp, end_ebp
    movl %esi, end_esi
    movl %edi, end_edi
    movw %ss, end_ss
    movw %es, end_es
    movw %fs, end_fs
    movw %gs, end_gs
back_to_kernel:
    movl $KERNEL_DATA, %eax
    movl %eax, %ss
    movl kernel_esp, %esp
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    pushfl
    popl end_flags
    cmpb $0, debug_registers_matter
    jne leave_debug_registers
debug_registers_left:
    pushl $2
    popfl                               /* with NT, IRET would go back to the task that failed */
    pushl $2                            /* POPF leaves VIF and VIP */
    pushl $KERNEL_CODE
    pushl $1f
    iretl
1:  popal
    ret

/* The same where debug registers matter: MMX registers keep what is needed. */
    .align 16
    .global debug_entries
debug_entries:
    .set number, 0
    .rept 64
    .align 16
    clts
    movd %eax, %mm0
    movl $number, %eax
    jmp debug_case_end
    .set number, number + 1
    .endr

debug_case_end:
    movd %eax, %mm1
    movl %ds, %eax
    movd %eax, %mm2
    movl $KERNEL_DATA, %eax
    movl %eax, %ds
    cmpb $0, leaving
    jne guard_met
    movd %mm0, end_eax
    movd %mm1, end_vector
    movd %mm2, %eax
    movw %ax, end_ds
    fninit
    jmp end_registers

/* With DR7.GD the first look at a debug register ends in #DB, which clears GD and sets DR6.BD: the same bit. */
leave_debug_registers:
    movl $0, end_guard
    movb $1, leaving
    movl %dr7, %eax
    movb $0, leaving
    orl end_guard, %eax
    movl %eax, end_dr7
    xorl %eax, %eax
    movl %eax, %dr7
    movl %dr6, %eax
    notl end_guard
    andl end_guard, %eax
    movl %eax, end_dr6
    movl %dr0, %eax
    movl %eax, end_dr
    movl %dr1, %eax
    movl %eax, end_dr + 4
    movl %dr2, %eax
    movl %eax, end_dr + 8
    movl %dr3, %eax
    movl %eax, end_dr + 12
    jmp debug_registers_left
guard_met:
    movl $0x2000, end_guard
    iretl

/* Copied to TARGET: a handler of #DB that notes EIP, and DR6 with RF and TF of the saved flags, and resumes the case.
 * It ends the case where there is no more room for notes. */
    .set NOTE_POINTER, 0x30A07C
    .set NOTES_END, 0x30B080
    .global noting_handler, noting_handler_end
noting_handler:
    pushl %eax
    pushl %ecx
    pushl %ebx
    movl %ss:NOTE_POINTER, %ebx
    cmpl $NOTES_END, %ebx
    jb 1f
    int3
1:  movl 12(%esp), %eax
    movl %eax, %ss:(%ebx)
    movl %dr6, %ecx
    andl $0xE00F, %ecx
    movl 20(%esp), %eax
    andl $0x10100, %eax
    orl %ecx, %eax
    movl %eax, %ss:4(%ebx)
    addl $8, %ss:NOTE_POINTER
    xorl %eax, %eax
    movl %eax, %dr6
    orb $1, 22(%esp)
    popl %ebx
    popl %ecx
    popl %eax
    iretl
noting_handler_end:

/* The double fault comes by a task gate, so that it arrives even if the case broke its stack. */
    .global double_fault_entry
double_fault_entry:
    movl $8, end_vector
    popl end_error
    jmp back_to_kernel

    .bss
    .align 16
/* Pairs that LSS and the far JMP read stand together. */
    .irp name, eip, cs, esp, ss, flags, es, ds, fs, gs, eax, ecx, edx, ebx, ebp, esi, edi, saved_esp, saved_ss
    .global start_\name
start_\name: .skip 4
    .endr
    .align 16
    .skip 8192
kernel_stack_top:
    .skip 64
kernel_flags_stack:
    .skip 4096
    .global double_fault_stack_top
double_fault_stack_top:
    .lcomm kernel_esp, 4
    .lcomm end_guard, 4
    .lcomm leaving, 4
