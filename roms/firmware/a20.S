/* Address line 20: closed it folds every odd megabyte onto the even one below, as on the first PCs. */
#include "roms/firmware/firmware.h"

#define FAST_GATE        0x92
#define FAST_GATE_A20    0x02
#define FAST_GATE_RESET  0x01
#define WRITE_OUTPUT     0xD1
#define OUTPUT_A20_OPEN  0xDF
#define TRIES            1000

    .code16
    .text

/* Opens the line by port 92h, or else by the keyboard controller; stops the machine if it stays closed. */
    .global open_a20
open_a20:
    call open_by_fast_gate
    call a20_is_open
    jnz 2f

    movb $WRITE_OUTPUT, %al
    call send_to_controller             /* keyboard.S */
    movb $OUTPUT_A20_OPEN, %al
    call send_data_to_controller
    movw $TRIES, %cx                    /* the controller takes its time */
1:  call a20_is_open
    jnz 2f
    loop 1b
    movw $closed_message, %si
    jmp stop
2:  ret

open_by_fast_gate:
    inb $FAST_GATE, %al
    orb $FAST_GATE_A20, %al
    andb $~FAST_GATE_RESET, %al         /* a rising reset bit would start the machine again */
    outb %al, $FAST_GATE
    ret

/* The zero flag is clear if the line is open: then a byte and the one a megabyte above it differ at will. A write above
 * 1 MB must then not reach the byte below. Preserves memory and all registers but ax. */
a20_is_open:
    pushw %ds
    pushw %es
    pushw %bx
    xorw %ax, %ax
    movw %ax, %ds
    notw %ax
    movw %ax, %es
    movb SCRATCH, %bl
    movb %es:(SCRATCH + 0x10), %bh
    movb $0, SCRATCH
    movb $0xFF, %es:(SCRATCH + 0x10)
    movb SCRATCH, %al
    movb %bh, %es:(SCRATCH + 0x10)
    movb %bl, SCRATCH
    cmpb $0xFF, %al
    popw %bx
    popw %es
    popw %ds
    ret

/* INT 15h AX=2400h..2403h: close, open, tell (AL = 1: open), and which ways there are (BX = both). */
    .global a20_service
a20_service:
    movb $0, FRAME_AX + 1(%bp)
    cmpb $1, %al
    jb 1f
    je open_by_fast_gate
    cmpb $3, %al
    jb 2f
    ja service_unknown                  /* memory.S */
    movw $3, FRAME_BX(%bp)
    ret
1:  inb $FAST_GATE, %al
    andb $~(FAST_GATE_A20 | FAST_GATE_RESET), %al
    outb %al, $FAST_GATE
    ret
2:  call a20_is_open
    setnzb FRAME_AX(%bp)
    ret

closed_message:
    .asciz "Address line 20 does not open. The machine has stopped.\n"
