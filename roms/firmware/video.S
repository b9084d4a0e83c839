/* INT 10h: characters, cursor and scrolling in text mode. */
#include "roms/firmware/firmware.h"

#define CRTC            0x3D4
#define CURSOR_START    0x0A
#define START_ADDRESS   0x0C
#define CURSOR_ADDRESS  0x0E
#define BELL            0x07
#define BACKSPACE       0x08
#define LINE_FEED       0x0A
#define CARRIAGE_RETURN 0x0D

    .code16
    .text

/* INT 10h, as the list says; other functions do nothing. The routines find ds = BIOS data area, es = video memory, and
 * all other registers but si as the caller had them; they need not preserve any. */
    .global video_service
video_service:
    enter_service
    pushw $VIDEO_SEGMENT
    popw %es
    movw $video_functions, %si
    call dispatch
    leave_service

video_functions:
    .word 0x00, set_mode
    .word 0x01, set_cursor_shape
    .word 0x02, set_cursor
    .word 0x03, get_cursor
    .word 0x05, show_page
    .word 0x06, scroll_up
    .word 0x07, scroll_down
    .word 0x08, read_character
    .word 0x09, write_characters
    .word 0x0A, write_characters
    .word 0x0E, teletype
    .word 0x0F, get_mode
    .word 0, 0

/* AH=00: mode AL, with bit 7 set: without blanking. Text modes 0 to 3 all give mode 3; there are no others. */
set_mode:
    movb %al, %ah
    andb $0x7F, %ah
    cmpb $3, %ah
    ja 1f
    testb $0x80, %al
    jz set_text_mode
    jmp set_text_mode_only
1:  ret

/* AH=0F: AL = mode, AH = columns, BH = page shown. */
get_mode:
    movb DATA_VIDEO_MODE, %al
    movb DATA_COLUMNS, %ah
    movw %ax, FRAME_AX(%bp)
    movb DATA_PAGE, %al
    movb %al, FRAME_BX + 1(%bp)
    ret

/* AH=01: the cursor reaches from line CH to line CL, told for cells of 8 lines; CH bit 5 hides it. */
set_cursor_shape:
    movw %cx, DATA_CURSOR_SHAPE
    movb $CURSOR_START, %al
    movb %ch, %ah
    call stretch_line
    call write_crtc
    movb $(CURSOR_START + 1), %al
    movb %cl, %ah
    call stretch_line
    jmp write_crtc

/* Turns line AH of a cell of 8 lines into that of a cell of 16, where the lowest lines keep their distance to the
 * bottom. */
stretch_line:
    cmpb $8, %ah
    jae 2f
    cmpb $5, %ah
    jb 1f
    addb $7, %ah
    ret
1:  shlb $1, %ah
2:  ret

/* Writes AH to CRT controller register AL. Changes dx. */
write_crtc:
    movw $CRTC, %dx
    outw %ax, %dx
    ret

/* Writes BX, high byte first, to CRT controller registers AL and AL + 1. Changes ax, dx. */
write_crtc_pair:
    movb %bh, %ah
    call write_crtc
    incb %al
    movb %bl, %ah
    jmp write_crtc

/* AH=02: the cursor of page BH goes to row DH, column DL. */
set_cursor:
    andw $(VIDEO_PAGES - 1) << 8, %bx
    movb %bh, %bl
    xorb %bh, %bh
    shlw $1, %bx
    movw %dx, DATA_CURSOR(%bx)
    shrw $1, %bx
    cmpb DATA_PAGE, %bl
    je show_cursor
    ret

/* Shows the cursor of the page that is shown. Changes ax, bx, dx. */
show_cursor:
    call active_cursor
    movw (%bx), %ax
    movb %al, %bl
    movb $VIDEO_COLUMNS, %al
    mulb %ah
    xorb %bh, %bh
    addw %ax, %bx
    movw DATA_PAGE_START, %ax
    shrw $1, %ax
    addw %ax, %bx
    movb $CURSOR_ADDRESS, %al
    jmp write_crtc_pair

/* BX = where the data area keeps the cursor of the page that is shown. */
active_cursor:
    movzbw DATA_PAGE, %bx
    shlw $1, %bx
    addw $DATA_CURSOR, %bx
    ret

/* AH=03: DH, DL = row and column of the cursor of page BH, CX = its shape. */
get_cursor:
    movb %bh, %bl
    andw $(VIDEO_PAGES - 1), %bx
    shlw $1, %bx
    movw DATA_CURSOR(%bx), %ax
    movw %ax, FRAME_DX(%bp)
    movw DATA_CURSOR_SHAPE, %ax
    movw %ax, FRAME_CX(%bp)
    ret

/* AH=05: shows page AL. */
show_page:
    andb $(VIDEO_PAGES - 1), %al
    movb %al, DATA_PAGE
    movzbw %al, %bx
    shlw $12, %bx
    movw %bx, DATA_PAGE_START
    shrw $1, %bx
    movb $START_ADDRESS, %al
    call write_crtc_pair
    jmp show_cursor

