/* A ROM of 64 KB that tells on port E9h what the x87 holds behind RESET: control word and tag word. */
    .code16
    .text
    .global _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7000, %sp
    fnstenv 0x500
    movw %cs, %ax
    movw %ax, %es
    movw $(text - _start), %si
    movw $(text_end - text), %cx
1:  movb %es:(%si), %al
    outb %al, $0xE9
    incw %si
    loop 1b
    movw 0x500, %bx
    call word
    movb $' ', %al
    outb %al, $0xE9
    movw 0x504, %bx
    call word
    movw $(end - _start), %si
    movw $(end_end - end), %cx
1:  movb %es:(%si), %al
    outb %al, $0xE9
    incw %si
    loop 1b
    xorb %al, %al
    outb %al, $0xF4
    movw $(shutdown - _start), %si
    movw $8, %cx
    movw $0x8900, %dx
1:  movb %es:(%si), %al
    outb %al, %dx
    incw %si
    loop 1b
1:  hlt
    jmp 1b

/* BX in hexadecimal. */
word:
    movw $4, %cx
1:  rolw $4, %bx
    movb %bl, %al
    andb $15, %al
    addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $7, %al
2:  outb %al, $0xE9
    loop 1b
    ret

text:     .ascii "# rows\nx87_at_reset: "
text_end:
end:      .ascii "\n# end\n"
end_end:
shutdown: .ascii "Shutdown"
    .org 0xFFF0
    ljmp $0xF000, $0
    .org 0x10000
