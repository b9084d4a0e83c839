#include "case.h"
#include "memory.h"

/* Paging against rings: every state of the entries that lead to a page, each kind of access, each mode. */

enum { LINEAR = 0x800000, FRAME = TARGET, HOLE = 0x800 };
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
enum { OPEN = P | W | U | A | D };
enum { CR4_PSE = 0x10, CR4_PAE = 0x20, CR4_PGE = 0x80 };
enum { DIRECTORY = TABLES, TEST_TABLE = TABLES + 3 * PAGE };
enum access { READ, WRITE, FETCH, ACCESSES };

static const u64 no_execute = 1ull << 63, reserved = 1ull << 52;

void build_page_tables(void) {
    fill_words((void*)DIRECTORY, 0, PAGE);
    fill_words((void*)TEST_TABLE, 0, PAGE);
    fill_words((void*)POINTERS, 0, 2 * PAGE);
    fill_words((void*)WIDE_TEST_TABLE, 0, PAGE);
    *(u32*)DIRECTORY = (TABLES + PAGE) | OPEN;
    for (u32 i = 0; i < 1024; i++) {
        ((u32*)(TABLES + PAGE))[i] = i * PAGE | OPEN;
        ((u64*)WIDE_TABLES)[i] = i * PAGE | OPEN;
    }
    *(u64*)POINTERS = WIDE_DIRECTORY | P;
    ((u64*)WIDE_DIRECTORY)[0] = WIDE_TABLES | OPEN;
    ((u64*)WIDE_DIRECTORY)[1] = (WIDE_TABLES + PAGE) | OPEN;
    fill_words((void*)(LINEAR + HOLE), 0xCCCCCCCC, 64); /* the large page that a case sees at LINEAR */
}

static void turn_paging_on(bool wide, u32 cr4, bool write_protect) {
    start_cr0 |= CR0_PG | (write_protect ? CR0_WP : 0);
    start_cr3 = wide ? POINTERS : DIRECTORY;
    start_cr4 = cr4 | (wide ? CR4_PAE : 0);
    WIDE(TASK_FAULT)->cr3 = start_cr3;
}

/* INT3 lies wherever the access leads; a write leaves it there. */
static void emit_access(enum access access, u32 address) {
    start_eax = 0xCCCCCCCC;
    switch (access) {
    case READ:
        start_eax = 0;
        EMIT(0xA1); /* MOV EAX, [address] */
        emit32(address);
        break;
    case WRITE:
        EMIT(0xA3); /* MOV [address], EAX */
        emit32(address);
        break;
    default:
        EMIT(0xE9); /* JMP */
        emit32(address - (emit_here() + 4));
        break;
    }
}

/* Ring 3, or one of the three that are the supervisor's. */
static u32 choose_ring(bool user) { return user ? 3 : random_number() % 3; }

static u32 entry_bits(u32 bits) {
    return (bits & 1 ? P : 0) | (bits & 2 ? W : 0) | (bits & 4 ? U : 0) | (bits & 8 ? A : 0) | (bits & 16 ? D : 0) |
           (bits & 32 ? PS : 0) | (bits & 64 ? G : 0);
}
static u64 wide_bits(u32 bits) {
    return entry_bits(bits & 0x7F) | (bits & 0x80 ? no_execute : 0) | (bits & 0x100 ? reserved : 0);
}
/* The bits that lie side by side in `packed`, spread to the places that `mask` names. */
static u32 spread(u32 packed, u32 mask) {
    u32 bits = 0;
    for (u32 place = 1; place <= mask; place <<= 1) {
        if ((mask & place) != 0) {
            bits |= packed & 1 ? place : 0;
            packed >>= 1;
        }
    }
    return bits;
}

static void two_levels(void) {
    group("page.table", 1);
    for (u32 directory = 0; directory < 16; directory++) {
        for (u32 table = 0; table < 32; table++) {
            for (u32 access = 0; access < ACCESSES; access++) {
                for (u32 mix = 0; mix < 4; mix++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(choose_ring(mix & 1));
                    turn_paging_on(false, 0, mix & 2);
                    ((u32*)DIRECTORY)[2] = TEST_TABLE | entry_bits(directory);
                    *(u32*)TEST_TABLE = FRAME | entry_bits(table);
                    emit_access(access, LINEAR + HOLE);
                    RUN(directory, table, access, mix);
                }
            }
        }
    }
}

