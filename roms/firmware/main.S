/* From power-on to the booted image: this file reads as the table of contents. */
#include "roms/firmware/firmware.h"

    .code16
    .text

/* Runs once, from the reset vector, in real mode with interrupts off and nothing set up. It must not rely on what
 * memory or devices hold, as a reset also comes in the middle of a run. */
    .global power_on
power_on:
    cli
    cld
    jmp resume                          /* resume.S; comes back if there is nothing to resume */
    .global power_on_for_good
power_on_for_good:
    xorw %ax, %ax
    movw %ax, %ss
    movw $STACK_TOP, %sp

    call build_data_area                /* data_area.S */
    call build_vector_table             /* interrupts.S */
    call initialise_interrupt_controllers
    call initialise_coprocessor         /* coprocessor.S */
    call initialise_timer               /* timer.S */
    call initialise_clock               /* clock.S */
    call set_text_mode                  /* video_mode.S */
    call open_a20                       /* a20.S */
    call size_memory                    /* memory.S */
    call initialise_keyboard            /* keyboard.S */
    call print_banner
    int $0x19                           /* boot.S; does not come back */

/* Prints its name and how much memory it found, on the screen and on the debug console. */
print_banner:
    movw $banner, %si
    call print
    pushw $DATA_SEGMENT
    popw %ds
    movl DATA_EXTENDED_KB, %eax
    shrl $10, %eax
    incl %eax
    call print_number
    movw $banner_end, %si
    jmp print

banner:
    .asciz "Forkscope firmware, "
banner_end:
    .asciz " MB RAM\n"
