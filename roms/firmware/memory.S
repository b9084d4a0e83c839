/* How much memory there is, and INT 15h, which tells it in the three customary ways. */
#include "roms/firmware/firmware.h"

#define CMOS_ABOVE_1M   0x30 /* two bytes: KB */
#define CMOS_ABOVE_16M  0x34 /* two bytes: units of 64 KB */
#define HIGH_START      0x100000
#define LOW_TOP         0xA0000
#define PATTERN         0x5A0FA5F0
#define SYSTEM_MAP      0x534D4150 /* "SMAP" */
#define USABLE          1
#define RESERVED        2

    .code16
    .text

/* Asks how much memory there is, tries both ends of both parts of it, and notes the size. Stops the machine if the
 * memory is not what it should be: nothing could be relied on then. */
    .global size_memory
size_memory:
    movw $ABI_FIRMWARE_RAM_SIZE, %ax
    call read_configuration
    jnc 1f
    call size_from_cmos
1:  movl %eax, %esi                     /* end of memory: the item's low half, as machines have less than 4 GB */
    movw $too_small_message, %di
    cmpl $(HIGH_START + 0x1000), %esi
    jb 2f
    call enter_flat
    .code32
    movl $SCRATCH, %ebx
    call try_address
    jne 3f
    movl $(LOW_TOP - 4), %ebx
    call try_address
    jne 3f
    movl $HIGH_START, %ebx
    call try_address
    jne 3f
    leal -4(%esi), %ebx
    call try_address
3:  sete %dl
    call leave_flat
    .code16
    movw $does_not_answer_message, %di
    testb %dl, %dl
    jz 2f

    pushw $DATA_SEGMENT
    popw %ds
    subl $HIGH_START, %esi
    shrl $10, %esi
    movl %esi, DATA_EXTENDED_KB
    ret
2:  movw %di, %si
    jmp stop

/* EAX = end of memory, from the two pairs of bytes that a PC keeps with its clock. */
size_from_cmos:
    movb $CMOS_ABOVE_16M, %al
    call read_cmos_pair
    shll $16, %eax
    addl $0x1000000, %eax
    cmpl $0x1000000, %eax
    ja 1f
    movb $CMOS_ABOVE_1M, %al
    call read_cmos_pair
    shll $10, %eax
    addl $HIGH_START, %eax
1:  ret

/* EAX = registers AL (low) and AL + 1 (high) of the clock's chip. */
read_cmos_pair:
    pushw %bx
    movb %al, %bl
    call read_cmos
    movb %al, %bh
    movb %bl, %al
    incb %al
    call read_cmos
    movb %al, %ah
    movb %bh, %al
    movzwl %ax, %eax
    popw %bx
    ret

/* The zero flag is set if the doubleword at EBX keeps a pattern and its opposite, which it holds only for that long.
 * The write to another address between lets no value survive on the wires alone. Changes eax and ecx. */
    .code32
try_address:
    movl (%ebx), %ecx
    movl $PATTERN, %eax
    call keeps
    jne 1f
    notl %eax
    call keeps
1:  movl %ecx, (%ebx)
    ret
keeps:
    movl %eax, (%ebx)
    pushl %eax
    cmpl %eax, (%ebx)
    popl %eax
    ret

/* INT 15h, as the list says; what it does not know it refuses with carry and AH = 86h. */
    .code16
    .global system_service
system_service:
    enter_service
    andw $~FLAG_CARRY, FRAME_FLAGS(%bp)
    movw $system_functions, %si
    call dispatch
    jnc 1f
    call service_unknown
1:  leave_service

system_functions:
    .word 0x24, a20_service             /* a20.S */
    .word 0x88, extended_memory
    .word 0xC0, system_description
    .word 0xE8, memory_map
    .word 0, 0

    .global service_unknown
service_unknown:
    movb $0x86, FRAME_AX + 1(%bp)
    orw $FLAG_CARRY, FRAME_FLAGS(%bp)
    ret

/* AH=88h: AX = KB above 1 MB, as far as 16 bits tell. */
extended_memory:
    movl DATA_EXTENDED_KB, %eax
    cmpl $0xFFFF, %eax
    jbe 1f
    movw $0xFFFF, %ax
1:  movw %ax, FRAME_AX(%bp)
    ret

/* AH=C0h: ES:BX = the description of this machine. */
system_description:
    movb $0, FRAME_AX + 1(%bp)
    movw $description, FRAME_BX(%bp)
    movw $ROM_SEGMENT, FRAME_ES(%bp)
    ret
description:
    .word 8                             /* bytes that follow */
    .byte 0xFC, 0, 0                    /* model, submodel, revision */
    .byte 0x60                          /* a second 8259, a real-time clock */
    .long 0

/* AX=E801h: AX = CX = KB from 1 to 16 MB, BX = DX = units of 64 KB above. AX=E820h: see next_range. */
memory_map:
    cmpb $0x20, %al
    je next_range
    cmpb $0x01, %al
    jne service_unknown
    movl DATA_EXTENDED_KB, %eax
    movl $(15 * 1024), %ecx
    cmpl %ecx, %eax
    jae 1f
    movl %eax, %ecx
1:  subl %ecx, %eax
    shrl $6, %eax
    movw %cx, FRAME_AX(%bp)
    movw %cx, FRAME_CX(%bp)
    movw %ax, FRAME_BX(%bp)
    movw %ax, FRAME_DX(%bp)
    ret

/* AX=E820h: writes range number EBX of the memory map to ES:DI, 20 bytes: base, length (64 bits each), kind. Wants
 * EDX = "SMAP" and ECX at least 20; EBX becomes the next range's number, 0 after the last. */
next_range:
    cmpl $SYSTEM_MAP, %edx
    jne service_unknown
    cmpl $20, %ecx
    jb service_unknown
    cmpl $((ranges_end - ranges) / 12), %ebx
    jae service_unknown
    movl %edx, FRAME_AX(%bp)
    movl $20, FRAME_CX(%bp)
    imulw $12, %bx, %si
    addw $ranges, %si
    incl %ebx
    cmpw $(ranges_end - 12), %si
    jb 1f
    xorl %ebx, %ebx
1:  movl %ebx, FRAME_BX(%bp)
    xorl %edx, %edx
    movl %cs:(%si), %eax
    stosl
    movl %edx, %eax
    stosl
    movl %cs:4(%si), %eax
    testl %eax, %eax
    jnz 2f
    movl DATA_EXTENDED_KB, %eax
    shll $10, %eax
2:  stosl
    movl %edx, %eax
    stosl
    movl %cs:8(%si), %eax
    stosl
    ret

/* Base, length (0 = what there is above 1 MB), kind. */
ranges:
    .long 0, LOW_END, USABLE
    .long LOW_END, LOW_TOP - LOW_END, RESERVED
    .long ROM_BASE, 0x10000, RESERVED
    .long HIGH_START, 0, USABLE
    .long 0xFFFF0000, 0x10000, RESERVED
ranges_end:

too_small_message:
    .asciz "There is less than 1 MB of memory. The machine has stopped.\n"
does_not_answer_message:
    .asciz "Memory does not keep what is written to it. The machine has stopped.\n"
