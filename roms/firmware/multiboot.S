/* Loads the multiboot image that the configuration holds and enters it (Multiboot Specification 3.2). */
#include "roms/firmware/firmware.h"

#define LOADER_MAGIC 0x2BADB002

/* The list of segments is in video memory after the first page: no segment can claim that memory. */
#define LIST          0xB9000
#define LIST_BYTES    0x7000
#define ENTRY_BYTES   12
#define MOST_SEGMENTS (LIST_BYTES / ENTRY_BYTES)

/* Makes the data port deliver an item from its beginning. Changes eax; leaves the data port's number in dx. */
    .macro select item
    movl $\item, %eax
    movl $ABI_PORT_FIRMWARE_SELECT, %edx
    outw %ax, %dx
    movl $ABI_PORT_FIRMWARE_DATA, %edx
    .endm

    .code16
    .text

/* Does not come back. From enter_flat on nothing but registers and the list is used, as a segment may cover all memory
 * below 640 KB: the vectors, the data area and the stack are the image's now. */
    .global boot_multiboot
boot_multiboot:
    movw $ABI_FIRMWARE_SEGMENTS, %ax
    call read_configuration
    cmpl $MOST_SEGMENTS, %eax
    movw $too_many_message, %si
    ja stop
    movl %eax, %ebp
    call admit_interrupts               /* interrupts.S; they are off in the processor */
    call enter_flat
    .code32

    select ABI_FIRMWARE_SEGMENTS
    inl %dx, %eax                       /* their number again */
    movl $LIST, %edi
    leal (%ebp, %ebp, 2), %ecx
    rep insl

    select ABI_FIRMWARE_SEGMENT_DATA
    movl $LIST, %esi
load_segment:
    decl %ebp
    js enter_image
    movl (%esi), %edi                   /* physical address */
    movl 4(%esi), %ebx                  /* bytes from the file */
    movl %ebx, %ecx
    shrl $2, %ecx
    rep insl
    movl %ebx, %ecx
    andl $3, %ecx
    rep insb
    movl 8(%esi), %ebx                  /* bytes in memory: the rest is zero */
    subl 4(%esi), %ebx
    xorl %eax, %eax
    movl %ebx, %ecx
    shrl $2, %ecx
    rep stosl
    movl %ebx, %ecx
    andl $3, %ecx
    rep stosb
    addl $ENTRY_BYTES, %esi
    jmp load_segment

enter_image:
    movl $LIST, %edi                    /* the screen's other pages are blank again */
    movl %esi, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    movl $0x07200720, %eax
    rep stosl

    select ABI_FIRMWARE_BOOT_INFO
    inl %dx, %eax
    movl %eax, %ebx
    inl %dx, %eax
    movl %eax, %esp
    select ABI_FIRMWARE_ENTRY
    inl %dx, %eax
    movl %eax, %edx
    movl $LOADER_MAGIC, %eax
    xorl %ecx, %ecx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    jmp *%edx

    .code16
too_many_message:
    .asciz "The kernel has more segments than the firmware can load.\n"