/* Large pages; without PSE the bit means nothing. */
static void large_pages(void) {
    group("page.large", 1);
    for (u32 directory = 0; directory < 128; directory++) {
        for (u32 access = 0; access < ACCESSES; access++) {
            for (u32 mix = 0; mix < 16; mix++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(choose_ring(mix & 1));
                turn_paging_on(false, (mix & 4 ? CR4_PSE : 0) | (mix & 8 ? CR4_PGE : 0), mix & 2);
                const bool is_large = (mix & 4) != 0 && (directory & 32) != 0;
                ((u32*)DIRECTORY)[2] = (is_large ? LINEAR : TEST_TABLE) | entry_bits(directory);
                *(u32*)TEST_TABLE = FRAME | OPEN;
                emit_access(access, LINEAR + HOLE);
                RUN(directory, access, mix);
            }
        }
    }
    group("page.large_reserved", 1);
    for (u32 bit = 12; bit < 22; bit++) {
        for (u32 access = 0; access < ACCESSES; access++) {
            for (u32 mix = 0; mix < 4; mix++) {
                /* bits 13 to 20 are the address's; there is no memory */
                if ((bit > 12 && bit < 21 && (mix & 1) != 0) || !next_case()) {
                    continue;
                }
                start_in_ring(choose_ring(mix & 2));
                turn_paging_on(false, CR4_PSE, false);
                ((u32*)DIRECTORY)[2] = LINEAR | 1u << bit | (OPEN & ~(mix & 1 ? 0u : (u32)P)) | PS;
                emit_access(access, LINEAR + HOLE);
                RUN(bit, access, mix);
            }
        }
    }
}

static void three_levels(void) {
    group("page.pae", 16);
    for (u32 directory = 0; directory < 64; directory++) {
        for (u32 table = 0; table < 128; table++) {
            for (u32 access = 0; access < ACCESSES; access++) {
                for (u32 mix = 0; mix < 4; mix++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(choose_ring(mix & 1));
                    turn_paging_on(true, 0, mix & 2);
                    ((u64*)WIDE_DIRECTORY)[4] = WIDE_TEST_TABLE | wide_bits(spread(directory, 0x18F));
                    *(u64*)WIDE_TEST_TABLE = FRAME | wide_bits(spread(table, 0x19F));
                    emit_access(access, LINEAR + HOLE);
                    RUN(directory, table, access, mix);
                }
            }
        }
    }
}

static void wide_large_pages(void) {
    group("page.pae_large", 1);
    for (u32 directory = 0; directory < 256; directory++) {
        for (u32 access = 0; access < ACCESSES; access++) {
            for (u32 mix = 0; mix < 8; mix++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(choose_ring(mix & 1));
                turn_paging_on(true, mix & 4 ? CR4_PGE : 0, mix & 2);
                ((u64*)WIDE_DIRECTORY)[4] = LINEAR | PS | wide_bits(spread(directory, 0x1DF));
                emit_access(access, LINEAR + HOLE);
                RUN(directory, access, mix);
            }
        }
    }
    group("page.pae_reserved", 1);
    for (u32 bit = 9; bit < 64; bit++) {
        for (u32 where = 0; where < 3; where++) { /* the large page's entry, the table's, the page's */
            for (u32 access = 0; access < ACCESSES; access++) {
                const bool is_address = (where == 0 && bit >= 21 && bit < 36) || (where != 0 && bit >= 12 && bit < 36);
                if (is_address || !next_case()) {
                    continue;
                }
                start_in_ring(choose_ring(access & 1));
                turn_paging_on(true, 0, false);
                const u64 mark = 1ull << bit;
                ((u64*)WIDE_DIRECTORY)[4] =
                    OPEN | (where == 0 ? LINEAR | PS | mark : WIDE_TEST_TABLE | (where == 1 ? mark : 0));
                *(u64*)WIDE_TEST_TABLE = FRAME | OPEN | (where == 2 ? mark : 0);
                emit_access(access, LINEAR + HOLE);
                RUN(bit, where, access);
            }
        }
    }
}

