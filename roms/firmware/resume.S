/* A reset that is not a power-on: how programs of the 286 came back from protected mode. They leave a code in the CMOS
 * and an address in the data area. */
#include "roms/firmware/firmware.h"

#define SHUTDOWN_CODE   0x0F /* CMOS */
#define RESUME_WITH_END 0x05 /* after an end of interrupt */
#define RESUME          0x0A

    .code16
    .text

/* Goes to the address at 0040:0067 if the code says so, and comes back to power_on otherwise. There is no stack; memory
 * is as it was. The code counts once. */
    .global resume
resume:
    movb $SHUTDOWN_CODE, %al
    outb %al, $CMOS_INDEX
    inb $CMOS_DATA, %al
    movb %al, %ah
    movb $SHUTDOWN_CODE, %al
    outb %al, $CMOS_INDEX
    xorb %al, %al
    outb %al, $CMOS_DATA
    movw $DATA_SEGMENT, %bx
    movw %bx, %ds
    cmpb $RESUME, %ah
    je 2f
    cmpb $RESUME_WITH_END, %ah
    je 1f
    jmp power_on_for_good               /* main.S */
1:  movb $END_OF_INTERRUPT, %al
    outb %al, $SLAVE
    outb %al, $MASTER
2:  ljmp *DATA_RESUME
