#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

#define GATE_INTERRUPT 0x8E00u
#define GATE_TASK 0x8500u
#define GATE_RING_3 0x6000u
#define IDT_ENTRIES (TRAP_SYSTEM_CALL + 1)

struct task_segment {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
};
struct table_pointer {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));
struct gate {
    uint16_t offset_low, selector;
    uint16_t kind, offset_high;
};

extern const ptr_t trap_stubs[TRAP_IRQ_BASE + TRAP_IRQ_COUNT];
extern const ptr_t system_call_stub;
extern void double_fault_entry(void);

static struct task_segment task, double_fault_task;
static uint8_t double_fault_stack[4096] __attribute__((aligned(16)));
static struct gate idt[IDT_ENTRIES];
static uint64_t gdt[7] = {
    0,
    0x00CF9A000000FFFFull, /* ring 0 code, flat */
    0x00CF92000000FFFFull, /* ring 0 data, flat */
    0x00CFFA000000FFFFull, /* ring 3 code, flat */
    0x00CFF2000000FFFFull, /* ring 3 data, flat */
};

/* Makes the descriptor of an available 32-bit task segment. */
static uint64_t task_descriptor(const struct task_segment* segment) {
    uint64_t base = (ptr_t)segment;
    return (sizeof(*segment) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24) << 56;
}

/* Fills one gate of the IDT. */
static void set_gate(unsigned vector, ptr_t handler, uint16_t selector, uint16_t kind) {
    idt[vector] = (struct gate){(uint16_t)handler, selector, kind, (uint16_t)(handler >> 16)};
}

/* Prepares the task that takes double faults: a kernel stack overrun leaves no stack to push a trap frame on. */
static void prepare_double_fault_task(void) {
    double_fault_task.cr3 = read_cr3();
    double_fault_task.eip = (ptr_t)double_fault_entry;
    double_fault_task.eflags = EFLAGS_RESERVED_ONE;
    double_fault_task.esp = (ptr_t)double_fault_stack + sizeof(double_fault_stack);
    double_fault_task.cs = KERNEL_CODE_SELECTOR;
    double_fault_task.ss = double_fault_task.ds = double_fault_task.es = KERNEL_DATA_SELECTOR;
    double_fault_task.fs = double_fault_task.gs = KERNEL_DATA_SELECTOR;
    double_fault_task.io_map = sizeof(double_fault_task);
}

void descriptors_init(void) {
    task.ss0 = KERNEL_DATA_SELECTOR;
    task.io_map = sizeof(task);
    prepare_double_fault_task();
    gdt[TASK_SELECTOR / 8] = task_descriptor(&task);
    gdt[DOUBLE_FAULT_TASK_SELECTOR / 8] = task_descriptor(&double_fault_task);
    for (unsigned vector = 0; vector < TRAP_IRQ_BASE + TRAP_IRQ_COUNT; vector++) {
        uint16_t ring = vector == TRAP_BREAKPOINT || vector == 4 ? GATE_RING_3 : 0;
        set_gate(vector, trap_stubs[vector], KERNEL_CODE_SELECTOR, GATE_INTERRUPT | ring);
    }
    set_gate(TRAP_DOUBLE_FAULT, 0, DOUBLE_FAULT_TASK_SELECTOR, GATE_TASK);
    set_gate(TRAP_SYSTEM_CALL, system_call_stub, KERNEL_CODE_SELECTOR, GATE_INTERRUPT | GATE_RING_3);

    struct table_pointer gdt_pointer = {sizeof(gdt) - 1, (ptr_t)gdt};
    struct table_pointer idt_pointer = {sizeof(idt) - 1, (ptr_t)idt};
    __asm__ volatile("lgdt %0\n\tlidt %1\n\tljmp %2, $1f\n1:\n\tmovl %3, %%ds\n\tmovl %3, %%es\n\tmovl %3, %%fs\n\t"
                     "movl %3, %%gs\n\tmovl %3, %%ss\n\tltr %w4\n\tlldt %w5"
                     :
                     : "m"(gdt_pointer), "m"(idt_pointer), "i"(KERNEL_CODE_SELECTOR), "r"(KERNEL_DATA_SELECTOR),
                       "r"(TASK_SELECTOR), "r"(0)
                     : "memory");
}

void descriptors_set_kernel_stack(ptr_t top) { task.esp0 = top; }

void double_fault(void) {
    struct trap_frame frame = {
        .edi = task.edi,
        .esi = task.esi,
        .ebp = task.ebp,
        .ebx = task.ebx,
        .edx = task.edx,
        .ecx = task.ecx,
        .eax = task.eax,
        .vector = TRAP_DOUBLE_FAULT,
        .eip = task.eip,
        .cs = task.cs,
        .eflags = task.eflags,
        .user_esp = task.esp,
        .user_ss = task.ss,
    };
    ptr_t address = read_cr2();
    if (current_process != NULL) {
        pmap_activate(current_process->page_directory); /* the CPU does not save CR3 */
    }
    bool overrun =
        current_thread != NULL && address < current_thread->kstack && address >= current_thread->kstack - KSTACK_SIZE;
    panic_trap(&frame, overrun ? "kernel stack overrun (esp %08x)" : "double fault (esp %08x)", task.esp);
}
