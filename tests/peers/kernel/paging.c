#include "kernel.h"

/* What translations outlive. Each row fills an entry of the TLB, changes memory behind it, and looks which one answers. */

enum {
    WINDOW_PAGES = 4096,
    MARK_A = 0xAAAAAAAA,
    MARK_B = 0xBBBBBBBB,
    READ_ONLY = PRESENT | USER,
    READ_WRITE = PRESENT | WRITABLE | USER,
    LARGE_PAGE = READ_WRITE | PAGE_SIZE_BIT,
    CR4_PSE = 0x10,
    CR4_PAE = 0x20,
    CR4_PGE = 0x80,
    CR0_WP = 0x10000,
};
#define CR0_PG 0x80000000u

static u32 directory[1024] __attribute__((aligned(4096)));
static u32 window_tables[WINDOW_PAGES] __attribute__((aligned(4096)));
static u32 split_table[1024] __attribute__((aligned(4096)));
static u64 pointers[4] __attribute__((aligned(32)));
static u64 wide_directory[512] __attribute__((aligned(4096)));

static inline u32 read_cr0(void) {
    u32 value;
    __asm__ volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}

static inline void write_cr0(u32 value) {
    __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory");
}

static inline u32 read_cr4(void) {
    u32 value;
    __asm__ volatile("movl %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr4(u32 value) {
    __asm__ volatile("movl %0, %%cr4" : : "r"(value) : "memory");
}

static inline void write_cr3(u32 value) {
    __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

static inline void invalidate(u32 address) {
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

u32* window_entry(u32 page) {
    return &window_tables[(page - WINDOW) >> 12];
}

/* Leaving and entering PGE forgets global translations, too. */
void flush_all(void) {
    write_cr4(read_cr4() & ~(u32)CR4_PGE);
    write_cr3((u32)directory);
    write_cr4(read_cr4() | CR4_PGE);
}

void map_page(u32 page, u32 entry) {
    *window_entry(page) = entry;
    flush_all();
}

static void map_large(u32 entry) {
    directory[LARGE >> 22] = entry;
    flush_all();
}

static void change_page(u32 entry) {
    *(volatile u32*)window_entry(PAGE) = entry;
}

static const char* answer(u32 address) {
    return read_word(address) == MARK_B ? "new" : "stale";
}

void start_paging(void) {
    for (u32 i = 0; i < 4; i++) {
        directory[i] = i << 22 | LARGE_PAGE;
        directory[(WINDOW >> 22) + i] = (u32)(window_tables + 1024 * i) | READ_WRITE;
    }
    write_word(FRAME_A, MARK_A);
    write_word(FRAME_B, MARK_B);
    for (u32 offset = 0; offset < 0x400000; offset += 0x1000) {
        write_word(LARGE_A + offset, MARK_A);
        write_word(LARGE_B + offset, MARK_B);
    }
    write_cr4(CR4_PSE | CR4_PGE);
    write_cr3((u32)directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static void write_page(void) {
    write_word(PAGE, 1);
}

/* A write that faults on a cached read-only page whose entry names another frame by now. */
static void fault_row(void) {
    map_page(PAGE, FRAME_A | READ_ONLY);
    read_word(PAGE);
    change_page(FRAME_B | READ_ONLY);
    row("fault_then_read", attempt(write_page) ? answer(PAGE) : "no fault");
}

static void write_protect_row(void) {
    map_page(PAGE, FRAME_A | READ_ONLY);
    read_word(PAGE);
    change_page(FRAME_B | READ_ONLY);
    write_cr0(read_cr0() & ~(u32)CR0_WP);
    write_cr0(read_cr0() | CR0_WP);
    row("wp_toggled", answer(PAGE));
}

static void ring_row(void) {
    map_page(PAGE, FRAME_A | READ_ONLY);
    read_word(PAGE);
    change_page(FRAME_B | READ_ONLY);
    attempt_user(read_page_step);
    row("read_by_ring_3", step_result == MARK_B ? "new" : "stale");
}

/* Two frames with "mov $n, %eax; ret". */
static void code_row(void) {
    static const u8 code[6] = {0xB8, 0, 0, 0, 0, 0xC3};
    for (u32 i = 0; i < sizeof code; i++) {
        ((volatile u8*)FRAME_A)[0x100 + i] = code[i];
        ((volatile u8*)FRAME_B)[0x100 + i] = code[i];
    }
    ((volatile u8*)FRAME_B)[0x101] = 1;
    map_page(PAGE, FRAME_A | READ_ONLY);
    read_word(PAGE);
    change_page(FRAME_B | READ_ONLY);
    u32 number = ((u32(*)(void))(PAGE + 0x100))();
    row("read_then_run", number != 0 ? "new" : "stale");
}

/* How many of 4096 pages touched in a row are still cached, looked at from the last one. */
static void capacity_row(void) {
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        window_tables[i] = FRAME_A | READ_ONLY;
    }
    flush_all();
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        read_word(WINDOW + i * 0x1000);
    }
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        window_tables[i] = FRAME_B | READ_ONLY;
    }
    u32 kept = 0;
    for (u32 i = WINDOW_PAGES; i-- > 0;) {
        kept += read_word(WINDOW + i * 0x1000) == MARK_A;
    }
    row("capacity", kept <= 64 ? "64 or fewer" : "more");
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        window_tables[i] = 0;
    }
}

static void global_row(void) {
    map_page(PAGE, FRAME_A | READ_ONLY | GLOBAL);
    read_word(PAGE);
    change_page(FRAME_B | READ_ONLY | GLOBAL);
    write_cr3((u32)directory);
    row("global_over_cr3", answer(PAGE));
}

/* INVLPG of one piece of a 4 MB page: does it drop another piece, and a page that has nothing to do with it? */
static void large_invalidate_row(void) {
    *window_entry(PAGE) = FRAME_A | READ_ONLY;
    map_large(LARGE_A | LARGE_PAGE);
    read_word(PAGE);
    read_word(LARGE);
    read_word(LARGE + 0x5000);
    change_page(FRAME_B | READ_ONLY);
    *(volatile u32*)&directory[LARGE >> 22] = LARGE_B | LARGE_PAGE;
    invalidate(LARGE + 0x5000);
    bool large_dropped = read_word(LARGE) == MARK_B;
    bool other_dropped = read_word(PAGE) == MARK_B;
    row("invlpg_of_a_piece", other_dropped ? "everything" : large_dropped ? "the page" : "the piece");
}

static void split_row(void) {
    for (u32 i = 0; i < 1024; i++) {
        split_table[i] = (LARGE_B + i * 0x1000) | READ_WRITE;
    }
    map_large(LARGE_A | LARGE_PAGE);
    read_word(LARGE);
    *(volatile u32*)&directory[LARGE >> 22] = (u32)split_table | READ_WRITE;
    bool first_new = read_word(LARGE) == MARK_B;
    bool other_new = read_word(LARGE + 0x7000) == MARK_B;
    row("large_page_split", first_new ? "new" : other_new ? "other pieces new" : "stale");
}

static void read_large(void) {
    read_word(LARGE);
}

/* Which of bits 13 to 21 of a 4 MB entry are reserved, and the error code of the last of them. */
static void reserved_rows(void) {
    u32 reserved = 0;
    for (u32 bit = 1u << 13; bit <= 1u << 21; bit <<= 1) {
        map_large(LARGE_A | bit | LARGE_PAGE);
        if (attempt(read_large)) {
            reserved |= bit;
        }
    }
    row_number("reserved_bits", reserved);
    row("reserved_error", hexadecimal(last_fault.error, 1));
    map_large(0);
}

static void load_pointers(void) {
    write_cr3((u32)pointers);
}

/* Bit 1 of a pointer to a directory is reserved in 32-bit PAE. */
static void pointer_row(void) {
    for (u32 i = 0; i < 8; i++) {
        wide_directory[i] = i << 21 | LARGE_PAGE;
    }
    pointers[0] = (u32)wide_directory | PRESENT;
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr4(CR4_PAE);
    write_cr3((u32)pointers);
    write_cr0(read_cr0() | CR0_PG);
    pointers[3] = (u32)wide_directory | PRESENT | WRITABLE;
    bool refused = attempt(load_pointers);
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr4(CR4_PSE | CR4_PGE);
    write_cr3((u32)directory);
    write_cr0(read_cr0() | CR0_PG);
    row("pdpte_reserved", !refused ? "accepted" : last_fault.vector == 13 ? "#GP" : "another fault");
}

void paging_rows(void) {
    fault_row();
    write_protect_row();
    ring_row();
    code_row();
    capacity_row();
    global_row();
    large_invalidate_row();
    split_row();
    reserved_rows();
    pointer_row();
}
