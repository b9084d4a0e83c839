/* Owns: the addresses of everything that a case can see: tables, task segments, stacks, code. They do not depend on the compiler. Callers: the topics. Promises: `reset_arena` brings back the same bytes each time; run_case logs every byte
 * that changed. */
#ifndef PRIVILEGED_ARENA_H
#define PRIVILEGED_ARENA_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum place {
    GDT = 0x300000,
    LDT = 0x301000,
    IDT = 0x302000,
    TASKS = 0x303000,  /* the task segments, 0x80 apart */
    RINGS = 0x304000,  /* a page for each ring: its stacks */
    CODE = 0x308000,   /* the case's instructions */
    TARGET = 0x309000, /* where transfers lead */
    DATA = 0x30A000,
    TABLES = 0x30C000, /* page directory, a page table that maps all this, and at + 3 pages one for a case */
    BITMAP = 0x310000, /* a task segment with an I/O bitmap behind it */
    ARENA_END = 0x320000,
    POINTERS = 0x320000, /* page tables with PAE: pointers, directory, two tables, one for a case */
    WIDE_DIRECTORY = 0x321000,
    WIDE_TABLES = 0x322000,
    WIDE_TEST_TABLE = 0x324000,
    PAGE = 0x1000,
    V_CODE = 0x60000, /* of virtual-8086 mode */
    V_DATA = 0x61000,
    V_STACK = 0x62000,
};

/* Within a ring's page: where its stacks begin (they grow downwards from there). */
enum stack {
    START_STACK = 0x800, /* of the case */
    INNER_STACK = 0xC00, /* of the present task segment */
    TASK_STACK = 0xE00,  /* of the other tasks */
};

/* Slots of the GDT. Those of rings are four in a row. */
enum slot {
    KERNEL_CODE = 1,
    KERNEL_DATA = 2,
    TASK_MAIN = 3,  /* the case runs in this task */
    TASK_FAULT = 4, /* the double fault's */
    RING_CODE = 5,
    RING_DATA = 9,
    RING_CONFORMING = 13,
    LOCAL = 17,
    TASK_WIDE = 18,
    TASK_WIDE_2 = 19,
    TASK_NARROW = 20,
    TASK_NARROW_2 = 21,
    RING_CODE16 = 22, /* base CODE: TARGET is at 0x1000 */
    RING_DATA16 = 26, /* base: the ring's page of stacks */
    TEST = 30,        /* free for the case, 30..45 */
    NOT_PRESENT_DATA = 46,
    NOT_PRESENT_STACK = 47, /* one for each ring */
    SLOTS = 64,
};

enum { TASK_BYTES = 0x80, VECTORS = 64, LOCAL_SLOTS = 16, LOCAL_CODE = 0, LOCAL_DATA = 4, LOCAL_TEST = 8 };
enum { GRANULAR = 8, BIG = 4 };
enum { CALL_GATE16 = 4, TASK_GATE = 5, INTERRUPT_GATE16 = 6, TRAP_GATE16 = 7 };
enum { CALL_GATE = 12, INTERRUPT_GATE = 14, TRAP_GATE = 15 };
enum { PRESENT = 0x80, SEGMENT = 0x10 };

/* A task segment of 32 and one of 16 bits, as the manual draws them. */
struct wide_task {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, flags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
    u32 es, cs, ss, ds, fs, gs, ldt;
    u16 trap, bitmap;
};
struct narrow_task {
    u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

#define WIDE(slot)                                                                                                     \
    ((struct wide_task*)(TASKS + ((slot) == TASK_MAIN ? 0 : (slot) == TASK_FAULT ? 1 : (slot)-16) * TASK_BYTES))
#define NARROW(slot) ((struct narrow_task*)WIDE(slot))
#define GDT_SLOT(slot) (((u64*)GDT)[slot])
#define LDT_SLOT(slot) (((u64*)LDT)[slot])
#define IDT_SLOT(vector) (((u64*)IDT)[vector])

static inline u16 selector(u32 slot, u32 rpl) { return (u16)(slot * 8 + rpl); }
static inline u16 local_selector(u32 slot, u32 rpl) { return (u16)(slot * 8 + 4 + rpl); }
static inline u16 code_of(u32 ring) { return selector(RING_CODE + ring, ring); }
static inline u16 data_of(u32 ring) { return selector(RING_DATA + ring, ring); }
static inline u32 ring_page(u32 ring) { return RINGS + ring * PAGE; }

/* A segment: `access` is the descriptor's sixth byte, `flags` GRANULAR and BIG. */
u64 segment(u32 base, u32 limit, u32 access, u32 flags);
/* A gate: `access` is the descriptor's sixth byte, `count` the words that a call gate copies. */
u64 gate(u32 access, u16 target, u32 offset, u32 count);
/* Something sensible for any sixth byte: a segment over all memory, the segment of a task or the LDT, or a gate to ring
 * 0's code. */
u64 any_descriptor(u32 access);

void build_arena(void);
void build_low_memory(void);
void build_page_tables(void);
void keep_pristine_arena(void);
void reset_arena(void);

#endif
