/* The 8042 keyboard controller, the keyboard's interrupt, and INT 16h, which hands out the keys typed. */
#include "roms/firmware/firmware.h"

#define CONTROLLER_DATA     0x60
#define CONTROLLER_COMMAND  0x64
#define OUTPUT_FULL         0x01 /* status: a byte is there to be read */
#define INPUT_FULL          0x02 /* the last one written is not yet taken */
#define WRITE_COMMAND_BYTE  0x60
#define SELF_TEST           0xAA
#define SELF_TEST_PASSED    0x55
#define INTERFACE_TEST      0xAB
#define DISABLE_KEYBOARD    0xAD
#define ENABLE_KEYBOARD     0xAE
#define RESET_PROCESSOR     0xFE
#define COMMAND_BYTE        0x65 /* translate to set 1, no auxiliary device, tested, interrupt */
#define PATIENCE            0xFFFF

#define SHIFT_KEYS    0x03
#define CONTROL_KEY   0x04
#define ALTERNATE_KEY 0x08
#define NUM_LOCK      0x20
#define CAPS_LOCK     0x40
#define PREFIX_E1     1
#define PREFIX_E0     2

    .code16
    .text

/* Tests the controller and turns the keyboard on. A machine without them works on: it has other ways to be used. */
    .global initialise_keyboard
initialise_keyboard:
    movb $DISABLE_KEYBOARD, %al
    call send_to_controller
    call drain_controller
    movb $SELF_TEST, %al
    call ask_controller
    cmpb $SELF_TEST_PASSED, %al
    jne 1f
    movb $INTERFACE_TEST, %al
    call ask_controller
    testb %al, %al
    jnz 1f
    movb $WRITE_COMMAND_BYTE, %al
    call send_to_controller
    movb $COMMAND_BYTE, %al
    call send_data_to_controller
    movb $ENABLE_KEYBOARD, %al
    jmp send_to_controller
1:  movw $no_keyboard_message, %si
    jmp print

/* Sends AL as a command, or as data; waits before until the controller listens, but not for ever. Preserves all. */
    .global send_to_controller
send_to_controller:
    call wait_until_taken
    outb %al, $CONTROLLER_COMMAND
    ret
    .global send_data_to_controller
send_data_to_controller:
    call wait_until_taken
    outb %al, $CONTROLLER_DATA
    ret
wait_until_taken:
    pushw %ax
    pushw %cx
    movw $PATIENCE, %cx
1:  inb $CONTROLLER_COMMAND, %al
    testb $INPUT_FULL, %al
    loopnz 1b
    popw %cx
    popw %ax
    ret

/* Sends command AL and returns the answer in AL; 0FFh where none comes. */
ask_controller:
    call send_to_controller
    pushw %cx
    movw $PATIENCE, %cx
1:  inb $CONTROLLER_COMMAND, %al
    testb $OUTPUT_FULL, %al
    loopz 1b
    popw %cx
    movb $0xFF, %al
    jz 2f
    inb $CONTROLLER_DATA, %al
2:  ret

/* Discards what was typed, or answered, before this point. */
drain_controller:
    movw $16, %cx
1:  inb $CONTROLLER_COMMAND, %al
    testb $OUTPUT_FULL, %al
    jz 2f
    inb $CONTROLLER_DATA, %al
    loop 1b
2:  ret

/* INT 09h, line 1: takes one byte from the keyboard, follows the shifts and locks, and queues the key it completes. */
    .global keyboard_interrupt
keyboard_interrupt:
    enter_service
    inb $CONTROLLER_DATA, %al
    call take_scan_code
    movb $END_OF_INTERRUPT, %al
    outb %al, $MASTER
    leave_service

/* E0 precedes the keys that were added later; E1 1D 45 is the whole of Pause, which does nothing here. */
take_scan_code:
    cmpb $0xE0, %al
    jne 1f
    orb $PREFIX_E0, DATA_PREFIX
    ret
1:  cmpb $0xE1, %al
    jne 2f
    orb $PREFIX_E1, DATA_PREFIX
    ret
2:  movb DATA_PREFIX, %dl
    testb $PREFIX_E1, %dl
    jz 4f
    andb $0x7F, %al
    cmpb $0x45, %al
    jne 3f
    andb $~PREFIX_E1, DATA_PREFIX
3:  ret
4:  andb $~PREFIX_E0, DATA_PREFIX
    call take_shift
    jc 3b
    testb $0x80, %al
    jnz 3b                              /* other keys matter only when they go down */
    cmpb $0x58, %al
    ja 3b
    cmpb $0x53, %al
    jne queue_key
    movb DATA_SHIFT, %ah
    notb %ah
    testb $(CONTROL_KEY | ALTERNATE_KEY), %ah
    jnz queue_key
    movb $RESET_PROCESSOR, %al          /* Ctrl, Alt and Delete */
    jmp send_to_controller

