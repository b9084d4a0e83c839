/* Owns: copying and comparing, and the ports' and registers' instructions that C lacks.
 * Callers: the kernel's own files. Promises: no library is needed. */
#ifndef PRIVILEGED_MEMORY_H
#define PRIVILEGED_MEMORY_H

#include "arena.h"

static inline void copy_words(void* to, const void* from, u32 bytes) {
    u32 count = bytes / 4;
    __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}
static inline void fill_words(void* to, u32 value, u32 bytes) {
    u32 count = bytes / 4;
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}
/* The index of the first of `count` words from `at` on that differs, or `count`. */
static inline u32 first_difference(const u32* a, const u32* b, u32 at, u32 count) {
    u32 left = count - at;
    const u32* x = a + at;
    const u32* y = b + at;
    bool differs;
    if (left == 0) {
        return count;
    }
    __asm__ volatile("repe cmpsl" : "+S"(x), "+D"(y), "+c"(left), "=@ccne"(differs) : : "memory");
    return differs ? (u32)(x - a) - 1 : count;
}

#define READ_REGISTER(name, type)                                                                                      \
    static inline type read_##name(void) {                                                                             \
        type value;                                                                                                    \
        __asm__ volatile(READ_##name : "=r"(value));                                                                   \
        return value;                                                                                                  \
    }
#define READ_cr0 "movl %%cr0, %0"
#define READ_cr2 "movl %%cr2, %0"
#define READ_cr3 "movl %%cr3, %0"
#define READ_cr4 "movl %%cr4, %0"
#define READ_tr "strw %0"
#define READ_ldtr "sldtw %0"
READ_REGISTER(cr0, u32)
READ_REGISTER(cr2, u32)
READ_REGISTER(cr3, u32)
READ_REGISTER(cr4, u32)
READ_REGISTER(tr, u16)
READ_REGISTER(ldtr, u16)
static inline void write_cr0(u32 value) { __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory"); }
static inline void write_cr2(u32 value) { __asm__ volatile("movl %0, %%cr2" : : "r"(value)); }
static inline void write_cr3(u32 value) { __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory"); }
static inline void write_cr4(u32 value) { __asm__ volatile("movl %0, %%cr4" : : "r"(value) : "memory"); }

/* Names of start.S. */
void load_kernel_segments(void);
void enter_case(void);
void double_fault_entry(void);
extern u8 vector_entries[], debug_entries[], noting_handler[], noting_handler_end[];
extern u8 double_fault_stack_top[];

/* log.c: the text of the log, over port E9h. */
void log_character(char character);
void log_text(const char* text);
void log_hexadecimal(u32 value);
void log_flush(void);

#endif
