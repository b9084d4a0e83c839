/* Multiboot 1 entry. Arrives in 32-bit protected mode without paging, eax = loader's magic, ebx = information.
 * Builds throw-away tables that show the first 16 MB both at 0 and at KERNEL_BASE, turns paging on, moves up,
 * and calls kernel_main(magic, information) on the boot stack. pmap_init() replaces the tables at once. */

#define MULTIBOOT_MAGIC 0x1BADB002
#define MULTIBOOT_FLAGS 0x00000003 /* modules on page boundaries; tell the memory sizes */
#define KERNEL_BASE     0xC0000000
#define BOOT_TABLES     4
#define PHYSICAL(symbol) ((symbol) - KERNEL_BASE)

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .section .boot, "ax"
    .global boot_entry
    .type boot_entry, @function
boot_entry:
    cli
    cld
    movl %eax, %ebp

    movl $PHYSICAL(boot_tables), %edi
    movl $0x003, %eax                   /* present, writable */
    movl $(BOOT_TABLES * 1024), %ecx
1:  stosl
    addl $4096, %eax
    decl %ecx
    jnz 1b

    movl $PHYSICAL(boot_directory), %edi
    movl $(PHYSICAL(boot_tables) + 0x003), %eax
    movl $BOOT_TABLES, %ecx
2:  movl %eax, (%edi)
    movl %eax, (KERNEL_BASE >> 20)(%edi)
    addl $4, %edi
    addl $4096, %eax
    decl %ecx
    jnz 2b

    movl $PHYSICAL(boot_directory), %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax               /* paging, write protection in ring 0 */
    movl %eax, %cr0
    movl $high_half, %eax
    jmp *%eax
    .size boot_entry, . - boot_entry

    .text
    .type high_half, @function
high_half:
    movl $boot_stack_top, %esp
    movl %ebp, %eax
    xorl %ebp, %ebp                     /* the stack walk ends here */
    pushl %ebx
    pushl %eax
    call kernel_main
1:  cli
    hlt
    jmp 1b
    .size high_half, . - high_half

    .bss
    .align 4096
    .global boot_directory
boot_directory:
    .skip 4096
boot_tables:
    .skip 4096 * BOOT_TABLES
    .global boot_stack
boot_stack:
    .skip 8192
    .global boot_stack_top
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
