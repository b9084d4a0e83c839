/* A boot sector, for emulators without a multiboot loader: loads the command line (block 1) and the flat kernel (from
 * block 2 on), and enters the kernel as a multiboot 1 loader would. KERNEL_BLOCKS comes from the build. */
.intel_syntax noprefix
.code16
.globl _start
_start:
    ljmp 0, offset 0f
0:  cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov [drive], dl
    call read # the command line, to 7E00h
    mov word ptr [packet + 2], 64
    mov word ptr [packet + 4], 0
    mov word ptr [packet + 6], 0x1000 # the kernel, to 10000h
    mov dword ptr [packet + 8], 2
    mov cx, (KERNEL_BLOCKS + 63) / 64
0:  push cx
    call read
    pop cx
    add word ptr [packet + 6], 64 * 32
    add dword ptr [packet + 8], 64
    loop 0b
    in al, 0x92 # A20
    or al, 2
    and al, 0xfe
    out 0x92, al
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    ljmp 0x08, offset protected_mode
read:
    mov si, offset packet
    mov ah, 0x42
    mov dl, [drive]
    int 0x13
0:  jc 0b
    ret

.code32
protected_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7c00
    mov esi, 0x10000
    mov edi, 0x100000
    mov ecx, KERNEL_BLOCKS * 128
    cld
    rep movsd
    mov edi, 0x7000 # multiboot information: nothing but the command line
    mov ecx, 32
    xor eax, eax
    rep stosd
    mov dword ptr [0x7000], 4
    mov dword ptr [0x7010], 0x7e00
    mov ebx, 0x7000
    mov ecx, [0x100000 + 28] # the entry, as the kernel's header states it
    mov eax, 0x2BADB002
    jmp ecx

.balign 8
gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:
    .word 23
    .long gdt
.balign 4
packet:
    .byte 16, 0
    .word 1, 0x7e00, 0
    .long 1, 0
drive:
    .byte 0

.org 446
    .byte 0x80, 0, 2, 0, 0x0c, 15, 63, 19
    .long 1, 20000
.org 510
    .word 0xaa55
