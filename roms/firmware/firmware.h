/* Owns: the places and numbers that the firmware's files share, and the frame of its interrupt services.
 * Callers: only the .S files here. Promises: names of the BIOS data area are offsets in segment 40h. */
#ifndef FORKSCOPE_ROMS_FIRMWARE_H
#define FORKSCOPE_ROMS_FIRMWARE_H

#include "guest/abi/ports.h"

#define ROM_SEGMENT 0xF000
#define ROM_BASE    0xF0000
#define STACK_TOP   0x7C00 /* in segment 0, down to the end of the BIOS data area */
#define SCRATCH     0x0500 /* two unused bytes in segment 0 */

#define DATA_SEGMENT        0x40
#define DATA_COM1           0x00
#define DATA_EXTENDED       0x0E /* segment of the extended data area */
#define DATA_EQUIPMENT      0x10
#define DATA_MEMORY_KB      0x13 /* below 640 KB */
#define DATA_SHIFT          0x17 /* keys held, and the three locks */
#define DATA_LOCKS_HELD     0x18
#define DATA_KEY_HEAD       0x1A
#define DATA_KEY_TAIL       0x1C
#define DATA_KEY_BUFFER     0x1E
#define DATA_KEY_BUFFER_END 0x3E
#define DATA_VIDEO_MODE     0x49
#define DATA_COLUMNS        0x4A
#define DATA_PAGE_BYTES     0x4C
#define DATA_PAGE_START     0x4E
#define DATA_CURSOR         0x50 /* one word a page: column, row */
#define DATA_CURSOR_SHAPE   0x60
#define DATA_PAGE           0x62
#define DATA_CRTC           0x63
#define DATA_MODE_CONTROL   0x65
#define DATA_RESUME         0x67 /* offset and segment to go on at after a reset */
#define DATA_TICKS          0x6C
#define DATA_MIDNIGHT       0x70
#define DATA_DISK_STATUS    0x74
#define DATA_COM1_TIMEOUT   0x7C
#define DATA_KEY_START_AT   0x80
#define DATA_KEY_END_AT     0x82
#define DATA_LAST_ROW       0x84
#define DATA_CHARACTER_ROWS 0x85
#define DATA_VIDEO_CONTROL  0x87 /* four bytes of the EGA and VGA */
#define DATA_PREFIX         0x96 /* 1: an E1 code is under way, 2: the last byte was E0, 10h: there are 101 keys */
#define DATA_EXTENDED_KB    0xB0 /* a doubleword in reserved space: KB of memory above 1 MB */

#define EQUIPMENT_COPROCESSOR 0x0002

/* The last KB below 640 KB, as on all PCs since the PS/2. It begins with its size. */
#define EXTENDED_SEGMENT 0x9FC0
#define EXTENDED_KB      1
#define LOW_END          (EXTENDED_SEGMENT << 4)

#define VIDEO_SEGMENT 0xB800
#define VIDEO_COLUMNS 80
#define VIDEO_ROWS    25
#define VIDEO_PAGE    0x1000 /* bytes from one page to the next */
#define VIDEO_PAGES   8

/* Selectors of the table in modes.S. The first two are what a multiboot kernel finds in its segment registers. */
#define FLAT_CODE 0x08
#define FLAT_DATA 0x10
#define REAL_CODE 0x18
#define REAL_DATA 0x20

#define CR0_PROTECTED 0x00000001
#define CR0_EXTENSION 0x00000010

#define FLAG_CARRY 0x0001
#define FLAG_ZERO  0x0040

#define END_OF_INTERRUPT 0x20
#define MASTER           0x20
#define SLAVE            0xA0

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

/* What enter_service leaves on the caller's stack, seen from bp. */
#define FRAME_DI    0
#define FRAME_SI    4
#define FRAME_BX    16
#define FRAME_DX    20
#define FRAME_CX    24
#define FRAME_AX    28
#define FRAME_ES    32
#define FRAME_IP    36
#define FRAME_CS    38
#define FRAME_FLAGS 40

/* Every service begins so: all registers kept in a frame at bp, which is also where results go; ds = BIOS data area. */
    .macro enter_service
    pushw %ds
    pushw %es
    pushal
    movw %sp, %bp
    pushw $DATA_SEGMENT
    popw %ds
    cld
    .endm

/* And ends so. */
    .macro leave_service
    popal
    popw %es
    popw %ds
    iret
    .endm

#endif
