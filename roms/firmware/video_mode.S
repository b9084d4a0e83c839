/* Mode 3: 80 by 25 characters in 16 colours. Every register of the VGA is programmed, whatever it held. The font is
 * left alone: Forkscope's VGA has one in its character memory from power-on. */
#include "roms/firmware/firmware.h"

#define MISCELLANEOUS      0x3C2
#define SEQUENCER          0x3C4
#define DAC_MASK           0x3C6
#define DAC_WRITE_INDEX    0x3C8
#define DAC_DATA           0x3C9
#define GRAPHICS           0x3CE
#define ATTRIBUTE          0x3C0
#define CRTC               0x3D4
#define STATUS             0x3DA
#define PALETTE_ON         0x20
#define RETRACE_END        0x11 /* CRTC register, whose top bit protects the first eight */
#define MODE_3_CONTROL     0x29 /* what a CGA's mode register would hold: 80 columns, on, blinking */
#define CURSOR_SHAPE       0x0607
#define CHARACTER_ROWS     16
#define BLANK              0x0720

    .code16
    .text

/* Sets mode 3 with a blank screen and the cursor at its top left. Changes all general registers and es. */
    .global set_text_mode
set_text_mode:
    call set_text_mode_only
    movw $VIDEO_SEGMENT, %ax
    movw %ax, %es
    xorw %di, %di
    movw $BLANK, %ax
    movw $(VIDEO_PAGE * VIDEO_PAGES / 2), %cx
    rep stosw
    ret

/* The same without blanking the screen. */
    .global set_text_mode_only
set_text_mode_only:
    call program_mode_3
    pushw %ds
    pushw $DATA_SEGMENT
    popw %ds
    movb $3, DATA_VIDEO_MODE
    movw $VIDEO_COLUMNS, DATA_COLUMNS
    movw $VIDEO_PAGE, DATA_PAGE_BYTES
    movw $0, DATA_PAGE_START
    movb $0, DATA_PAGE
    movw $CURSOR_SHAPE, DATA_CURSOR_SHAPE
    movw $CRTC, DATA_CRTC
    movb $MODE_3_CONTROL, DATA_MODE_CONTROL
    movb $(VIDEO_ROWS - 1), DATA_LAST_ROW
    movw $CHARACTER_ROWS, DATA_CHARACTER_ROWS
    pushw %ds
    popw %es
    movw $DATA_CURSOR, %di
    xorw %ax, %ax
    movw $VIDEO_PAGES, %cx
    rep stosw
    popw %ds
    ret

/* Writes all register files, then the palette. The sequencer is in reset while the clock is chosen. */
program_mode_3:
    movw $0x0100, %ax
    movw $SEQUENCER, %dx
    outw %ax, %dx
    movb $0x67, %al                     /* ports 3Dxh, memory on, 28.322 MHz, 400 lines */
    movw $MISCELLANEOUS, %dx
    outb %al, %dx
    movw $SEQUENCER, %dx
    movw $sequencer_values, %si
    movw $5, %cx
    call program_registers
    movw $0x0300, %ax                   /* now let it run */
    movw $SEQUENCER, %dx
    outw %ax, %dx
    movw $(0x0E00 | RETRACE_END), %ax   /* lift the protection */
    movw $CRTC, %dx
    outw %ax, %dx
    movw $crtc_values, %si
    movw $25, %cx
    call program_registers
    movw $GRAPHICS, %dx
    movw $graphics_values, %si
    movw $9, %cx
    call program_registers
    call program_attributes
    jmp program_palette

/* Writes cx bytes from cs:si to registers 0, 1, … of the index and data port pair at dx. */
program_registers:
    xorb %al, %al
1:  movb %cs:(%si), %ah
    outw %ax, %dx
    incw %si
    incb %al
    loop 1b
    ret

/* The attribute controller has one port for index and data in turn; reading the status makes the index come next. */
program_attributes:
    movw $STATUS, %dx
    inb %dx, %al
    movw $ATTRIBUTE, %dx
    movw $attribute_values, %si
    xorb %ah, %ah
1:  movb %ah, %al
    outb %al, %dx
    movb %cs:(%si), %al
    outb %al, %dx
    incw %si
    incb %ah
    cmpb $21, %ah
    jb 1b
    movb $PALETTE_ON, %al
    outb %al, %dx
    ret

/* The first 64 colours are those of the EGA: their numbers' bits are rgbRGB, a third and two thirds of full light. The
 * others are black. */
program_palette:
    movb $0xFF, %al
    movw $DAC_MASK, %dx
    outb %al, %dx
    xorb %al, %al
    movw $DAC_WRITE_INDEX, %dx
    outb %al, %dx
    movw $DAC_DATA, %dx
    xorw %bx, %bx
1:  movb %bl, %ah
    shlb $2, %ah                        /* the bits r and, three places lower, R come to the top */
    movw $3, %cx
2:  xorb %al, %al
    testb $0x80, %ah
    jz 3f
    addb $21, %al
3:  testb $0x10, %ah
    jz 4f
    addb $42, %al
4:  outb %al, %dx
    shlb $1, %ah
    loop 2b
    incw %bx
    cmpw $64, %bx
    jb 1b
    movw $((256 - 64) * 3), %cx
    xorb %al, %al
5:  outb %al, %dx
    loop 5b
    ret

sequencer_values:
    .byte 0x01, 0x00, 0x03, 0x00, 0x02
crtc_values:
    .byte 0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F
    .byte 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00
    .byte 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF
graphics_values:
    .byte 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF
attribute_values:
    .byte 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07
    .byte 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F
    .byte 0x0C, 0x00, 0x0F, 0x08, 0x00
