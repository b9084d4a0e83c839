/* What to boot: a multiboot image that the configuration names. There are no disks. */
#include "roms/firmware/firmware.h"

    .code16
    .text

/* INT 19h: boots, and does not come back. */
    .global boot
boot:
    cli
    xorw %ax, %ax
    movw %ax, %ss
    movw $STACK_TOP, %sp
    cld
    movw $ABI_FIRMWARE_ENTRY, %ax
    call read_configuration
    jc 1f
    testl %eax, %eax
    jnz boot_multiboot                  /* multiboot.S */
1:  int $0x18

/* INT 18h: comes here when all ways to boot have failed. Waits for a person, with interrupts on. */
    .global nothing_to_boot
nothing_to_boot:
    movw $nothing_message, %si
    call print
    call admit_interrupts
    sti
1:  hlt
    jmp 1b

/* INT 13h: there are no drives, so that every request fails; "what is drive DL?" is answered with "not there". */
    .global disk_service
disk_service:
    enter_service
    movb $0x01, %al                     /* invalid request */
    cmpb $0x15, %ah
    jne 1f
    movb $0x00, %al
1:  movb %al, FRAME_AX + 1(%bp)
    movb $0x01, DATA_DISK_STATUS
    orw $FLAG_CARRY, FRAME_FLAGS(%bp)
    leave_service

nothing_message:
    .ascii "Nothing to boot: no kernel was given and there is no disk.\n"
    .asciz "Start the machine again with a multiboot kernel (--kernel FILE).\n"
