#include "kernel.h"

enum { DEBUG_PORT = 0xE9, EXIT_PORT = 0xF4, BOCHS_SHUTDOWN_PORT = 0x8900, VECTORS = 49, SYSTEM_CALL = 0x30 };

struct trap_frame last_fault;
u32 last_fault_address;
volatile u32 last_interrupt;
volatile u32 step_result;

struct {
    u32 link, esp0, ss0, rest[23];
} __attribute__((packed)) task_segment = {0, 0, 0x10, {0}};

static u64 gdt[6] = {0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF, 0};
static u64 idt[VECTORS];

struct table_pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

extern const u8 vector_stubs[];
void load_tables(const struct table_pointer* gdt_pointer, const struct table_pointer* idt_pointer);
void leave_attempt(bool faulted) __attribute__((noreturn));
void trap(struct trap_frame* frame);
void kernel_main(void);

static void print(const char* text) {
    while (*text != '\0') {
        outb(DEBUG_PORT, (u8)*text++);
    }
}

void row(const char* name, const char* outcome) {
    print(name);
    print(": ");
    print(outcome);
    print("\n");
}

const char* hexadecimal(u32 value, u32 digits) {
    static char text[9];
    u32 at = 8;
    do {
        text[--at] = "0123456789ABCDEF"[value & 15];
        value >>= 4;
    } while (at > 0 && (value != 0 || 8 - at < digits));
    return text + at;
}

void row_number(const char* name, u32 value) {
    row(name, hexadecimal(value, 2));
}

void row_pair(const char* name, u32 first, u32 second) {
    print(name);
    print(": ");
    print(hexadecimal(first, 1));
    print(" ");
    print(hexadecimal(second, 1));
    print("\n");
}

/* Called by the stubs: an interrupt is noted and gets no end of interrupt, anything else ends the attempt. */
void trap(struct trap_frame* frame) {
    if (frame->vector >= 0x20 && frame->vector < SYSTEM_CALL) {
        last_interrupt = frame->vector;
        return;
    }
    if (frame->vector == SYSTEM_CALL) {
        leave_attempt(false);
    }
    last_fault = *frame;
    __asm__ volatile("movl %%cr2, %0" : "=r"(last_fault_address));
    leave_attempt(true);
}

static void build_tables(void) {
    u64 base = (u32)&task_segment;
    gdt[5] = (sizeof task_segment - 1) | (base & 0xFFFFFF) << 16 | (u64)0x89 << 40 | base >> 24 << 56;
    for (u32 i = 0; i < VECTORS; i++) {
        u64 entry = (u32)vector_stubs + 16 * i;
        u64 rights = i == SYSTEM_CALL ? 0xEE00 : 0x8E00;
        idt[i] = (entry & 0xFFFF) | (u64)0x08 << 16 | rights << 32 | entry >> 16 << 48;
    }
    struct table_pointer gdt_pointer = {sizeof gdt - 1, (u32)gdt};
    struct table_pointer idt_pointer = {sizeof idt - 1, (u32)idt};
    load_tables(&gdt_pointer, &idt_pointer);
}

void kernel_main(void) {
    build_tables();
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
    print("# rows\n");
    start_paging();
    paging_rows();
    fault_rows();
    device_rows();
    print("# end\n");
    outb(EXIT_PORT, 0);
    for (const char* letter = "Shutdown"; *letter != '\0'; letter++) {
        outb(BOCHS_SHUTDOWN_PORT, (u8)*letter);
    }
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}
