/* The real-time clock, and INT 1Ah, which tells the time by ticks and by the clock. */
#include "roms/firmware/firmware.h"

#define CLOCK_SECONDS   0x00
#define CLOCK_MINUTES   0x02
#define CLOCK_HOURS     0x04
#define CLOCK_DAY       0x07
#define CLOCK_MONTH     0x08
#define CLOCK_YEAR      0x09
#define CLOCK_A         0x0A
#define CLOCK_B         0x0B
#define CLOCK_C         0x0C
#define CLOCK_CENTURY   0x32
#define RATE            0x26 /* A: 32768 Hz crystal, running */
#define HOURS_24        0x02 /* B: binary coded decimal, 24 hours, no interrupts */
#define UPDATING        0x80
#define PATIENCE        0xFFFF
#define TIMER_RATE      1193182

    .code16
    .text

/* Reads register AL of the clock's chip into AL. */
    .global read_cmos
read_cmos:
    outb %al, $CMOS_INDEX
    inb $CMOS_DATA, %al
    ret

/* Writes AH to register AL of the clock's chip. */
write_cmos:
    outb %al, $CMOS_INDEX
    xchgb %al, %ah
    outb %al, $CMOS_DATA
    ret

/* Sets the clock's modes, and the tick counter to the time of day that it shows. */
    .global initialise_clock
initialise_clock:
    movw $(RATE << 8 | CLOCK_A), %ax
    call write_cmos
    movw $(HOURS_24 << 8 | CLOCK_B), %ax
    call write_cmos
    call read_time

    movb %ch, %al
    call from_decimal
    imull $60, %eax, %ebx
    movb %cl, %al
    call from_decimal
    addl %eax, %ebx
    imull $60, %ebx, %ebx
    movb %dh, %al
    call from_decimal
    addl %ebx, %eax                     /* seconds since midnight */
    movl $TIMER_RATE, %edx
    mull %edx
    shrdl $16, %edx, %eax               /* a tick takes 65536 counts */
    pushw $DATA_SEGMENT
    popw %ds
    movl %eax, DATA_TICKS
    ret

/* Turns the two decimal digits in AL into EAX. */
from_decimal:
    movb %al, %ah
    andb $0x0F, %al
    shrb $4, %ah
    aad
    movzbl %al, %eax
    ret

/* Reads the time in decimal digits: CH hours, CL minutes, DH seconds. Carry is set if the clock has stopped. */
read_time:
    call wait_for_clock
    jc 1f
    movb $CLOCK_HOURS, %al
    call read_cmos
    movb %al, %ch
    movb $CLOCK_MINUTES, %al
    call read_cmos
    movb %al, %cl
    movb $CLOCK_SECONDS, %al
    call read_cmos
    movb %al, %dh
    clc
1:  ret

/* Waits until the clock is not about to change; then there is time to read it. Carry is set if that never comes. */
wait_for_clock:
    movw $PATIENCE, %cx
1:  movb $CLOCK_A, %al
    call read_cmos
    testb $UPDATING, %al
    jz 2f
    loop 1b
    stc
2:  ret

/* INT 1Ah, as the list says. */
    .global time_service
time_service:
    enter_service
    andw $~FLAG_CARRY, FRAME_FLAGS(%bp)
    movw $time_functions, %si
    call dispatch
    jnc 1f
    orw $FLAG_CARRY, FRAME_FLAGS(%bp)
1:  leave_service

time_functions:
    .word 0x00, get_ticks
    .word 0x01, set_ticks
    .word 0x02, get_time
    .word 0x04, get_date
    .word 0, 0

/* AH=00: CX:DX = ticks since midnight, AL = 1 if midnight has passed since the last call. */
get_ticks:
    movw DATA_TICKS, %ax
    movw %ax, FRAME_DX(%bp)
    movw DATA_TICKS + 2, %ax
    movw %ax, FRAME_CX(%bp)
    movb DATA_MIDNIGHT, %al
    movb $0, DATA_MIDNIGHT
    movb %al, FRAME_AX(%bp)
    ret

/* AH=01: ticks = CX:DX. */
set_ticks:
    movw %dx, DATA_TICKS
    movw %cx, DATA_TICKS + 2
    movb $0, DATA_MIDNIGHT
    ret

/* AH=02: CH, CL, DH = hours, minutes, seconds in decimal digits; DL = 0, no daylight saving. Carry if the clock has
 * stopped. */
get_time:
    call read_time
    jc 1f
    movb $0, %dl
    movw %cx, FRAME_CX(%bp)
    movw %dx, FRAME_DX(%bp)
    ret
1:  orw $FLAG_CARRY, FRAME_FLAGS(%bp)
    ret

/* AH=04: CH, CL, DH, DL = century, year, month, day in decimal digits. Carry if the clock has stopped. */
get_date:
    call wait_for_clock
    jc 1b
    movb $CLOCK_CENTURY, %al
    call read_cmos
    movb %al, FRAME_CX + 1(%bp)
    movb $CLOCK_YEAR, %al
    call read_cmos
    movb %al, FRAME_CX(%bp)
    movb $CLOCK_MONTH, %al
    call read_cmos
    movb %al, FRAME_DX + 1(%bp)
    movb $CLOCK_DAY, %al
    call read_cmos
    movb %al, FRAME_DX(%bp)
    ret

/* INT 70h, line 8: the firmware does not ask the clock for interrupts, but it would send no more before register C is
 * read. */
    .global clock_interrupt
clock_interrupt:
    pushw %ax
    movb $CLOCK_C, %al
    call read_cmos
    movb $END_OF_INTERRUPT, %al
    outb %al, $SLAVE
    outb %al, $MASTER
    popw %ax
    iret
