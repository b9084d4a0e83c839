/* The keys of a US keyboard by scan code (set 1), four words each: plain, with Shift, with Ctrl, with Alt. The high byte
 * is the code that programs get, the low byte the character; 0 = the key means nothing so. */

    .macro key plain, shifted, control, alternate
    .word \plain, \shifted, \control, \alternate
    .endm

/* A letter key: the small letter's word; Shift clears bit 5, Ctrl leaves the lowest five, Alt none. */
    .macro letter word
    .word \word, \word & ~0x20, \word & 0xFF1F, \word & 0xFF00
    .endm

    .section .rodata
    .global keys
keys:
    key 0, 0, 0, 0                      /* 00 */
    key 0x011B, 0x011B, 0x011B, 0x0100  /* 01 Escape */
    key 0x0231, 0x0221, 0, 0x7800       /* 02 1 ! */
    key 0x0332, 0x0340, 0x0300, 0x7900  /* 03 2 @ */
    key 0x0433, 0x0423, 0, 0x7A00       /* 04 3 # */
    key 0x0534, 0x0524, 0, 0x7B00       /* 05 4 $ */
    key 0x0635, 0x0625, 0, 0x7C00       /* 06 5 % */
    key 0x0736, 0x075E, 0x071E, 0x7D00  /* 07 6 ^ */
    key 0x0837, 0x0826, 0, 0x7E00       /* 08 7 & */
    key 0x0938, 0x092A, 0, 0x7F00       /* 09 8 asterisk */
    key 0x0A39, 0x0A28, 0, 0x8000       /* 0A 9 ( */
    key 0x0B30, 0x0B29, 0, 0x8100       /* 0B 0 ) */
    key 0x0C2D, 0x0C5F, 0x0C1F, 0x8200  /* 0C - _ */
    key 0x0D3D, 0x0D2B, 0, 0x8300       /* 0D = + */
    key 0x0E08, 0x0E08, 0x0E7F, 0x0E00  /* 0E Backspace */
    key 0x0F09, 0x0F00, 0x9400, 0xA500  /* 0F Tab */
    letter 0x1071                       /* 10 Q */
    letter 0x1177
    letter 0x1265
    letter 0x1372
    letter 0x1474
    letter 0x1579
    letter 0x1675
    letter 0x1769
    letter 0x186F
    letter 0x1970                       /* 19 P */
    key 0x1A5B, 0x1A7B, 0x1A1B, 0x1A00  /* 1A [ { */
    key 0x1B5D, 0x1B7D, 0x1B1D, 0x1B00  /* 1B ] } */
    key 0x1C0D, 0x1C0D, 0x1C0A, 0x1C00  /* 1C Enter */
    key 0, 0, 0, 0                      /* 1D Ctrl */
    letter 0x1E61                       /* 1E A */
    letter 0x1F73
    letter 0x2064
    letter 0x2166
    letter 0x2267
    letter 0x2368
    letter 0x246A
    letter 0x256B
    letter 0x266C                       /* 26 L */
    key 0x273B, 0x273A, 0, 0x2700       /* 27 ; : */
    key 0x2827, 0x2822, 0, 0x2800       /* 28 quotes */
    key 0x2960, 0x297E, 0, 0x2900       /* 29 ` ~ */
    key 0, 0, 0, 0                      /* 2A left Shift */
    key 0x2B5C, 0x2B7C, 0x2B1C, 0x2B00  /* 2B backslash | */
    letter 0x2C7A                       /* 2C Z */
    letter 0x2D78
    letter 0x2E63
    letter 0x2F76
    letter 0x3062
    letter 0x316E
    letter 0x326D                       /* 32 M */
    key 0x332C, 0x333C, 0, 0x3300       /* 33 , < */
    key 0x342E, 0x343E, 0, 0x3400       /* 34 . > */
    key 0x352F, 0x353F, 0, 0x3500       /* 35 / ? */
    key 0, 0, 0, 0                      /* 36 right Shift */
    key 0x372A, 0x372A, 0x9600, 0x3700  /* 37 keypad asterisk */
    key 0, 0, 0, 0                      /* 38 Alt */
    key 0x3920, 0x3920, 0x3920, 0x3920  /* 39 Space */
    key 0, 0, 0, 0                      /* 3A Caps Lock */
    key 0x3B00, 0x5400, 0x5E00, 0x6800  /* 3B F1 */
    key 0x3C00, 0x5500, 0x5F00, 0x6900
    key 0x3D00, 0x5600, 0x6000, 0x6A00
    key 0x3E00, 0x5700, 0x6100, 0x6B00
    key 0x3F00, 0x5800, 0x6200, 0x6C00
    key 0x4000, 0x5900, 0x6300, 0x6D00
    key 0x4100, 0x5A00, 0x6400, 0x6E00
    key 0x4200, 0x5B00, 0x6500, 0x6F00
    key 0x4300, 0x5C00, 0x6600, 0x7000
    key 0x4400, 0x5D00, 0x6700, 0x7100  /* 44 F10 */
    key 0, 0, 0, 0                      /* 45 Num Lock */
    key 0, 0, 0, 0                      /* 46 Scroll Lock */
    key 0x4700, 0x4737, 0x7700, 0x9700  /* 47 Home 7 */
    key 0x4800, 0x4838, 0x8D00, 0x9800  /* 48 Up 8 */
    key 0x4900, 0x4939, 0x8400, 0x9900  /* 49 Page Up 9 */
    key 0x4A2D, 0x4A2D, 0x8E00, 0x4A00  /* 4A keypad minus */
    key 0x4B00, 0x4B34, 0x7300, 0x9B00  /* 4B Left 4 */
    key 0x4C00, 0x4C35, 0x8F00, 0       /* 4C keypad 5 */
    key 0x4D00, 0x4D36, 0x7400, 0x9D00  /* 4D Right 6 */
    key 0x4E2B, 0x4E2B, 0x9000, 0x4E00  /* 4E keypad plus */
    key 0x4F00, 0x4F31, 0x7500, 0x9F00  /* 4F End 1 */
    key 0x5000, 0x5032, 0x9100, 0xA000  /* 50 Down 2 */
    key 0x5100, 0x5133, 0x7600, 0xA100  /* 51 Page Down 3 */
    key 0x5200, 0x5230, 0x9200, 0xA200  /* 52 Insert 0 */
    key 0x5300, 0x532E, 0x9300, 0xA300  /* 53 Delete . */
    key 0, 0, 0, 0                      /* 54 */
    key 0, 0, 0, 0                      /* 55 */
    key 0x565C, 0x567C, 0, 0            /* 56 backslash | of larger keyboards */
    key 0x8500, 0x8700, 0x8900, 0x8B00  /* 57 F11 */
    key 0x8600, 0x8800, 0x8A00, 0x8C00  /* 58 F12 */
