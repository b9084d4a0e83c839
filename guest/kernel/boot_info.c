#include "guest/kernel/boot_info.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"

#define MULTIBOOT_LOADER_MAGIC 0x2BADB002u
#define MULTIBOOT_HAS_MEMORY 0x001u
#define MULTIBOOT_HAS_COMMAND 0x004u
#define MULTIBOOT_HAS_MODULES 0x008u
#define MULTIBOOT_HAS_MAP 0x040u
#define MULTIBOOT_MAP_USABLE 1u
#define BOOT_WINDOW 0x01000000u /* what boot.S maps */
#define MEGABYTE 0x00100000u
#define SMALLEST_RAM 0x00780000u /* "8 MB" less what firmware keeps at the top */

struct multiboot_information {
    uint32_t flags, memory_lower, memory_upper, boot_device, command_line, module_count, modules;
    uint32_t symbols[4], map_bytes, map;
};
struct multiboot_module {
    uint32_t start, end, text, reserved;
};
struct multiboot_map_entry {
    uint32_t size;
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

struct boot_info boot_info;
extern char kernel_image_end[];

/* Shows early physical memory; only boot_info_init() uses it, while boot.S's tables are active. */
static const void* early(phys_t address) {
    if (address >= BOOT_WINDOW - PAGE_BYTES) {
        panic("boot information at %08x lies beyond the first 16 MB", address);
    }
    return (const void*)(address + KERNEL_BASE);
}

/* Notes one range of RAM, cut to what the kernel can map. */
static void add_usable(uint64_t start, uint64_t end) {
    if (start < MEGABYTE) {
        start = MEGABYTE;
    }
    if (end > LINEAR_BYTES) {
        end = LINEAR_BYTES;
    }
    phys_t first = page_up((phys_t)start), last = page_down((phys_t)end);
    if (start >= end || first >= last || boot_info.usable_count == BOOT_RANGES) {
        return;
    }
    boot_info.usable[boot_info.usable_count++] = (struct memory_range){first, last};
    if (last > boot_info.ram_top) {
        boot_info.ram_top = last;
    }
}

/* Notes memory that is taken, as part of the range before it where they touch; panics if the table is full. */
static void add_reserved(phys_t start, phys_t end) {
    struct memory_range* last = &boot_info.reserved[boot_info.reserved_count - 1];
    if (boot_info.reserved_count > 0 && last->end == page_down(start)) {
        last->end = page_up(end);
        return;
    }
    if (boot_info.reserved_count == BOOT_RANGES) {
        panic("too many pieces of reserved memory, %u", boot_info.reserved_count);
    }
    boot_info.reserved[boot_info.reserved_count++] = (struct memory_range){page_down(start), page_up(end)};
}

/* Collects RAM from the loader's map, or from its older pair of sizes. */
static void read_memory_map(const struct multiboot_information* information) {
    if ((information->flags & MULTIBOOT_HAS_MAP) != 0) {
        phys_t at = information->map;
        while (at < information->map + information->map_bytes) {
            const struct multiboot_map_entry* entry = early(at);
            if (entry->type == MULTIBOOT_MAP_USABLE) {
                add_usable(entry->base, entry->base + entry->length);
            }
            at += entry->size + sizeof(entry->size);
        }
    } else if ((information->flags & MULTIBOOT_HAS_MEMORY) != 0) {
        add_usable(MEGABYTE, MEGABYTE + (uint64_t)information->memory_upper * 1024);
    }
}

void boot_info_init(uint32_t magic, phys_t address) {
    if (magic != MULTIBOOT_LOADER_MAGIC) {
        panic("not started by a multiboot loader (eax = %08x)", magic);
    }
    const struct multiboot_information* information = early(address);
    if ((information->flags & MULTIBOOT_HAS_COMMAND) != 0) {
        string_copy(boot_info.command_line, early(information->command_line), sizeof(boot_info.command_line));
    }
    read_memory_map(information);
    if (boot_info.ram_top < SMALLEST_RAM) {
        panic("too little memory: %u KB found, at least 8 MB needed", boot_info.ram_top / 1024);
    }
    add_reserved(0, (phys_t)kernel_image_end - KERNEL_BASE);
    if ((information->flags & MULTIBOOT_HAS_MODULES) != 0 && information->module_count > 0) {
        const struct multiboot_module* modules = early(information->modules);
        for (unsigned i = 0; i < information->module_count; i++) {
            add_reserved(modules[i].start, modules[i].end);
        }
        boot_info.initrd_start = modules[0].start;
        boot_info.initrd_end = modules[0].end;
        if (boot_info.initrd_end > boot_info.ram_top) {
            panic("the initrd ends at %08x, beyond the memory that the kernel can map", boot_info.initrd_end);
        }
    }
}

/* Returns the end of a reserved range that meets [start, end), or 0. */
static phys_t reserved_overlap(phys_t start, phys_t end) {
    for (unsigned i = 0; i < boot_info.reserved_count; i++) {
        if (start < boot_info.reserved[i].end && boot_info.reserved[i].start < end) {
            return boot_info.reserved[i].end;
        }
    }
    return 0;
}

phys_t boot_alloc(uint32_t bytes) {
    bytes = page_up(bytes);
    for (unsigned i = 0; i < boot_info.usable_count; i++) {
        phys_t start = boot_info.usable[i].start;
        phys_t next;
        while ((next = reserved_overlap(start, start + bytes)) != 0) {
            start = next;
        }
        if (start + bytes <= boot_info.usable[i].end) {
            add_reserved(start, start + bytes);
            return start;
        }
    }
    panic("too little memory: no room for %u KB of kernel tables", bytes / 1024);
}

/* Returns what follows "word" at the start of an option on the command line, or NULL. */
static const char* find_word(const char* word) {
    const char* at = boot_info.command_line;
    size_t length = strlen(word);
    char quote = '\0';
    bool word_begins = true;
    for (; *at != '\0'; at++) {
        if (quote == '\0' && word_begins && strncmp(at, word, length) == 0) {
            char after = at[length];
            if (after == '=' || after == ' ' || after == '\0') {
                return at + length;
            }
        }
        if (*at == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*at == '"' || *at == '\'')) {
            quote = *at;
        }
        word_begins = *at == ' ';
    }
    return NULL;
}

/* Copies the value after "word=" up to its closing quote, or up to end; returns false if there is no value. */
static bool copy_value(const char* word, char end, char* value, size_t capacity) {
    const char* at = find_word(word);
    if (at == NULL || *at != '=') {
        return false;
    }
    at++;
    if (*at == '"' || *at == '\'') {
        end = *at++;
    }
    size_t length = 0;
    while (at[length] != '\0' && at[length] != end && length + 1 < capacity) {
        value[length] = at[length];
        length++;
    }
    value[length] = '\0';
    return true;
}

bool boot_option(const char* word, char* value, size_t capacity) { return copy_value(word, ' ', value, capacity); }

bool boot_option_line(const char* word, char* value, size_t capacity) {
    return copy_value(word, '\0', value, capacity);
}

unsigned boot_option_number(const char* word, unsigned fallback) {
    char text[12];
    if (!boot_option(word, text, sizeof(text)) || text[0] == '\0') {
        return fallback;
    }
    unsigned number = 0;
    for (const char* digit = text; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return fallback;
        }
        number = number * 10 + (unsigned)(*digit - '0');
    }
    return number;
}

bool boot_flag(const char* word) {
    const char* at = find_word(word);
    return at != NULL && *at != '=';
}
