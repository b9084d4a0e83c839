#include "case.h"
#include "memory.h"

u32 start_cr0, start_cr3, start_cr4;
u16 start_task, start_local, start_idt_limit, start_gdt_limit;
u32 end_vector, end_error, end_flags, end_eax, end_ecx, end_edx, end_ebx, end_esp, end_ebp, end_esi, end_edi;
bool debug_registers_matter;
u32 start_dr[4], start_dr6, start_dr7, end_dr[4], end_dr6, end_dr7;
u16 end_ss, end_ds, end_es, end_fs, end_gs;
u32 log_thin;
u32 log_seed;

/* What is compared before and after a case. Offsets in the log count from
 * `zero`. */
struct region {
    const char* name;
    u32 address, bytes, zero;
    u8 when;
};
enum { ALWAYS, WITH_TASKS, WITH_DATA, WITH_TABLES, WITH_LOW };
enum { BELOW = 0x80, ABOVE = 0x20 };
#define STACK(name, ring, top, when)                                                                                   \
    { name, RINGS + (ring)*PAGE + (top)-BELOW, BELOW + ABOVE, RINGS + (ring)*PAGE + (top), when }
static const struct region regions[] = {
    {"G", GDT, SLOTS * 8, GDT, ALWAYS},
    {"L", LDT, LOCAL_SLOTS * 8, LDT, ALWAYS},
    {"I", IDT, VECTORS * 8, IDT, ALWAYS},
    {"M", TASKS, TASK_BYTES, TASKS, ALWAYS},
    {"F", TASKS + TASK_BYTES, TASK_BYTES, TASKS + TASK_BYTES, ALWAYS},
    {"W", TASKS + 2 * TASK_BYTES, TASK_BYTES, TASKS + 2 * TASK_BYTES, ALWAYS},
    {"V", TASKS + 3 * TASK_BYTES, TASK_BYTES, TASKS + 3 * TASK_BYTES, ALWAYS},
    {"N", TASKS + 4 * TASK_BYTES, TASK_BYTES, TASKS + 4 * TASK_BYTES, ALWAYS},
    {"O", TASKS + 5 * TASK_BYTES, TASK_BYTES, TASKS + 5 * TASK_BYTES, ALWAYS},
    STACK("s0", 0, INNER_STACK, ALWAYS),
    STACK("s1", 1, INNER_STACK, ALWAYS),
    STACK("s2", 2, INNER_STACK, ALWAYS),
    STACK("s3", 3, INNER_STACK, ALWAYS),
    STACK("p0", 0, START_STACK, ALWAYS),
    STACK("p1", 1, START_STACK, ALWAYS),
    STACK("p2", 2, START_STACK, ALWAYS),
    STACK("p3", 3, START_STACK, ALWAYS),
    STACK("t0", 0, TASK_STACK, WITH_TASKS),
    STACK("t1", 1, TASK_STACK, WITH_TASKS),
    STACK("t2", 2, TASK_STACK, WITH_TASKS),
    STACK("t3", 3, TASK_STACK, WITH_TASKS),
    {"d", DATA, 0x80, DATA, WITH_DATA},
    {"e", DATA + 0xF80, 0x100, DATA + PAGE, WITH_DATA},
    {"P", TABLES + PAGE + 0xC00, 0x80, TABLES + PAGE + 0xC00, WITH_TABLES},
    {"D", TABLES, 0x10, TABLES, WITH_TABLES},
    {"T", TABLES + 3 * PAGE, 0x10, TABLES + 3 * PAGE, WITH_TABLES},
    {"E", WIDE_DIRECTORY, 0x40, WIDE_DIRECTORY, WITH_TABLES},
    {"Q", WIDE_TEST_TABLE, 0x10, WIDE_TEST_TABLE, WITH_TABLES},
    {"v", V_STACK + START_STACK - BELOW, BELOW + ABOVE, V_STACK + START_STACK, WITH_LOW},
    {"w", V_DATA, 0x40, V_DATA, WITH_LOW},
};
enum { REGIONS = sizeof regions / sizeof regions[0] };

static u8 pristine[REGIONS][0x200], before[REGIONS][0x200];
static bool watched[5] = {true, true, true, true, true};
static const char* group_name;
static u32 group_thin, group_seed, group_state, group_cases;
static u32 emit_start = CODE, emit_at = CODE;
static const u32 first_register = 0x1A1A1A00;

void watch_more(bool tasks, bool data, bool tables) {
    watched[WITH_TASKS] = tasks;
    watched[WITH_DATA] = data;
    watched[WITH_TABLES] = tables;
}

void watch_low(bool low) { watched[WITH_LOW] = low; }

static bool is_watched(const struct region* region) { return watched[region->when]; }

void keep_pristine_arena(void) {
    for (u32 i = 0; i < REGIONS; i++) {
        copy_words(pristine[i], (void*)regions[i].address, regions[i].bytes);
    }
}

void reset_arena(void) {
    for (u32 i = 0; i < REGIONS; i++) {
        if (is_watched(&regions[i]) || regions[i].when == WITH_DATA) {
            copy_words((void*)regions[i].address, pristine[i], regions[i].bytes);
        }
    }
}