/* Follows code AL (prefix bits in DL) if it is a shift's or a lock's; carry tells that it was. Changes ah and si. */
take_shift:
    movb %al, %ah
    andb $0x7F, %ah
    movw $shifts, %si
1:  cmpb %cs:(%si), %ah
    je 2f
    addw $2, %si
    cmpw $shifts_end, %si
    jb 1b
    clc
    ret
2:  movb %cs:1(%si), %ah
    testb $SHIFT_KEYS, %ah
    jz 3f
    testb $PREFIX_E0, %dl               /* a shift that the keyboard itself puts around the newer keys */
    jnz 6f
3:  testb $0xF0, %ah
    jnz 4f
    orb %ah, DATA_SHIFT
    testb $0x80, %al
    jz 6f
    xorb %ah, DATA_SHIFT
    jmp 6f
4:  testb $0x80, %al                    /* a lock turns over when it goes down, and not again while it is held */
    jz 5f
    notb %ah
    andb %ah, DATA_LOCKS_HELD
    jmp 6f
5:  testb %ah, DATA_LOCKS_HELD
    jnz 6f
    orb %ah, DATA_LOCKS_HELD
    xorb %ah, DATA_SHIFT
6:  stc
    ret

shifts:
    .byte 0x36, 0x01, 0x2A, 0x02, 0x1D, CONTROL_KEY, 0x38, ALTERNATE_KEY
    .byte 0x46, 0x10, 0x45, NUM_LOCK, 0x3A, CAPS_LOCK
shifts_end:

/* Looks up the key of make code AL (prefix bits in DL) under the present shifts, and appends it to the queue. */
queue_key:
    movzbw %al, %si
    shlw $3, %si
    addw $keys, %si                     /* four words a key: plain, shifted, with Ctrl, with Alt */
    movb DATA_SHIFT, %ah
    movw $6, %bx
    testb $ALTERNATE_KEY, %ah
    jnz 3f
    movw $4, %bx
    testb $CONTROL_KEY, %ah
    jnz 3f
    movw $2, %bx
    testb $SHIFT_KEYS, %ah
    jnz 1f
    xorw %bx, %bx
1:  movb %cs:(%si), %cl                 /* Caps Lock turns over letters */
    subb $'a', %cl
    cmpb $25, %cl
    ja 2f
    testb $CAPS_LOCK, %ah
    jz 3f
    xorw $2, %bx
    jmp 3f
2:  cmpb $0x47, %al                     /* Num Lock turns over the keypad, but not the keys that mean the same */
    jb 3f
    cmpb $0x53, %al
    ja 3f
    testb $PREFIX_E0, %dl
    jnz 4f
    testb $NUM_LOCK, %ah
    jz 3f
    xorw $2, %bx
3:  movw %cs:(%bx, %si), %ax
    testw %ax, %ax
    jnz append_key
    ret
4:  xorw %bx, %bx
    jmp 3b

/* Appends AX to the queue; where it is full the key is lost. */
append_key:
    movw DATA_KEY_TAIL, %bx
    movw %bx, %si
    call after_key
    cmpw DATA_KEY_HEAD, %bx
    je 1f
    movw %ax, (%si)
    movw %bx, DATA_KEY_TAIL
1:  ret

/* Moves BX to the next place in the queue, which is a ring. */
after_key:
    addw $2, %bx
    cmpw DATA_KEY_END_AT, %bx
    jb 1f
    movw DATA_KEY_START_AT, %bx
1:  ret

/* INT 16h, as the list says. */
    .global keyboard_service
keyboard_service:
    enter_service
    movw $keyboard_functions, %si
    call dispatch
    leave_service

keyboard_functions:
    .word 0x00, read_key
    .word 0x01, peek_key
    .word 0x02, read_shifts
    .word 0x10, read_key
    .word 0x11, peek_key
    .word 0x12, read_shifts
    .word 0, 0

/* AH=00: waits for a key; AH = its code, AL = its character. */
read_key:
    cli
    movw DATA_KEY_HEAD, %bx
    cmpw DATA_KEY_TAIL, %bx
    jne 1f
    sti
    hlt
    jmp read_key
1:  movw (%bx), %ax
    movw %ax, FRAME_AX(%bp)
    call after_key
    movw %bx, DATA_KEY_HEAD
    ret

/* AH=01: the zero flag is set if no key waits; otherwise AX = the key, which stays. */
peek_key:
    movw DATA_KEY_HEAD, %bx
    cmpw DATA_KEY_TAIL, %bx
    je 1f
    movw (%bx), %ax
    movw %ax, FRAME_AX(%bp)
    andw $~FLAG_ZERO, FRAME_FLAGS(%bp)
    ret
1:  orw $FLAG_ZERO, FRAME_FLAGS(%bp)
    ret

/* AH=02: AL = keys held and locks. */
read_shifts:
    movb DATA_SHIFT, %al
    movb %al, FRAME_AX(%bp)
    ret

no_keyboard_message:
    .asciz "The keyboard controller does not answer: there is no keyboard.\n"
