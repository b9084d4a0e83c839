/* Descriptors, traps, and the lines on the debug console. */
#include "kernel.h"

#include <stdarg.h>

enum { PORT_CONSOLE = 0xE9, PORT_EXIT = 0xF4, STUB_BYTES = 16, EXCEPTIONS = 32 };
enum { SELECTOR_CODE = 0x08, SELECTOR_DATA = 0x10, SELECTOR_USER_DATA = 0x23, SELECTOR_TSS = 0x28 };
enum { WORDS_BYTES = 256 };

struct task_state {
    uint32_t back, esp0, ss0, rest[22], io_map;
};

extern char vector_stubs[], system_call_stub[], kernel_stack_top[];

static char boot_words[WORDS_BYTES] = "";
static struct task_state task;
static uint64_t interrupt_table[256];
static uint64_t descriptors[6] = {0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00CFFA000000FFFF, 0x00CFF2000000FFFF, 0};

static void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

void* memcpy(void* to, const void* from, uint32_t bytes) {
    void* result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return result;
}

void* memset(void* to, int value, uint32_t bytes) {
    void* result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return result;
}

static void print_number(uint32_t value, uint32_t base) {
    char digits[12];
    uint32_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0)
        out(PORT_CONSOLE, (uint8_t)digits[--count]);
}

void print(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format != 0; ++format) {
        if (*format != '%') {
            out(PORT_CONSOLE, (uint8_t)*format);
            continue;
        }
        ++format;
        if (*format == 's')
            for (const char* text = va_arg(arguments, const char*); *text != 0; ++text)
                out(PORT_CONSOLE, (uint8_t)*text);
        else
            print_number(va_arg(arguments, uint32_t), *format == 'x' ? 16 : 10);
    }
    va_end(arguments);
}

void stop(const char* why) {
    print("%s\n", why);
    out(PORT_EXIT, why[0] == 'd' ? 0 : 1); /* "done", or a panic */
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* What follows `word` on the command line, where it begins a word; 0: it is not there. */
static const char* after(const char* word) {
    for (const char* place = boot_words; *place != 0; ++place) {
        uint32_t length = 0;
        while (word[length] != 0 && place[length] == word[length])
            ++length;
        if (word[length] == 0 && (place == boot_words || place[-1] == ' '))
            return place + length;
    }
    return 0;
}

bool has_word(const char* word) {
    const char* rest = after(word);
    return rest != 0 && (*rest == 0 || *rest == ' ');
}

uint32_t number_after(const char* word, uint32_t otherwise) {
    const char* digit = after(word);
    if (digit == 0)
        return otherwise;
    uint32_t value = 0;
    for (; *digit >= '0' && *digit <= '9'; ++digit)
        value = value * 10 + (uint32_t)(*digit - '0');
    return value;
}

static void set_gate(uint32_t vector, const char* handler, uint32_t type) {
    const uint32_t address = (uint32_t)handler;
    interrupt_table[vector] =
        (uint64_t)((address & 0xFFFF0000u) | type) << 32 | SELECTOR_CODE << 16 | (address & 0xFFFF);
}

static void load_descriptors(void) {
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof(descriptors) - 1, (uint32_t)descriptors};
    const uint32_t base = (uint32_t)&task;
    descriptors[3] |= (uint64_t)code_base() << 16;
    descriptors[5] = (uint64_t)(base & 0xFF000000u) << 32 | (uint64_t)0x89 << 40 | (uint64_t)(base & 0xFFFFFF) << 16 |
                     (sizeof(task) - 1);
    task.esp0 = (uint32_t)kernel_stack_top;
    task.ss0 = SELECTOR_DATA;
    task.io_map = sizeof(task) << 16;
    __asm__ volatile("lgdt %0\n\t"
                     "ljmp %1, $1f\n"
                     "1:\tmovw %w2, %%ss\n\t"
                     "movw %w3, %%ds\n\t"
                     "movw %w3, %%es\n\t"
                     "ltr %w4"
                     :
                     : "m"(table), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(SELECTOR_USER_DATA), "r"(SELECTOR_TSS)
                     : "memory");
    for (uint32_t vector = 0; vector < EXCEPTIONS; ++vector)
        set_gate(vector, vector_stubs + vector * STUB_BYTES, 0x8E00);
    set_gate(VECTOR_SYSTEM_CALL, system_call_stub, 0xEE00);
    table.limit = sizeof(interrupt_table) - 1;
    table.base = (uint32_t)interrupt_table;
    __asm__ volatile("lidt %0" : : "m"(table));
}

/* Called by entry.S with the physical address of the multiboot information. */
struct frame* kernel_main(const uint32_t* information) {
    const uint32_t* words = (const uint32_t*)((uint32_t)information + KERNEL_BASE);
    if ((words[0] & 4) != 0) { /* there is a command line, at [4] */
        const char* line = (const char*)(words[4] + KERNEL_BASE);
        for (uint32_t i = 0; i + 1 < WORDS_BYTES && line[i] != 0; ++i)
            boot_words[i] = line[i];
    }
    load_descriptors();
    kernel_start();
    return &current->frame;
}

/* Called by entry.S for every interrupt; returns where to go on. */
struct frame* trap(struct frame* frame) {
    const bool from_user = (frame->cs & 3) != 0;
    uint32_t address;
    __asm__ volatile("movl %%cr2, %0" : "=r"(address));
    if (from_user) {
        current->frame = *frame;
        frame = &current->frame;
    }
    if (frame->vector == VECTOR_SYSTEM_CALL) {
        if (!basic_call(frame))
            system_call(frame);
    } else if (frame->vector == VECTOR_PAGE_FAULT) {
        page_fault(frame, address);
    } else {
        print("vector %u error %x eip %x\n", frame->vector, frame->error, frame->eip);
        stop("panic: a trap that no program here causes");
    }
    return from_user ? &current->frame : frame;
}