void fill_data(void) {
    for (u32 i = 0; i < 0x80; i++) {
        *(volatile u8*)(DATA + i) = (u8)i;
    }
    for (u32 i = 0xF80; i < 0x1080; i++) {
        *(volatile u8*)(DATA + i) = (u8)(i * 7);
    }
}

void group(const char* name, u32 thin) {
    group_name = name;
    group_thin = log_thin * thin;
    if (log_thin == 0) {
        group_thin = 1;
    }
    group_cases = 0;
    group_seed = 0x9E3779B9 * log_seed;
    for (const char* letter = name; *letter != '\0'; letter++) {
        group_seed = (group_seed ^ (u8)*letter) * 0x01000193;
    }
    log_text("# ");
    log_text(name);
    log_character('\n');
    log_flush();
}

u32 random_number(void) {
    group_state ^= group_state << 13;
    group_state ^= group_state >> 17;
    group_state ^= group_state << 5;
    return group_state;
}

/* Chosen by the case's number alone, so that a thin run is a part of the full
 * one. */
static bool is_chosen(void) {
    u32 mixed = ++group_cases * 0x9E3779B1;
    mixed ^= mixed >> 15;
    mixed *= 0x85EBCA77;
    mixed ^= mixed >> 13;
    group_state = (mixed ^ group_seed) | 1; /* a case draws the same numbers in a thin run */
    for (u32 i = 0; i < 4; i++) {
        random_number();
    }
    return mixed % group_thin == 0;
}

bool next_case(void) {
    if (!is_chosen()) {
        return false;
    }
    reset_arena();
    emit_from(CODE);
    start_task = selector(TASK_MAIN, 0);
    start_local = selector(LOCAL, 0);
    start_idt_limit = VECTORS * 8 - 1;
    start_gdt_limit = SLOTS * 8 - 1;
    start_cr0 = CR0_PE | CR0_MP | 0x10 | 0x20;
    start_cr3 = TABLES;
    start_cr4 = 0;
    start_dr[0] = start_dr[1] = start_dr[2] = start_dr[3] = start_dr6 = start_dr7 = 0;
    start_eax = first_register;
    start_ecx = first_register + 1;
    start_edx = first_register + 2;
    start_ebx = first_register + 3;
    start_ebp = first_register + 5;
    start_esi = first_register + 6;
    start_edi = first_register + 7;
    start_in_ring(0);
    return true;
}

void start_in_ring(u32 ring) {
    start_cs = code_of(ring);
    start_ss = data_of(ring);
    start_ds = start_es = start_fs = start_gs = data_of(3);
    start_esp = ring_page(ring) + START_STACK;
    start_eip = CODE;
    start_flags = FLAG_FIXED;
}

void start_in_ring16(u32 ring) {
    start_in_ring(ring);
    start_cs = selector(RING_CODE16 + ring, ring);
    start_ss = selector(RING_DATA16 + ring, ring);
    start_esp = START_STACK;
    start_eip = 0;
}

void emit(u32 count, const u8* bytes) {
    for (u32 i = 0; i < count; i++) {
        *(volatile u8*)emit_at++ = bytes[i];
    }
}
void emit16(u32 value) { emit(2, (const u8*)&value); }
void emit32(u32 value) { emit(4, (const u8*)&value); }
void emit_from(u32 address) {
    while (emit_at > emit_start) {
        *(volatile u8*)--emit_at = 0xCC;
    }
    emit_start = emit_at = address;
}

u32 emit_here(void) { return emit_at; }

void target_is_undefined_opcode(bool undefined) { *(volatile u32*)TARGET = undefined ? 0x0B0F0B0F : 0xCCCCCCCC; }

void use_debug_registers(bool matter) {
    debug_registers_matter = matter;
    reset_arena();
    for (u32 vector = 0; vector < VECTORS; vector++) {
        if (vector != 8) {
            const u32 access = (u32)(IDT_SLOT(vector) >> 40) & 0xFF;
            IDT_SLOT(vector) =
                gate(access, selector(KERNEL_CODE, 0), (u32)(matter ? debug_entries : vector_entries) + vector * 16, 0);
        }
    }
    for (u32 i = 0; i < REGIONS; i++) {
        if (regions[i].address == IDT) {
            copy_words(pristine[i], (void*)IDT, regions[i].bytes);
        }
    }
}

void note_debug_exceptions(void) {
    IDT_SLOT(1) = gate(PRESENT | INTERRUPT_GATE, selector(RING_CODE, 0), TARGET, 0);
    for (u32 i = 0; i < (u32)(noting_handler_end - noting_handler); i++) {
        ((volatile u8*)TARGET)[i] = noting_handler[i];
    }
    *(volatile u32*)(DATA + 0x7C) = DATA + 0xF80;
    for (u32 vector = 0; vector < 32; vector++) { /* a trap met at the handler of a fault: its address is in the log */
        if (vector != 1 && vector != 3 && vector != 8) {
            IDT_SLOT(vector) = gate(PRESENT | INTERRUPT_GATE, selector(RING_CODE, 0), TARGET + 0x100 + 16 * vector, 0);
        }
    }
}

static void load_table(u32 base, u16 limit, bool interrupts) {
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) table = {limit, base};
    if (interrupts) {
        __asm__ volatile("lidt %0" : : "m"(table));
    } else {
        __asm__ volatile("lgdt %0" : : "m"(table));
    }
}

void load_kernel_tables(void) {
    load_table(GDT, SLOTS * 8 - 1, false);
    load_table(IDT, VECTORS * 8 - 1, true);
    load_kernel_segments();
}

static void log_field(const char* name, u32 value, u32 expected) {
    if (value != expected) {
        log_character(' ');
        log_text(name);
        log_character('=');
        log_hexadecimal(value);
    }
}

static void log_registers(void) {
    if (end_vector == 8) {
        log_field("e", end_error, 0xFFFFFFFF);
    } else {
        log_text(" sp=");
        log_hexadecimal(end_ss);
        log_character(':');
        log_hexadecimal(end_esp);
        log_field("eax", end_eax, start_eax);
        log_field("ecx", end_ecx, start_ecx);
        log_field("edx", end_edx, start_edx);
        log_field("ebx", end_ebx, start_ebx);
        log_field("ebp", end_ebp, start_ebp);
        log_field("esi", end_esi, start_esi);
        log_field("edi", end_edi, start_edi);
        log_field("ds", end_ds, start_ds);
        log_field("es", end_es, start_es);
        log_field("fs", end_fs, start_fs);
        log_field("gs", end_gs, start_gs);
    }
    const u32 cleared = FLAG_T | FLAG_I | FLAG_NT | FLAG_RF | FLAG_VM;
    log_field("f", end_flags, end_vector == 8 ? FLAG_FIXED : start_flags & ~cleared);
    log_field("cr0", read_cr0(), start_cr0);
    log_field("cr2", read_cr2(), 0);
    log_field("cr3", read_cr3(), start_cr3);
    log_field("tr", read_tr(), end_vector == 8 ? selector(TASK_FAULT, 0) : start_task);
    log_field("ldt", read_ldtr(), start_local);
    if (debug_registers_matter) {
        log_field("d0", end_dr[0], start_dr[0]);
        log_field("d1", end_dr[1], start_dr[1]);
        log_field("d2", end_dr[2], start_dr[2]);
        log_field("d3", end_dr[3], start_dr[3]);
        log_field("d6", end_dr6, 0xFFFF0FF0);
        log_field("d7", end_dr7, start_dr7 | 0x400);
    }
}

static void log_change(const struct region* region, u32 index, u32 previous, u32 value) {
    if (index != previous + 1 || index == 0) {
        const int32_t offset = (int32_t)(region->address + index * 4 - region->zero);
        log_character(' ');
        log_text(region->name);
        log_character(offset < 0 ? '-' : '+');
        log_hexadecimal((u32)(offset < 0 ? -offset : offset));
        log_character('=');
    } else {
        log_character(',');
    }
    log_hexadecimal(value);
}

static void log_memory(void) {
    for (u32 i = 0; i < REGIONS; i++) {
        const struct region* region = &regions[i];
        if (!is_watched(region)) {
            continue;
        }
        const u32 count = region->bytes / 4;
        const u32* now = (const u32*)region->address;
        u32 previous = 0xFFFFFFF0;
        for (u32 at = first_difference(now, (u32*)before[i], 0, count); at < count;
             at = first_difference(now, (u32*)before[i], at + 1, count)) {
            log_change(region, at, previous, now[at]);
            previous = at;
        }
    }
}

static void restore_machine(void) {
    load_table(GDT, SLOTS * 8 - 1, false);
    load_table(IDT, VECTORS * 8 - 1, true);
}

void run_case(u32 count, const u32* key) {
    load_table(IDT, start_idt_limit, true);
    load_table(GDT, start_gdt_limit, false);
    __asm__ volatile("lldt %0" : : "r"(start_local));
    __asm__ volatile("ltr %0" : : "r"(start_task));
    for (u32 i = 0; i < REGIONS; i++) {
        if (is_watched(&regions[i])) {
            copy_words(before[i], (void*)regions[i].address, regions[i].bytes);
        }
    }
    const u32 old_cr0 = read_cr0(), old_cr4 = read_cr4();
    write_cr2(0);
    end_flags = end_error = 0;
    if (start_cr4 != old_cr4) {
        write_cr4(start_cr4);
    }
    if (start_cr0 != old_cr0 || (start_cr0 & CR0_PG) != 0) {
        write_cr3(start_cr3);
        write_cr0(start_cr0);
    } else if (read_cr3() != start_cr3) {
        write_cr3(start_cr3);
    }
    enter_case();
    for (u32 i = 0; i < count; i++) {
        if (i != 0) {
            log_character('.');
        }
        log_hexadecimal(key[i]);
    }
    log_text(" v=");
    log_hexadecimal(end_vector);
    log_registers();
    write_cr0(CR0_PE | CR0_MP | 0x30);
    log_memory();
    log_character('\n');
    log_flush();
    restore_machine();
}