/* The four pointers are loaded with CR3, and checked there. */
static void pointers(void) {
    group("page.pointer", 1);
    for (u32 bit = 0; bit < 64; bit++) {
        for (u32 present = 0; present < 2; present++) {
            for (u32 slot = 2; slot < 4; slot++) {
                if ((bit >= 12 && bit < 36) || !next_case()) {
                    continue;
                }
                turn_paging_on(true, 0, false);
                u64* copy = (u64*)(POINTERS + 0x20);
                copy[0] = *(u64*)POINTERS;
                copy[1] = copy[2] = copy[3] = 0;
                copy[slot] = (1ull << bit ^ present) | (bit != 0 || present ? WIDE_DIRECTORY : 0);
                EMIT(0x0F, 0x22, 0xD8); /* MOV CR3, EAX */
                emit_access(READ, slot << 30 | 0x308000);
                start_eax = POINTERS + 0x20;
                RUN(bit, present, slot);
            }
        }
    }
}

/* Accesses that read, change and write: the error code says write. */
static void updates(void) {
    group("page.update", 1);
    static const u8 forms[][4] = {{1, 0x01},             /* ADD [], EAX */
                                  {1, 0x87},             /* XCHG [], EAX */
                                  {2, 0x0F, 0xB1},       /* CMPXCHG [], EAX */
                                  {3, 0xF0, 0x0F, 0xC1}, /* LOCK XADD [], EAX */
                                  {1, 0x39},             /* CMP [], EAX: reads */
                                  {2, 0x0F, 0xA3},       /* BT [], EAX: reads */
                                  {2, 0x0F, 0xAB},       /* BTS [], EAX */
                                  {1, 0xD1},             /* ROL [], 1 */
                                  {2, 0x0F, 0xC7}};      /* CMPXCHG8B [] */
    for (u32 form = 0; form < sizeof forms / 4; form++) {
        for (u32 table = 0; table < 8; table++) {
            for (u32 mix = 0; mix < 4; mix++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(choose_ring(mix & 1));
                turn_paging_on(false, 0, mix & 2);
                ((u32*)DIRECTORY)[2] = TEST_TABLE | OPEN;
                *(u32*)TEST_TABLE = FRAME | entry_bits(table);
                *(u64*)(FRAME + HOLE) = 0xCCCCCCCCCCCCCCCC;
                start_eax = 0;
                emit(forms[form][0], forms[form] + 1);
                EMIT(form == 8 ? 0x0D : 0x05);
                emit32(LINEAR + HOLE);
                RUN(form, table, mix);
                *(u64*)(FRAME + HOLE) = 0xCCCCCCCCCCCCCCCC;
            }
        }
    }
}

/* Accesses across the end of a page: which page is the fault's, and what the other's bits become. */
static void crossings(void) {
    group("page.cross", 1);
    for (u32 first = 0; first < 8; first++) {
        for (u32 second = 0; second < 8; second++) {
            for (u32 access = 0; access < ACCESSES; access++) {
                for (u32 user = 0; user < 2; user++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(choose_ring(user));
                    turn_paging_on(false, 0, true);
                    ((u32*)DIRECTORY)[2] = TEST_TABLE | OPEN;
                    ((u32*)TEST_TABLE)[0] = DATA | entry_bits(first);
                    ((u32*)TEST_TABLE)[1] = (DATA + PAGE) | entry_bits(second);
                    /* MOV ECX, immediate lies across the end */
                    *(volatile u8*)(DATA + PAGE - 2) = access == FETCH ? 0xB9 : 0xCC;
                    emit_access(access, LINEAR + PAGE - 2);
                    RUN(first, second, access, user);
                }
            }
        }
    }
    *(volatile u8*)(DATA + PAGE - 2) = 0xCC;
}

