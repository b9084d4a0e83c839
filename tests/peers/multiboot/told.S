/* A multiboot kernel that tells on port E9h what the loader says: its command line and its first module's. It runs where it
 * was loaded, BASE below where it was linked. FLAGS are those of its header. */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, FLAGS, -(0x1BADB002 + FLAGS)

    .text
    .global boot_entry
boot_entry:
    movl $(stack - BASE), %esp
    movl $(line_text - BASE), %esi
    call print
    testb $4, (%ebx)
    jz 1f
    movl 16(%ebx), %esi
    call print
1:  movl $(module_text - BASE), %esi
    call print
    testb $8, (%ebx)
    jz 1f
    cmpl $0, 20(%ebx)
    je 1f
    movl 24(%ebx), %esi
    movl 8(%esi), %esi
    call print
1:  movl $(end_text - BASE), %esi
    call print
    xorb %al, %al
    outb %al, $0xF4
1:  cli
    hlt
    jmp 1b

print:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xE9
    jmp print
1:  ret

line_text:   .asciz "line: "
module_text: .asciz "\nmodule: "
end_text:    .asciz "\n# end\n"

    .bss
    .skip 1024
stack:
