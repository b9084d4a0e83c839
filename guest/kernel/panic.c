#include "guest/kernel/panic.h"
#include "guest/abi/trace.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/print.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/symbols.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

#define STACK_DEPTH 32u
#define NO_VECTOR 0xFFFFFFFFu

static bool panicking;

/* Says whether the kernel may read a word at an address without a fault. */
static bool readable(ptr_t address) {
    pte_t slot = pmap_lookup_directory(read_cr3(), address);
    return address >= KERNEL_BASE && address % 4 == 0 && pte_isloaded(slot) &&
           ((slot & PDE_LARGE) != 0 || pte_isloaded(pmap_lookup(read_cr3(), address)));
}

/* Prints one address of the stack with the name of its function. */
static void print_place(ptr_t address) {
    unsigned offset = 0;
    const char* name = symbol_name(address, &offset);
    if (name != NULL) {
        printk("  %08x  %s+0x%x\n", address, name, offset);
    } else {
        printk("  %08x\n", address);
    }
}

/* Follows the chain of frame pointers as far as it makes sense. */
static void print_stack(ptr_t eip, ptr_t ebp) {
    printk("stack:\n");
    print_place(eip);
    for (unsigned depth = 0; depth < STACK_DEPTH && readable(ebp) && readable(ebp + 4); depth++) {
        const ptr_t* frame = (const ptr_t*)ebp;
        unsigned offset;
        if (symbol_name(frame[1], &offset) != NULL) {
            print_place(frame[1]);
        }
        if (frame[0] <= ebp) {
            break;
        }
        ebp = frame[0];
    }
}

/* Prints the registers of a trap. */
static void print_registers(const struct trap_frame* frame) {
    bool has_esp = trap_from_user(frame) || frame->vector == TRAP_DOUBLE_FAULT;
    printk("eax %08x  ebx %08x  ecx %08x  edx %08x\n", frame->eax, frame->ebx, frame->ecx, frame->edx);
    printk("esi %08x  edi %08x  ebp %08x  esp %08x\n", frame->esi, frame->edi, frame->ebp,
           has_esp ? frame->user_esp : (ptr_t)&frame->user_esp);
    printk("eip %08x  eflags %08x  cs %04x  vector %u  error %x\n", frame->eip, frame->eflags, frame->cs, frame->vector,
           frame->error);
}

/* Prints what the page tables say about the address of the last page fault. */
static void print_walk(void) {
    ptr_t address = read_cr2();
    pte_t slot = pmap_lookup_directory(read_cr3(), address);
    printk("cr0 %08x  cr2 %08x  cr3 %08x\n", read_cr0(), address, read_cr3());
    printk("walk of %08x: directory[%u] = %08x", address, address / PDE_SPAN, slot);
    if (pte_isloaded(slot) && (slot & PDE_LARGE) == 0) {
        printk(", table[%u] = %08x", pfn(address) % PDE_COUNT, pmap_lookup(read_cr3(), address));
    }
    printk("%s\n", (slot & (PTE_PRESENT | PDE_LARGE)) == (PTE_PRESENT | PDE_LARGE) ? " (4 MB page)" : "");
}

/* Says which process ran, shows everything, and stops for good; the machine's state stays as it is. */
static void __attribute__((noreturn)) show_and_stop(const struct trap_frame* frame, ptr_t eip, ptr_t ebp) {
    if (current_process != NULL) {
        printk("process %d (%s), thread %d\n", current_process->pid, current_process->name, current_thread->id);
    }
    if (frame != NULL) {
        print_registers(frame);
    }
    if (kernel_directory != 0) {
        print_walk();
        print_stack(eip, ebp);
    }
    trace(TP_PANIC, frame != NULL ? frame->vector : NO_VECTOR, eip, read_cr2());
    for (;;) {
        __asm__ volatile("cli\n\thlt");
    }
}

/* Prints the headline; a panic within a panic stops at once. */
static void headline(const char* format, va_list arguments) {
    __asm__ volatile("cli");
    if (panicking) {
        for (;;) {
            __asm__ volatile("hlt");
        }
    }
    panicking = true;
    printk("\nKERNEL PANIC: ");
    vprintk(format, arguments);
    printk("\n");
}

void panic(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    headline(format, arguments);
    va_end(arguments);
    show_and_stop(NULL, (ptr_t)__builtin_return_address(0), *(ptr_t*)__builtin_frame_address(0));
}

void panic_trap(const struct trap_frame* frame, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    headline(format, arguments);
    va_end(arguments);
    show_and_stop(frame, frame->eip, frame->ebp);
}
