/* The BIOS data area at 0040:0000, which programs read directly, and the two services that only report from it. */
#include "roms/firmware/firmware.h"

#define COM1              0x3F8
#define COM1_SCRATCH      (COM1 + 7)
#define EQUIPMENT_COLOUR  0x0020 /* display: 80 by 25 in colour */
#define EQUIPMENT_ONE_COM 0x0200
#define ONE_SECOND        10
#define KEYS_101          0x10
#define VIDEO_CONTROL     0x0851F960 /* 256 KB of display memory, a VGA in use, 400 lines, its combination code's index */

    .code16
    .text

/* Clears the area, then fills in the fields that do not belong to one device. Called once, before all others. */
    .global build_data_area
build_data_area:
    movw $DATA_SEGMENT, %ax
    movw %ax, %ds
    movw %ax, %es
    xorw %di, %di
    xorw %ax, %ax
    movw $128, %cx
    rep stosw

    movw $(640 - EXTENDED_KB), DATA_MEMORY_KB
    movw $EXTENDED_SEGMENT, DATA_EXTENDED
    movl $VIDEO_CONTROL, DATA_VIDEO_CONTROL
    movb $KEYS_101, DATA_PREFIX
    movw $EQUIPMENT_COLOUR, DATA_EQUIPMENT
    movw $DATA_KEY_BUFFER, %ax
    movw %ax, DATA_KEY_HEAD
    movw %ax, DATA_KEY_TAIL
    movw %ax, DATA_KEY_START_AT
    movw $DATA_KEY_BUFFER_END, DATA_KEY_END_AT

    movw $COM1_SCRATCH, %dx             /* a serial port is there if its scratch register remembers */
    movb $0x5A, %al
    outb %al, %dx
    inb %dx, %al
    cmpb $0x5A, %al
    jne 1f
    xorb %al, %al
    outb %al, %dx
    movw $COM1, DATA_COM1
    movb $ONE_SECOND, DATA_COM1_TIMEOUT
    orw $EQUIPMENT_ONE_COM, DATA_EQUIPMENT
1:  movw $EXTENDED_SEGMENT, %ax
    movw %ax, %es
    xorw %di, %di
    xorw %ax, %ax
    movw $(EXTENDED_KB * 512), %cx
    rep stosw
    movb $EXTENDED_KB, %es:0
    ret

/* INT 11h: AX = equipment word. */
    .global equipment_service
equipment_service:
    pushw %ds
    pushw $DATA_SEGMENT
    popw %ds
    movw DATA_EQUIPMENT, %ax
    popw %ds
    iret

/* INT 12h: AX = KB of memory from address 0. */
    .global low_memory_service
low_memory_service:
    pushw %ds
    pushw $DATA_SEGMENT
    popw %ds
    movw DATA_MEMORY_KB, %ax
    popw %ds
    iret
