/* Owns: how a case is written, chosen, run and logged.
 * Callers: the topics. Promises: a case always comes back, by its own INT3, by a fault, or by the double fault's task.
 */
#ifndef PRIVILEGED_CASE_H
#define PRIVILEGED_CASE_H

#include "arena.h"

enum { FLAG_FIXED = 2, FLAG_T = 0x100, FLAG_I = 0x200, FLAG_D = 0x400, FLAG_NT = 0x4000, FLAG_RF = 0x10000 };
enum { FLAG_VM = 0x20000, FLAG_AC = 0x40000, FLAG_VIF = 0x80000, FLAG_VIP = 0x100000, FLAG_ID = 0x200000 };
enum { CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_WP = 0x10000, CR0_AM = 0x40000, CR0_PG = 0x80000000 };

/* Registers with which the case starts. Written by start.S's names, so they are single variables. */
extern u32 start_eip, start_cs, start_esp, start_ss, start_flags, start_es, start_ds, start_fs, start_gs;
extern u32 start_eax, start_ecx, start_edx, start_ebx, start_ebp, start_esi, start_edi;
extern u32 start_cr0, start_cr3, start_cr4;
extern bool debug_registers_matter; /* they are loaded before the case, and logged: `use_debug_registers` */
extern u32 start_dr[4], start_dr6, start_dr7;
extern u16 start_task, start_local; /* the task register and the LDT register */
extern u16 start_idt_limit, start_gdt_limit;

/* Begins a group of cases: all following cases have its name. One case in `thin` is run, all in a long run. */
void group(const char* name, u32 thin);
/* Is the next case to be run? If so everything is as new, the instruction pointer of `emit` at CODE. */
bool next_case(void);
/* Sets the ring that the case starts in: flat 32-bit segments, or 16-bit ones. */
void start_in_ring(u32 ring);
void start_in_ring16(u32 ring);
/* Runs the case and logs it under its key: the numbers given, in hexadecimal. */
void run_case(u32 count, const u32* key);
#define RUN(...) run_case(sizeof((u32[]){__VA_ARGS__}) / 4, (u32[]){__VA_ARGS__})
/* What also is looked at for changes in this group: the other tasks' stacks, DATA, page tables. */
void watch_more(bool tasks, bool data, bool tables);
void watch_low(bool low);
/* For the cases that follow: debug registers are loaded and logged, and no way out of a case uses them. */
void use_debug_registers(bool matter);
/* #DB leads to a handler that notes where it came from in DATA, and returns; faults to INT3 behind TARGET. */
void note_debug_exceptions(void);
/* Fills what is watched of DATA, each byte another. */
void fill_data(void);
/* The case's own sequence of numbers, the same on every machine. */
u32 random_number(void);

/* Instructions, written behind each other. */
void emit(u32 count, const u8* bytes);
#define EMIT(...) emit(sizeof((u8[]){__VA_ARGS__}), (u8[]){__VA_ARGS__})
void emit16(u32 value);
void emit32(u32 value);
u32 emit_here(void);
/* Where the next instruction goes; CODE at first. */
void emit_from(u32 address);
/* What TARGET is filled with: INT3, or UD2 for cases that replace vector 3. */
void target_is_undefined_opcode(bool undefined);

/* QEMU loses the machine in a few cases; it is not asked for them, after `next_case` has counted them. */
extern bool peer_is_qemu;

/* How the case ended, for topics that look. */
extern u32 end_vector;

/* Ports. */
static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) {
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
void mask_interrupts(void);
/* Lets the timer's interrupt wait at the controller. */
void request_timer_interrupt(void);

/* What raises an exception or interrupt, with the vector that it raises. */
enum cause {
    BY_INT, /* INT 30h */
    BY_INT3,
    BY_INTO,
    BY_BOUND,
    BY_UD2,
    BY_DIVIDE,
    BY_ICEBP,
    BY_DEVICE,  /* #NM */
    BY_SEGMENT, /* #GP with a selector */
    BY_ABSENT,  /* #NP */
    BY_STACK,   /* #SS */
    BY_TASK,    /* #TS */
    BY_HALT,    /* #GP(0); outside ring 0 only */
    CAUSES,
};
u32 vector_of(enum cause cause);
/* Writes the instruction; the ring must have been chosen. */
void emit_cause(enum cause cause, u32 ring);

/* The topics. */
void interrupt_cases(void);
void transfer_cases(void);
void return_cases(void);
void task_cases(void);
void segment_cases(void);
void virtual_8086_cases(void);
void paging_cases(void);
void limit_cases(void);
void debug_cases(void);
void step_cases(void);

#endif
