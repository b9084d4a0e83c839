/* The firmware configuration port, through which the emulator says what machine this is and what to boot. */
#include "roms/firmware/firmware.h"

#define SIGNATURE 0x50435346 /* "FSCP" */

    .code16
    .text

/* Reads the first doubleword of item AX into EAX; where the port does not exist, or is not Forkscope's, carry is set.
 * Changes nothing else. The item's further bytes can be read from the data port afterwards. */
    .global read_configuration
read_configuration:
    pushw %bx
    movw %ax, %bx
    movw $ABI_FIRMWARE_SIGNATURE, %ax
    call select_and_read
    cmpl $SIGNATURE, %eax
    jne 1f
    movw %bx, %ax
    call select_and_read
    popw %bx
    clc
    ret
1:  popw %bx
    stc
    ret

select_and_read:
    pushw %dx
    movw $ABI_PORT_FIRMWARE_SELECT, %dx
    outw %ax, %dx
    movw $ABI_PORT_FIRMWARE_DATA, %dx
    inl %dx, %eax
    popw %dx
    ret
