/* The way in from a multiboot loader, the interrupt stubs, and the ways to ring 3 and back. */
.intel_syntax noprefix

.set MAGIC, 0x1BADB002
.set FLAGS, 3 # loaded as ELF; the address fields are for boot_sector.S only

.section .multiboot, "a"
.balign 4
header:
    .long MAGIC, FLAGS, -(MAGIC + FLAGS)
    .long header, header, 0, 0, start

.text
.globl start
start:
    cli
    cld
    mov esp, offset stack_top
    mov edx, eax
    xor eax, eax
    mov edi, offset __bss_start
    mov ecx, offset __bss_end
    sub ecx, edi
    shr ecx, 2
    rep stosd
    push ebx
    push edx
    call kmain
0:  cli
    hlt
    jmp 0b

.globl gdt_load
gdt_load:
    mov eax, offset tss
    mov [gdt_tss + 2], ax
    shr eax, 16
    mov [gdt_tss + 4], al
    mov [gdt_tss + 7], ah
    lgdt [gdtr]
    ljmp 0x08, offset 0f
0:  mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov dword ptr [tss + 4], offset trap_top # ESP0
    mov word ptr [tss + 8], 0x10             # SS0
    mov word ptr [tss + 102], 104            # no I/O bitmap
    mov ax, 0x28
    ltr ax
    ret

/* u32 enter_user(u32 (*function)(u32), u32 argument): runs it in ring 3 and returns its value. */
.globl enter_user
enter_user:
    push ebp
    push ebx
    push esi
    push edi
    pushfd
    mov [kernel_esp], esp
    mov edx, [esp + 24]
    mov ecx, [esp + 28]
    mov ax, 0x23
    mov ds, ax
    mov es, ax
    push 0x23
    push offset user_stack_top
    push 0x202
    push 0x1b
    push offset user_stub
    iretd
user_stub:
    push ecx
    call edx
    mov ebx, eax
    xor eax, eax # system call 0: exit(ebx)
    int 0x80

/* void leave_user(u32 value), which trap() calls: returns from enter_user. */
.globl leave_user
leave_user:
    mov eax, [esp + 4]
    mov esp, [kernel_esp]
    popfd
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret

.macro stub vector
isr\vector:
.if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
    push 0
.endif
    push \vector
    jmp isr_common
.endm
.altmacro
.set i, 0
.rept 48
    stub %i
    .set i, i + 1
.endr
isr128:
    push 0
    push 128
isr_common:
    pushad
    push ds
    push es
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    push esp
    call trap
    add esp, 4
    pop es
    pop ds
    popad
    add esp, 8
    iretd

.data
.balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff, 0x00cf92000000ffff # 08 and 10: the kernel's
    .quad 0x00cffa000000ffff, 0x00cff2000000ffff # 1B and 23: the user's
gdt_tss:
    .word 103, 0
    .byte 0, 0x89, 0, 0
gdtr:
    .word 47
    .long gdt
.macro vector_of number
    .long isr\number
.endm
.globl isr_table
isr_table:
    .set i, 0
    .rept 48
    vector_of %i
    .set i, i + 1
    .endr
    .long isr128

.bss
.balign 16
tss:
    .skip 104
kernel_esp:
    .skip 4
.balign 16
    .skip 16384
stack_top:
    .skip 16384
trap_top:
    .skip 16384
user_stack_top:
