/* The x87: its state as programs expect it of a PC, and its errors by line 13. */
#include "roms/firmware/firmware.h"

#define CLEAR_BUSY 0xF0

    .code16
    .text

/* Gives control word 037Fh: no exception reaches a program that did not ask for it. After a reset the word is 0040h, with
 * which the first inexact result would wait for an interrupt. A coprocessor that is there also clears its status. */
    .global initialise_coprocessor
initialise_coprocessor:
    pushw $DATA_SEGMENT
    popw %ds
    fninit
    pushw $0x5A5A
    movw %sp, %bp
    fnstsw (%bp)
    popw %ax
    testw %ax, %ax
    jnz 1f
    orw $EQUIPMENT_COPROCESSOR, DATA_EQUIPMENT
1:  ret

/* INT 75h, line 13: lets the coprocessor go on, and reports to whoever hooked INT 02h, as on the first PCs. */
    .global coprocessor_interrupt
coprocessor_interrupt:
    pushw %ax
    xorb %al, %al
    outb %al, $CLEAR_BUSY
    movb $END_OF_INTERRUPT, %al
    outb %al, $SLAVE
    outb %al, $MASTER
    popw %ax
    int $0x02
    iret
