/* Channel 0 of the 8254 and the tick it makes, 18.2 times a second. */
#include "roms/firmware/firmware.h"

#define PIT_CHANNEL_0   0x40
#define PIT_CONTROL     0x43
#define SQUARE_WAVE     0x36 /* channel 0, low byte then high byte, mode 3 */
#define TICKS_OF_A_DAY  0x1800B0

    .code16
    .text

/* Makes channel 0 count 65536 at 1.193182 MHz. Its interrupt stays masked for now. */
    .global initialise_timer
initialise_timer:
    movb $SQUARE_WAVE, %al
    outb %al, $PIT_CONTROL
    xorb %al, %al
    outb %al, $PIT_CHANNEL_0
    outb %al, $PIT_CHANNEL_0
    ret

/* INT 08h, line 0: counts the tick, notes midnight, and lets programs that hooked INT 1Ch know. */
    .global timer_interrupt
timer_interrupt:
    pushw %ds
    pushw %ax
    pushw $DATA_SEGMENT
    popw %ds
    incl DATA_TICKS
    cmpl $TICKS_OF_A_DAY, DATA_TICKS
    jb 1f
    movl $0, DATA_TICKS
    movb $1, DATA_MIDNIGHT
1:  int $0x1C
    movb $END_OF_INTERRUPT, %al
    outb %al, $MASTER
    popw %ax
    popw %ds
    iret
