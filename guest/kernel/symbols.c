#include "guest/kernel/symbols.h"

/* One function; generate_symbols.awk makes the table from the first link, sorted by address. */
struct symbol {
    ptr_t address;
    const char* name;
};
extern const struct symbol symbol_table[];
extern const uint32_t symbol_count;
extern char kernel_text_begin[], kernel_text_end[];

const char* symbol_name(ptr_t address, unsigned* offset) {
    if (symbol_count == 0 || address < (ptr_t)kernel_text_begin || address >= (ptr_t)kernel_text_end) {
        return NULL;
    }
    uint32_t low = 0, high = symbol_count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (symbol_table[middle].address <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *offset = address - symbol_table[low].address;
    return symbol_table[low].name;
}
