/* A multiboot kernel that tells on port E9h what it found: lines "name value value …". tests/golden/boot_state.py reads them. */
    .section .text
    .align 4
    .long 0x1BADB002, 3, -(0x1BADB002 + 3)

    .macro name text
    jmp 2f
1:  .asciz "\text"
2:  movl $1b, %esi
    call print
    .endm
    .macro end
    movb $10, %al
    outb %al, $0xE9
    .endm
    .macro port number
    movl $\number, %edx
    call port_value
    .endm
    /* Bytes of the BIOS data area. */
    .macro data text, at, bytes
    name "\text"
    movl $(0x400 + \at), %esi
    movl $\bytes, %ecx
    call bytes
    end
    .endm
    .macro registers text, index, count
    name "\text"
    movl $\index, %edx
    movl $\count, %ecx
    call indexed
    end
    .endm
    .macro cmos text, at
    name "\text"
    movb $\at, %al
    outb %al, $0x70
    port 0x71
    end
    .endm

    .global _start
_start:
    movl %esp, found
    movl %eax, found + 4
    movl %ebx, found + 8
    movl $stack, %esp
    pushfl
    popl found + 12
    movl %cr0, %eax
    movl %eax, found + 16
    fnstcw found + 20
    fnstsw found + 22
    cld

    name "EAX"
    movl found + 4, %eax
    call word
    end
    name "EBX"
    movl found + 8, %eax
    call word
    end
    name "ESP"
    movl found, %eax
    call word
    end
    name "IF"
    movl found + 12, %eax
    shrl $9, %eax
    andl $1, %eax
    call byte
    end
    name "CR0"
    movl found + 16, %eax
    call word
    end
    name "x87.control"
    movl $found + 20, %esi
    movl $2, %ecx
    call bytes
    end
    name "x87.status"
    movl $found + 22, %esi
    movl $2, %ecx
    call bytes
    end
    name "selectors"
    movw %cs, %ax
    call byte
    movw %ds, %ax
    call byte
    movw %ss, %ax
    call byte
    end

    name "8259.masks"
    port 0x21
    port 0xA1
    end
    name "8259.in_service"
    movb $0x0B, %al
    outb %al, $0x20
    outb %al, $0xA0
    port 0x20
    port 0xA0
    end
    name "8259.level"
    port 0x4D0
    port 0x4D1
    end
    name "8254.modes"
    .irp readback, 0xE2, 0xE4, 0xE8
    movb $\readback, %al
    outb %al, $0x43
    movl $(0x40 + (\readback >> 2 & 1) + (\readback >> 3 & 1) * 2), %edx
    inb %dx, %al
    andb $0x3F, %al
    call byte
    .endr
    end
    name "8042.command"
    movb $0x20, %al
    outb %al, $0x64
1:  inb $0x64, %al
    testb $1, %al
    jz 1b
    port 0x60
    end
    name "A20"
    port 0x92
    end
    name "port61"
    movl $0x61, %edx
    inb %dx, %al
    andb $0x0F, %al
    call byte
    end
    name "COM1.IER_LCR_MCR_SCR"
    port 0x3F9
    port 0x3FB
    port 0x3FC
    port 0x3FF
    end
    cmos "CMOS.A", 0x0A
    cmos "CMOS.B", 0x0B
    cmos "CMOS.shutdown", 0x0F
    cmos "CMOS.equipment", 0x14

    name "VGA.miscellaneous"
    port 0x3CC
    end
    registers "VGA.sequencer", 0x3C4, 5
    registers "VGA.graphics", 0x3CE, 9
    registers "CRTC.0-13", 0x3D4, 14
    name "CRTC.16-24"
    movl $16, %ebx
1:  movl $0x3D4, %edx
    movb %bl, %al
    outb %al, %dx
    incl %edx
    call port_value
    incl %ebx
    cmpl $25, %ebx
    jb 1b
    end
    name "VGA.attributes"
    xorl %ebx, %ebx
1:  movl $0x3DA, %edx
    inb %dx, %al
    movl $0x3C0, %edx
    movb %bl, %al
    orb $0x20, %al
    outb %al, %dx
    incl %edx
    call port_value
    incl %ebx
    cmpl $21, %ebx
    jb 1b
    end

    data "40:00.COM", 0x00, 8
    data "40:08.LPT", 0x08, 6
    data "40:0E.EBDA", 0x0E, 2
    data "40:10.equipment", 0x10, 2
    data "40:13.memory", 0x13, 2
    data "40:17.shift", 0x17, 2
    data "40:1A.keys", 0x1A, 4
    data "40:49.mode", 0x49, 7
    data "40:60.cursor", 0x60, 2
    data "40:63.CRTC", 0x63, 2
    data "40:65.CGA", 0x65, 1
    data "40:67.resume", 0x67, 4
    data "40:75.disks", 0x75, 1
    data "40:78.timeouts", 0x78, 8
    data "40:80.keys", 0x80, 4
    data "40:84.rows", 0x84, 3
    data "40:87.VGA", 0x87, 4
    data "40:96.keyboard", 0x96, 1
    name "EBDA.KB"
    movzwl 0x40E, %esi
    shll $4, %esi
    movl $1, %ecx
    call bytes
    end
    name "mem_lower"
    movl found + 8, %ebx
    movl 4(%ebx), %eax
    call word
    end
    name "map"
    movl found + 8, %ebx
    movl 48(%ebx), %esi
    movl 44(%ebx), %ecx
    addl %esi, %ecx
1:  movl 4(%esi), %eax
    call word
    movl 12(%esi), %eax
    call word
    movl 20(%esi), %eax
    call byte
    addl (%esi), %esi
    addl $4, %esi
    cmpl %ecx, %esi
    jb 1b
    end
    xorb %al, %al
    outb %al, $0xF4
1:  hlt
    jmp 1b

/* cl registers of the index and data ports at dx. */
indexed:
    xorl %ebx, %ebx
1:  movb %bl, %al
    outb %al, %dx
    incl %edx
    call port_value
    decl %edx
    incl %ebx
    cmpl %ecx, %ebx
    jb 1b
    ret
print:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xE9
    jmp print
1:  ret
bytes:
    lodsb
    call byte
    loop bytes
    ret
port_value:
    inb %dx, %al
byte:
    pushl %ecx
    shll $24, %eax
    movl $2, %ecx
    jmp digits
word:
    pushl %ecx
    movl $8, %ecx
digits:
    pushl %eax
    movb $' ', %al
    outb %al, $0xE9
    popl %eax
1:  roll $4, %eax
    pushl %eax
    andb $15, %al
    addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $('A' - '0' - 10), %al
2:  outb %al, $0xE9
    popl %eax
    loop 1b
    popl %ecx
    ret

    .bss
found:
    .skip 64
    .skip 4096
stack:
