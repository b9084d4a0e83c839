/* Multiboot 1 entry and the way in and out of the kernel. A kernel that is linked high gets throw-away tables of 4 MB
 * pages which show the first 8 MB both at 0 and at KERNEL_BASE. */

#define MULTIBOOT_MAGIC 0x1BADB002
#define MULTIBOOT_FLAGS 0x00000002

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .section .boot, "ax"
    .global boot_entry
boot_entry:
    cli
    cld
#if KERNEL_BASE
    movl %cr4, %eax
    orl $0x10, %eax                     /* large pages */
    movl %eax, %cr4
    movl $boot_directory, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
#endif
    movl $at_home, %eax
    jmp *%eax

#if KERNEL_BASE
    .align 4096
boot_directory:
    .long 0x00000083, 0x00400083
    .fill (KERNEL_BASE >> 22) - 2, 4, 0
    .long 0x00000083, 0x00400083
    .fill 1024 - (KERNEL_BASE >> 22) - 2, 4, 0
#endif

    .text
at_home:
    movl $kernel_stack_top, %esp
    xorl %ebp, %ebp
    pushl %ebx
    call kernel_main                    /* returns the frame of the first process */
    movl %eax, %esp
    jmp leave

/* One stub a vector, 16 bytes each: where the processor pushes no error code, 0 stands in its place. */
    .align 16
    .global vector_stubs, system_call_stub
vector_stubs:
    .set vector, 0
    .rept 32
    .align 16
    .if (vector != 8) && (vector != 17) && ((vector < 10) || (vector > 14))
    pushl $0
    .endif
    pushl $vector
    jmp enter
    .set vector, vector + 1
    .endr
system_call_stub:
    pushl $0
    pushl $0x80
enter:
    pushal
    cld
    pushl %esp
    call trap                           /* returns the frame to go on with */
    movl %eax, %esp
leave:
    popal
    addl $8, %esp
    iret

    .bss
    .align 4096
    .skip 8192
    .global kernel_stack_top
kernel_stack_top:

    .section .note.GNU-stack, "", @progbits
