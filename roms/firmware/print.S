/* Text for people: everything goes to the screen and to the host's debug console. Preserves all registers. */
#include "roms/firmware/firmware.h"

    .code16
    .text

/* Prints the text at cs:si, which ends with a zero. */
    .global print
print:
    pushaw
    cld
1:  lodsb %cs:(%si), %al
    testb %al, %al
    jz 2f
    call print_character
    jmp 1b
2:  popaw
    ret

/* Prints the character in AL; a newline also returns to the first column. */
    .global print_character
print_character:
    pushaw
    outb %al, $ABI_PORT_DEBUG_CONSOLE
    cmpb $'\n', %al
    jne 1f
    movw $0x0E0D, %ax
    int $0x10
    movb $'\n', %al
1:  movb $0x0E, %ah
    movw $0x0007, %bx
    int $0x10
    popaw
    ret

/* Prints EAX in decimal. */
    .global print_number
print_number:
    pushal
    movl $10, %ebx
    xorw %cx, %cx
1:  xorl %edx, %edx
    divl %ebx
    pushw %dx
    incw %cx
    testl %eax, %eax
    jnz 1b
2:  popw %ax
    addb $'0', %al
    call print_character
    loop 2b
    popal
    ret

/* Prints AX as four hexadecimal digits. */
    .global print_hexadecimal
print_hexadecimal:
    pushaw
    movw %ax, %bx
    movw $4, %cx
1:  rolw $4, %bx
    movb %bl, %al
    andb $0x0F, %al
    addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $('A' - '9' - 1), %al
2:  call print_character
    loop 1b
    popaw
    ret
