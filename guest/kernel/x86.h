/* Owns: the machine instructions that C cannot say. Anybody in the kernel may call; nothing here fails. */
#ifndef KERNEL_X86_H
#define KERNEL_X86_H

#include "guest/kernel/types.h"

#define KERNEL_CODE_SELECTOR 0x08
#define KERNEL_DATA_SELECTOR 0x10
#define USER_CODE_SELECTOR 0x1B
#define USER_DATA_SELECTOR 0x23
#define TASK_SELECTOR 0x28
#define DOUBLE_FAULT_TASK_SELECTOR 0x30

#define EFLAGS_RESERVED_ONE 0x00000002u
#define EFLAGS_INTERRUPT 0x00000200u
#define EFLAGS_USER_MAY_SET 0x00000DD5u /* carry, parity, auxiliary, zero, sign, trap, direction, overflow */

#define CR0_EMULATION 0x00000004u
#define CR0_NUMERIC_ERROR 0x00000020u
#define CR0_WRITE_PROTECT 0x00010000u
#define CR4_PAGE_SIZE 0x00000010u
#define CR4_PAGE_GLOBAL 0x00000080u
#define CPUID_PSE 0x00000008u
#define CPUID_PGE 0x00002000u

/* Writes one byte to a port. */
static inline void outb(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

/* Reads one byte from a port. */
static inline uint8_t inb(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Reads control register 0. */
static inline uint32_t read_cr0(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}

/* Writes control register 0. */
static inline void write_cr0(uint32_t value) { __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory"); }

/* Reads the address of the last page fault. */
static inline uint32_t read_cr2(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr2, %0" : "=r"(value));
    return value;
}

/* Reads the physical address of the active page directory. */
static inline uint32_t read_cr3(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}

/* Reads control register 4; the CPU must have one (it has CPUID then). */
static inline uint32_t read_cr4(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr4, %0" : "=r"(value));
    return value;
}

/* Writes control register 4; the CPU must have one. */
static inline void write_cr4(uint32_t value) { __asm__ volatile("movl %0, %%cr4" : : "r"(value) : "memory"); }

/* Returns the feature bits of CPUID leaf 1, or 0 if the CPU has no CPUID (EFLAGS.ID cannot be changed). */
uint32_t cpu_features(void);
/* Says whether the CPU is older than an i486, which brought EFLAGS.AC, INVLPG and CR0.WP; this kernel needs them. */
bool cpu_is_i386(void);

#endif
