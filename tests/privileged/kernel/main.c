#include "case.h"
#include "memory.h"

enum { LOADER_MAGIC = 0x2BADB002, HAS_COMMAND_LINE = 4, COMMAND_LINE = 4 };

void load_kernel_tables(void);
bool peer_is_qemu;
extern u32 log_thin;
extern u32 log_seed;

static const struct {
    const char* name;
    void (*run)(void);
} topics[] = {
    {"interrupts", interrupt_cases}, {"transfers", transfer_cases},   {"returns", return_cases},
    {"tasks", task_cases},           {"segments", segment_cases},     {"limits", limit_cases},
    {"paging", paging_cases},        {"virtual", virtual_8086_cases}, {"debug", debug_cases},
};

static bool begins_with(const char* text, const char* name) {
    while (*name != '\0' && *text == *name) {
        text++;
        name++;
    }
    return *name == '\0';
}

/* The value behind `name` on the command line, as text; or nothing. */
static const char* option(const char* line, const char* name) {
    for (; *line != '\0'; line++) {
        if (begins_with(line, name)) {
            while (*name++ != '\0') {
                line++;
            }
            return line;
        }
    }
    return 0;
}

static u32 number(const char* text, u32 otherwise) {
    if (text == 0) {
        return otherwise;
    }
    u32 value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (u32)(*text - '0');
    }
    return value;
}

/* The command line lies in memory that cases use. */
static const char* keep_word(const char* text) {
    static char kept[32];
    for (u32 i = 0; text != 0 && i < sizeof kept - 1 && text[i] > ' '; i++) {
        kept[i] = text[i];
    }
    return text == 0 ? 0 : kept;
}

static void initialise_pics(void) {
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 0x04);
    outb(0x21, 0x01);
    outb(0xA0, 0x11);
    outb(0xA1, 0x28);
    outb(0xA1, 0x02);
    outb(0xA1, 0x01);
}

void mask_interrupts(void) {
    initialise_pics();
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
}

/* Forkscope's and QEMU's exit port, then Bochs's. */
static void power_off(void) {
    outb(0xF4, 0);
    for (const char* letter = "Shutdown"; *letter != '\0'; letter++) {
        outb(0x8900, (u8)*letter);
    }
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void kernel_main(u32 magic, const u32* information) {
    const char* line = "";
    if (magic == LOADER_MAGIC && (information[0] & HAS_COMMAND_LINE) != 0) {
        line = (const char*)information[COMMAND_LINE];
    }
    log_thin = number(option(line, "thin="), 1);
    peer_is_qemu = option(line, "qemu") != 0;
    log_seed = number(option(line, "seed="), 1);
    const char* only = keep_word(option(line, "topic="));
    build_arena();
    build_page_tables();
    build_low_memory();
    keep_pristine_arena();
    mask_interrupts();
    load_kernel_tables();
    for (u32 i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (only == 0 || begins_with(topics[i].name, only)) {
            topics[i].run();
        }
    }
    log_text("# end\n");
    log_flush();
    power_off();
}
