/* What the rows of docs/peers.md stand on: the machine, a way to run code that faults, and the memory that they map. */
#pragma once

/* Physical memory from 4 MB on belongs to the rows; 4 MB pages show all of it at its own address, to ring 3 too. */
#define FRAME_A 0x00500000
#define FRAME_B 0x00501000
#define LARGE_A 0x00800000
#define LARGE_B 0x00C00000
/* Two places that rows map: 4096 pages, and one 4 MB page. PAGE shares no slot of a direct-mapped TLB with LARGE. */
#define WINDOW 0x40000000
#define LARGE 0x50000000
#define PAGE (WINDOW + 0x33000)
/* Neighbours: what faults in one has begun in the other. */
#define FIRST_PAGE (WINDOW + 0x100000)
#define SECOND_PAGE (WINDOW + 0x101000)

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* As the stubs push it. */
struct trap_frame {
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
    u32 vector, error, eip, cs, flags;
};

extern struct trap_frame last_fault;
extern u32 last_fault_address;
extern volatile u32 last_interrupt; /* its vector, 0 if none */
extern volatile u32 step_result;

/* Calls `body` in ring 0 or ring 3; true if a fault ended it, which `last_fault` then shows. */
bool attempt(void (*body)(void));
bool attempt_user(void (*body)(void));

/* Steps whose stack or registers C cannot set; for ring 3, so that a fault has a stack of its own. */
void push_all_step(void);
void pop_all_step(void);
void enter_step(void);
void read_page_step(void);

/* Prints "name: outcome". */
void row(const char* name, const char* outcome);
void row_number(const char* name, u32 value);
void row_pair(const char* name, u32 first, u32 second);
/* Hexadecimal with at least so many digits, in storage that the next call uses again. */
const char* hexadecimal(u32 value, u32 digits);

void start_paging(void);
void paging_rows(void);
void fault_rows(void);
void device_rows(void);

static inline void outb(u16 port, u8 value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port) {
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline u32 read_word(u32 address) {
    return *(volatile u32*)address;
}

static inline void write_word(u32 address, u32 value) {
    *(volatile u32*)address = value;
}

/* The entry that maps a page of the window. */
u32* window_entry(u32 page);
/* Maps one page and forgets every translation. */
void map_page(u32 page, u32 entry);
void flush_all(void);

enum { PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40, PAGE_SIZE_BIT = 0x80, GLOBAL = 0x100 };
#endif
