/* The last 16 bytes of the address space, where the processor starts: a jump, the date and the kind of machine. */
#include "roms/firmware/firmware.h"

    .code16
    .section .reset, "ax"

    .global reset_vector
reset_vector:
    ljmp $ROM_SEGMENT, $power_on        /* leaves the alias below 4 GB: cs gets base F0000 */
    .ascii "01/01/26"                   /* F000:FFF5, the firmware's date */
    .byte 0
    .byte 0xFC                          /* F000:FFFE, the model: an AT */
    .byte 0
