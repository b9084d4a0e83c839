/* Owns: what the small kernels here stand on: descriptors, traps, frames, page tables, processes, the lines they print.
 * Callers: the kernels beside it. Promises: knows no tracer and states nothing; the same run each time; what is printed
 * counts what was done to the page tables. A build sets KERNEL_BASE, MEMORY_END, USER_BASE, USER_END, USER_STACK, PAE.
 */
#ifndef FOREIGN_KERNEL_H
#define FOREIGN_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef PAE
typedef uint64_t entry_t;
#define TABLE_BYTES 0x200000u /* that one table maps */
#else
typedef uint32_t entry_t;
#define TABLE_BYTES 0x400000u
#endif

#define PAGE_BYTES 4096u
#define TABLE_ENTRIES (PAGE_BYTES / sizeof(entry_t))
#define FRAMES_BEGIN 0x200000u /* the kernel lies below */
#define LOCAL static inline __attribute__((always_inline))

/* The user's part of the image: read-only pages, then writable ones. */
#define USER_CODE __attribute__((section(".user.text"), noinline, used))
#define USER_DATA __attribute__((section(".user.data"), aligned(4096)))

enum {
    ENTRY_PRESENT = 0x001,
    ENTRY_WRITE = 0x002,
    ENTRY_USER = 0x004,
    ENTRY_ACCESSED = 0x020,
    ENTRY_DIRTY = 0x040,
    ENTRY_LARGE = 0x080,    /* in a directory: TABLE_BYTES at once */
    ENTRY_COW = 0x200,      /* ours: read-only until it is copied */
    ENTRY_SNAPSHOT = 0x400, /* ours: read-only until somebody has noticed the first write */
    ENTRY_FLAGS = 0xFFF,
};

enum {
    CR0_WP = 0x10000,
    CR4_PSE = 0x10,
    CR4_PAE = 0x20,
    FAULT_WRITE = 2,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_SYSTEM_CALL = 0x80
};
#define CR0_PG 0x80000000u

struct frame {
    uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
    uint32_t esp, ss; /* only where the trap came from ring 3 */
};

/* System calls: number in EAX, arguments in EBX, ECX, EDX, result in EAX. Every kernel has those up to SYS_ROUNDS. */
enum {
    SYS_EXIT,
    SYS_WAIT,   /* for any child to exit: its number, or NOBODY where there is none */
    SYS_YIELD,  /* to the next process */
    SYS_PRINT,  /* a value */
    SYS_ROUNDS, /* "rounds=" of the command line */
    SYS_FORK,
    SYS_FILL,     /* the kernel writes a word (ECX) to a user page (EBX), as read() would */
    SYS_CREATE,   /* a process from the fresh image (EBX: its program) */
    SYS_SNAPSHOT, /* write-protect the caller's pages and wait for SYS_WAKE */
    SYS_WAKE,     /* whoever sits in SYS_SNAPSHOT */
    SYS_EXEC,     /* the fresh image (EBX: its program) in place of this one, of which it gets the page at ECX */
    SYS_EXOFORK,  /* an empty child that waits; it has the caller's registers but for the result 0 */
    SYS_PAGE_NEW, /* a zeroed page in process EBX at ECX */
    SYS_PAGE_MAP, /* the caller's page at EBX in process (ECX & 0xFFF) at (ECX & ~0xFFF) with flags EDX */
    SYS_PAGE_UNMAP,
    SYS_SET_UPCALL, /* of process EBX: page faults go to ECX */
    SYS_START,      /* process EBX may run: it is the caller's copy */
    SYS_START_AT,   /* process EBX may run, from ECX on and with an empty stack: it is no copy */
};
#define NOBODY 0xFFFFFFFFu

enum state { STATE_FREE, STATE_RUNNABLE, STATE_WAITING, STATE_SLEEPING, STATE_EXITED };

/* What a fork did: pages of the child in frames of their own and in the parent's, entries written to the child's tables
 * (of the kernel's half too), entries of the parent that lost the right to write. */
struct fork_counts {
    uint32_t copied, shared, entries, protects;
};

struct process {
    enum state state;
    uint32_t number;
    uint32_t space; /* for CR3 */
    uint32_t upcall;
    struct process* parent;
    struct fork_counts counts; /* of a fork that takes many calls */
    struct frame frame;
};

extern struct process* current;

/* What a kernel of this folder brings along. kernel_start() has paging on and `current` set when it returns;
 * map_kernel() and unmap_kernel() give a new space the kernel's half and take it back. */
void kernel_start(void);
void map_kernel(uint32_t space);
void unmap_kernel(uint32_t space);
void system_call(struct frame* frame);
void page_fault(struct frame* frame, uint32_t address);

/* machine.c */
void print(const char* format, ...); /* %x, %u, %s */
__attribute__((noreturn)) void stop(const char* why);
bool has_word(const char* word); /* on the boot command line */
uint32_t number_after(const char* word, uint32_t otherwise);

/* paging.c */
void* window(uint32_t physical); /* where the kernel sees it */
uint32_t frame_new(void);        /* zeroed, one reference */
void frame_share(uint32_t frame);
void frame_release(uint32_t frame);
uint32_t frame_references(uint32_t frame);
uint32_t space_new(void);
void space_free(uint32_t space);
entry_t* directory_entry(uint32_t space, uint32_t address);
entry_t* entry_at(uint32_t space, uint32_t address); /* 0: there is no table */
entry_t* entry_made(uint32_t space, uint32_t address);
entry_t* next_user_entry(uint32_t space, uint32_t* address); /* the first present one from there on; 0: none */
void load_image(uint32_t space);                             /* fresh pages, and a stack */

/* process.c */
struct process* process_new(struct process* parent, uint32_t space);
struct process* process_numbered(uint32_t number);
void process_enter(struct process* process, void (*program)(void));
void first_process(void (*program)(void)); /* in a fresh image */
void process_exit(void);
void run_next(void);
void switch_to(struct process* process);
bool basic_call(struct frame* frame); /* false: it is none of the calls that all kernels have */
void print_fork(uint32_t parent, uint32_t child, const struct fork_counts* counts);

/* With "based" the programs' code segment begins here. */
#define CODE_BASE 0x1000u
LOCAL uint32_t code_base(void) { return has_word("based") ? CODE_BASE : 0; }

LOCAL uint32_t frame_of(entry_t entry) { return (uint32_t)entry & ~(uint32_t)ENTRY_FLAGS; }

LOCAL void flush_page(uint32_t address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

LOCAL uint32_t read_cr3(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}

LOCAL void write_cr0(uint32_t value) { __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory"); }

LOCAL uint32_t read_cr0(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}

LOCAL void write_cr3(uint32_t value) { __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory"); }

/* The tables of `current`; a kernel that is linked high came with others. */
LOCAL void turn_paging_on(void) {
    if (KERNEL_BASE == 0) {
#ifdef PAE
        __asm__ volatile("movl %0, %%cr4" : : "r"(CR4_PAE));
#else
        __asm__ volatile("movl %0, %%cr4" : : "r"(CR4_PSE));
#endif
    }
    write_cr3(current->space);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

/* For user programs: nothing is written to memory on the way. */
LOCAL uint32_t call(uint32_t number, uint32_t first, uint32_t second, uint32_t third) {
    __asm__ volatile("int $0x80" : "+a"(number) : "b"(first), "c"(second), "d"(third) : "memory");
    return number;
}

LOCAL __attribute__((noreturn)) void exit_program(void) {
    for (;;)
        call(SYS_EXIT, 0, 0, 0);
}

#endif
