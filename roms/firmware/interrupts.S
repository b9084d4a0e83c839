/* The vector table at 0000:0000, the two 8259 interrupt controllers, and handlers for interrupts that have no other. */
#include "roms/firmware/firmware.h"

#define INITIALISE        0x11 /* edge triggered, cascaded, a fourth word follows */
#define MASTER_VECTOR     0x08
#define SLAVE_VECTOR      0x70
#define CASCADE_LINE      2
#define MODE_8086         0x01
#define MASTER_MASK       0xF8 /* timer, keyboard and cascade may interrupt */
#define SLAVE_MASK        0xDE /* clock and coprocessor */

    .code16
    .text

/* Points every vector at a handler: first the ones that do nothing, then those of the list. */
    .global build_vector_table
build_vector_table:
    xorw %ax, %ax
    movw %ax, %es
    xorw %di, %di
    movw $256, %cx
    movl $(ROM_SEGMENT << 16), %eax
    movw $ignore_interrupt, %ax
    rep stosl

    movw $ignore_master_line, %ax
    movw $(MASTER_VECTOR * 4), %di
    movw $8, %cx
    rep stosl
    movw $ignore_slave_line, %ax
    movw $(SLAVE_VECTOR * 4), %di
    movw $8, %cx
    rep stosl

    movw $vectors, %si
1:  movw %cs:(%si), %di
    movw %cs:2(%si), %ax
    shlw $2, %di
    stosl
    addw $4, %si
    cmpw $vectors_end, %si
    jb 1b
    ret

vectors:
    .word 0x00, divide_error
    .word 0x06, invalid_opcode
    .word 0x08, timer_interrupt
    .word 0x09, keyboard_interrupt
    .word 0x10, video_service
    .word 0x11, equipment_service
    .word 0x12, low_memory_service
    .word 0x13, disk_service
    .word 0x15, system_service
    .word 0x16, keyboard_service
    .word 0x18, nothing_to_boot
    .word 0x19, boot
    .word 0x1A, time_service
    .word 0x70, clock_interrupt
    .word 0x75, coprocessor_interrupt
vectors_end:

/* Programs both controllers as a PC has them: lines 0 to 7 at vectors 08h, 8 to 15 at 70h, and all lines masked. They
 * stay so while the firmware works. */
    .global initialise_interrupt_controllers
initialise_interrupt_controllers:
    movb $INITIALISE, %al
    outb %al, $MASTER
    outb %al, $SLAVE
    movb $MASTER_VECTOR, %al
    outb %al, $(MASTER + 1)
    movb $SLAVE_VECTOR, %al
    outb %al, $(SLAVE + 1)
    movb $(1 << CASCADE_LINE), %al
    outb %al, $(MASTER + 1)
    movb $CASCADE_LINE, %al
    outb %al, $(SLAVE + 1)
    movb $MODE_8086, %al
    outb %al, $(MASTER + 1)
    outb %al, $(SLAVE + 1)
    movb $0xFF, %al
    outb %al, $(MASTER + 1)
    outb %al, $(SLAVE + 1)
    ret

/* Forgets requests of the firmware's own work, and unmasks the lines of devices that there are, as programs expect it
 * that keep the firmware's masks. Interrupts stay off. Changes al. */
    .global admit_interrupts
admit_interrupts:
    call initialise_interrupt_controllers
    movb $MASTER_MASK, %al
    outb %al, $(MASTER + 1)
    movb $SLAVE_MASK, %al
    outb %al, $(SLAVE + 1)
    ret

/* Calls the routine that the table at cs:si lists for function AH, with all registers but si as they are. The table
 * holds pairs of function and routine, and ends with a routine 0. Carry is set on return if the function is not there. */
    .global dispatch
dispatch:
    cmpw $0, %cs:2(%si)
    je 2f
    cmpb %cs:(%si), %ah
    je 1f
    addw $4, %si
    jmp dispatch
1:  call *%cs:2(%si)
    clc
    ret
2:  stc
    ret

/* Interrupts from devices that have no handler are acknowledged, or nothing as urgent would ever come again. */
ignore_slave_line:
    pushw %ax
    movb $END_OF_INTERRUPT, %al
    outb %al, $SLAVE
    outb %al, $MASTER
    popw %ax
    iret

ignore_master_line:
    pushw %ax
    movb $END_OF_INTERRUPT, %al
    outb %al, $MASTER
    popw %ax
ignore_interrupt:
    iret

/* The processor's own exceptions that share no vector with a service. To return would repeat them for ever. */
divide_error:
    movw $divide_error_message, %si
    jmp stop_at_instruction
invalid_opcode:
    movw $invalid_opcode_message, %si
stop_at_instruction:
    call print
    popw %bx                            /* the ip, then the cs, of the instruction */
    popw %ax
    call print_hexadecimal
    movb $':', %al
    call print_character
    movw %bx, %ax
    call print_hexadecimal
    movw $stopped_message, %si

/* Says the last words at cs:si and stops for good. */
    .global stop
stop:
    call print
1:  cli
    hlt
    jmp 1b

divide_error_message:
    .asciz "\nDivide error at "
invalid_opcode_message:
    .asciz "\nInvalid instruction at "
stopped_message:
    .asciz " in real mode. The machine has stopped.\n"
