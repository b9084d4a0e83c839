/* The kernel that the old files are of: pages come in by a fault, one is shared by two address spaces and copied at a
 * write, then it counts for ever. A flat multiboot image, so that its bytes depend on no linker. 2 MB of RAM. */
    .set DIRECTORIES, 0x110000 /* two, and behind each its only table */
    .set DEMAND, 0x300000      /* absent until touched */
    .set SHARED, 0x1C0000      /* read-only in both spaces until written */
    .set FREE, 0x1D0000        /* frames from here on are free */
    .set COUNT, 0x1F0000

    .section .text
    .globl _start
_start:
header:
    .long 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)
    .long header, header, end, 0, entry

entry:
    cli
    movl $0x10F000, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $fault, %eax /* vector 14 */
    movw %ax, idt + 14 * 8
    shrl $16, %eax
    movw %ax, idt + 14 * 8 + 6
    movw $8, idt + 14 * 8 + 2
    movw $0x8E00, idt + 14 * 8 + 4
    lidt idt_pointer

    /* The first 2 MB map to themselves; SHARED without the right to write. */
    movl $DIRECTORIES, %edi
    call make_space
    movl $DIRECTORIES + 0x2000, %edi
    call make_space
    movl $DIRECTORIES, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax /* PG and WP */
    movl %eax, %cr0

    /* Three pages on demand, then one's own copy in the second space. */
    movl $0x1111, DEMAND
    movl $0x2222, DEMAND + 0x1000
    movl $0x3333, DEMAND + 0x2000
    movl $DIRECTORIES + 0x2000, %eax
    movl %eax, %cr3
    movl $0x4444, SHARED
    movb $'.', %al
    outb %al, $0xE9
1:  incl COUNT
    jmp 1b

/* A directory at %edi, its table behind it. */
make_space:
    leal 0x1007(%edi), %eax
    movl %eax, (%edi)
    addl $0x1000, %edi
    movl $7, %eax
1:  stosl
    addl $0x1000, %eax
    cmpl $0x200007, %eax
    jne 1b
    andl $~2, SHARED / 4096 * 4 - 0x200000 / 4096 * 4(%edi)
    ret

/* A free frame for the page at CR2, with what the page held if it was there. */
fault:
    pushal
    movl %cr2, %ebx
    movl %cr3, %edx
    movl free, %edi
    addl $0x1000, free
    movl %edi, %eax
    orl $7, %eax
    testl $1, 32(%esp)
    jz 1f
    movl %ebx, %esi
    andl $~0xFFF, %esi
    movl $1024, %ecx
    rep movsl
1:  shrl $12, %ebx
    movl %eax, 0x1000(%edx, %ebx, 4)
    movl %cr2, %ebx
    invlpg (%ebx)
    popal
    addl $4, %esp
    iret

    .align 8
gdt:
    .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer:
    .word 23
    .long gdt
idt_pointer:
    .word 15 * 8 - 1
    .long idt
    .align 4
free:
    .long FREE
    .align 8
idt:
    .fill 15 * 8
end:
