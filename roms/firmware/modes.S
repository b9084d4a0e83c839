/* Between real mode and flat 32-bit protected mode. */
#include "roms/firmware/firmware.h"

    .code16
    .text

/* Called in real mode with ss = 0, returns to its caller in protected mode: 32-bit code, all segments flat, interrupts
 * off, paging off, caches on. Changes eax. The code after the call must be .code32. */
    .global enter_flat
enter_flat:
    cli
    lgdtl %cs:descriptor_table_pointer
    movl $(CR0_PROTECTED | CR0_EXTENSION), %eax
    movl %eax, %cr0
    ljmpl $FLAT_CODE, $(ROM_BASE + 1f)
    .code32
1:  movw $FLAT_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movzwl %sp, %esp
    xorl %eax, %eax
    popw %ax
    addl $ROM_BASE, %eax
    jmp *%eax

/* Called in protected mode after enter_flat, returns to its caller in real mode with all data segments 0. Changes eax.
 * The code after the call must be .code16. */
    .global leave_flat
leave_flat:
    popl %eax                           /* the linear return address: its low half is the offset in segment F000 */
    pushw %ax
    ljmp $REAL_CODE, $1f
    .code16
1:  movw $REAL_DATA, %ax                /* real mode keeps the limits that the last descriptors had */
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $CR0_EXTENSION, %eax
    movl %eax, %cr0
    ljmp $ROM_SEGMENT, $2f
2:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    ret

/* The accessed bits are set beforehand, as the processor cannot write them into ROM. */
    .balign 8
descriptor_table:
    .quad 0
    .quad 0x00CF9B000000FFFF            /* FLAT_CODE: 32-bit, 4 GB */
    .quad 0x00CF93000000FFFF            /* FLAT_DATA */
    .quad 0x00009B0F0000FFFF            /* REAL_CODE: 16-bit, 64 KB at F0000 */
    .quad 0x000093000000FFFF            /* REAL_DATA: 64 KB at 0 */
descriptor_table_end:

descriptor_table_pointer:
    .word descriptor_table_end - descriptor_table - 1
    .long ROM_BASE + descriptor_table