/* DI = offset in video memory of the cursor's cell on page BH. Changes dx. */
cell_at_cursor:
    pushw %ax
    pushw %bx
    movb %bh, %bl
    andw $(VIDEO_PAGES - 1), %bx
    movw %bx, %di
    shlw $12, %di
    shlw $1, %bx
    movw DATA_CURSOR(%bx), %dx
    movb $VIDEO_COLUMNS, %al
    mulb %dh
    xorb %dh, %dh
    addw %dx, %ax
    shlw $1, %ax
    addw %ax, %di
    popw %bx
    popw %ax
    ret

/* AH=08: AL, AH = character and attribute at the cursor of page BH. */
read_character:
    call cell_at_cursor
    movw %es:(%di), %ax
    movw %ax, FRAME_AX(%bp)
    ret

/* AH=09: writes character AL with attribute BL CX times from the cursor of page BH on; AH=0A keeps the attributes. The
 * cursor stays. */
write_characters:
    jcxz 3f
    call cell_at_cursor
    cmpb $0x0A, %ah
    je 1f
    movb %bl, %ah
    rep stosw
    ret
1:  stosb
    incw %di
    loop 1b
3:  ret

/* AH=0E: writes character AL at the cursor of the page shown, in the colours that are there, and moves the cursor on;
 * obeys carriage return, line feed and backspace. The bell makes no sound. */
teletype:
    call active_cursor
    movw %bx, %si
    movw (%si), %dx                     /* DH row, DL column */
    cmpb $CARRIAGE_RETURN, %al
    je 1f
    cmpb $LINE_FEED, %al
    je 3f
    cmpb $BACKSPACE, %al
    je 2f
    cmpb $BELL, %al
    je 5f
    pushw %dx
    movb DATA_PAGE, %bh
    call cell_at_cursor
    popw %dx
    stosb
    incb %dl
    cmpb $VIDEO_COLUMNS, %dl
    jb 4f
    incb %dh
1:  movb $0, %dl
    jmp 4f
2:  subb $1, %dl
    adcb $0, %dl
    jmp 4f
3:  incb %dh
4:  cmpb $VIDEO_ROWS, %dh
    jb 6f
    movb $(VIDEO_ROWS - 1), %dh
    movw %dx, (%si)
    call scroll_one_line
    jmp show_cursor
6:  movw %dx, (%si)
    jmp show_cursor
5:  ret

/* Scrolls the whole page up by a line; the new one takes the attribute of the last cell. */
scroll_one_line:
    movw $((VIDEO_ROWS * VIDEO_COLUMNS - 1) * 2 + 1), %di
    addw DATA_PAGE_START, %di
    movb %es:(%di), %bh
    movb $1, %al
    xorw %cx, %cx
    movw $((VIDEO_ROWS - 1) << 8 | (VIDEO_COLUMNS - 1)), %dx

/* AH=06, 07: moves the window from row CH, column CL to row DH, column DL up or down by AL lines on the page shown; 0
 * and too many lines blank it. New lines take attribute BH. */
scroll_up:
    movb $1, %ah
    movb %ch, %bl
    jmp scroll
scroll_down:
    movb $-1, %ah
    movb %dh, %bl
    cmpb $VIDEO_ROWS, %bl
    jb scroll
    movb $(VIDEO_ROWS - 1), %bl

/* Goes through the window's rows from BL on in steps AH (1 or -1); each takes the row AL steps further on, or blanks. */
scroll:
    cmpb $VIDEO_ROWS, %dh
    jb 1f
    movb $(VIDEO_ROWS - 1), %dh
1:  cmpb $VIDEO_COLUMNS, %dl
    jb 2f
    movb $(VIDEO_COLUMNS - 1), %dl
2:  subb %cl, %dl                       /* from here on DL = columns */
    jb 7f
    incb %dl
    cmpb %ch, %dh
    jb 7f
    testb %al, %al
    jz 3f
    cmpb $VIDEO_ROWS, %al
    jbe 4f
3:  movb $VIDEO_ROWS, %al               /* no row is that far: all blank */
4:  cmpb $1, %ah
    je 5f
    negb %al
5:  call scroll_row
    addb %ah, %bl
    cmpb %ch, %bl                       /* above the window, or past row 0 */
    jl 7f
    cmpb %dh, %bl
    jle 5b
7:  ret

/* One row of scroll: BL = row, AL = distance to its source. Preserves all but si and di. */
scroll_row:
    pushw %ax
    pushw %bx
    pushw %cx
    call row_in_window
    movw %si, %di
    addb %al, %bl
    cmpb %ch, %bl
    jl 1f
    cmpb %dh, %bl
    jg 1f
    call row_in_window
    movzbw %dl, %cx
    rep movsw %es:(%si), %es:(%di)
    jmp 2f
1:  movb $' ', %al
    movb %bh, %ah
    movzbw %dl, %cx
    rep stosw
2:  popw %cx
    popw %bx
    popw %ax
    ret

/* SI = offset in video memory of row BL, column CL on the page shown. */
row_in_window:
    pushw %ax
    movb $VIDEO_COLUMNS, %al
    mulb %bl
    movzbw %cl, %si
    addw %ax, %si
    shlw $1, %si
    addw DATA_PAGE_START, %si
    popw %ax
    ret
