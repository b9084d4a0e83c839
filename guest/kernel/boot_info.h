/* Owns: what the boot loader said: memory, modules, command line; and memory given out before the frame allocator
 * exists. main.c and the init functions call. Promises: the facts are copied, so no loader memory is needed later. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include "guest/kernel/types.h"

struct memory_range {
    phys_t start, end; /* end is exclusive */
};

#define BOOT_RANGES 32

struct boot_info {
    struct memory_range usable[BOOT_RANGES]; /* what the loader calls RAM, below 512 MB, above 1 MB */
    unsigned usable_count;
    struct memory_range reserved[BOOT_RANGES]; /* kernel, modules, boot_alloc() */
    unsigned reserved_count;
    phys_t ram_top;                  /* end of the highest usable range */
    phys_t initrd_start, initrd_end; /* both 0 without a module */
    char command_line[512];
};

extern struct boot_info boot_info;

/* Reads the multiboot information; kernel_main() calls it first. Panics if there is none, or too little RAM. */
void boot_info_init(uint32_t magic, phys_t information);
/* Reserves page-aligned memory for good, lowest address first; not cleared. Only before frames_init(). Panics if there
 * is none. */
phys_t boot_alloc(uint32_t bytes);
/* Finds "word=value" on the command line and copies the value; quotes around it are removed, and it may contain spaces
 * then. False if the word or its value is missing. */
bool boot_option(const char* word, char* value, size_t capacity);
/* The same, but a value without quotes extends to the end of the command line, as run=COMMAND needs. */
bool boot_option_line(const char* word, char* value, size_t capacity);
/* Finds "word=number" in decimal; returns fallback if it is absent or malformed. */
unsigned boot_option_number(const char* word, unsigned fallback);
/* Says whether the bare word is on the command line. */
bool boot_flag(const char* word);

#endif