/* A task segment that ends with its page; the I/O permission bits begin the next one. */
enum { EDGE_TASK = TEST + 8 };
static void build_edge_task(void) {
    struct wide_task* task = (struct wide_task*)(BITMAP + PAGE - sizeof(struct wide_task));
    *task = *WIDE(TASK_WIDE);
    fill_words((void*)(BITMAP + PAGE), 0, 0x20);
    GDT_SLOT(EDGE_TASK) = segment((u32)task, sizeof *task + 0x20, 0xE9, 0);
}

/* The processor's own reads and writes are supervisor accesses, also from ring 3. */
static void set_page(u32 address, u32 bits) { ((u32*)(TABLES + PAGE))[address / PAGE] = address | A | D | bits; }

/* Writes one of them, from ring 3 if `outer`; returns the page that it touches. */
static u32 emit_implicit(u32 what, bool outer) {
    u32 page = LDT;
    switch (what) {
    case 0: /* a descriptor's accessed bit is set already */
        EMIT(0xB8);
        emit32(local_selector(LOCAL_DATA + 3, 3));
        EMIT(0x8E, 0xD8);
        break;
    case 1: /* it is not */
        LDT_SLOT(LOCAL_DATA + 3) = segment(0, 0xFFFFF, 0xF2, GRANULAR | BIG);
        EMIT(0xB8);
        emit32(local_selector(LOCAL_DATA + 3, 3));
        EMIT(0x8E, 0xD8);
        break;
    case 2: /* LAR */
        EMIT(0xB8);
        emit32(local_selector(LOCAL_DATA + 3, 3));
        EMIT(0x0F, 0x02, 0xC8);
        break;
    case 3: /* a far JMP through the LDT */
        EMIT(0xEA);
        emit32(TARGET);
        emit16(local_selector(LOCAL_CODE + (outer ? 3 : 0), 3));
        break;
    case 4: /* a gate of the IDT to ring 1's code and its stack */
        page = RINGS + PAGE;
        IDT_SLOT(0x30) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE + (outer), 0), TARGET, 0);
        EMIT(0xCD, 0x30);
        break;
    case 5: /* a call gate with parameters from the outer stack */
        page = RINGS + 3 * PAGE;
        GDT_SLOT(TEST) = gate(PRESENT | 0x60 | CALL_GATE, selector(RING_CODE, 0), TARGET, 2);
        EMIT(0x9A);
        emit32(0);
        emit16(selector(TEST, 3));
        break;
    case 6: /* ring 0's stack: a double fault */
        page = RINGS;
        EMIT(0xCD, 0x30);
        break;
    case 7: /* I/O permission bits */
        page = BITMAP + PAGE;
        build_edge_task();
        start_task = selector(EDGE_TASK, 0);
        EMIT(0xE4, 0xE0);
        break;
    default: /* another task's segment */
        page = BITMAP;
        build_edge_task();
        EMIT(0xEA);
        emit32(0);
        emit16(selector(EDGE_TASK, 3));
        break;
    }
    return page;
}

static void implicit_accesses(void) {
    group("page.implicit", 1);
    for (u32 what = 0; what < 9; what++) {
        for (u32 table = 0; table < 8; table++) {
            for (u32 mix = 0; mix < 4; mix++) {
                if (!next_case()) {
                    continue;
                }
                const u32 bits = entry_bits(table);
                start_in_ring(mix & 1 ? 3 : 0);
                turn_paging_on(false, 0, mix & 2);
                const u32 page = emit_implicit(what, mix & 1);
                set_page(page, bits);
                RUN(what, table, mix);
                set_page(page, OPEN);
            }
        }
    }
}

static bool has_pae(void) {
    u32 leaf = 1, features;
    __asm__ volatile("cpuid" : "+a"(leaf), "=d"(features) : : "ebx", "ecx");
    return (features & 0x40) != 0;
}

void paging_cases(void) {
    watch_more(false, false, true);
    two_levels();
    large_pages();
    updates();
    crossings();
    implicit_accesses();
    if (has_pae()) {
        build_page_tables(); /* cases before this one have written over those that they did not use */
        three_levels();
        wide_large_pages();
        if (!peer_is_qemu) { /* checks nothing as CR3 is loaded, and is lost */
            pointers();
        }
    }
    watch_more(false, false, false);
}
