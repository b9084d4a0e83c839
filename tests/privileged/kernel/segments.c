#include "case.h"

/* What is loaded into segment registers, LDTR and TR, and what may be done through it; the instructions of ring 0. */

enum segment_register { ES, CS, SS, DS, FS, GS };
static const u8 loadable[] = {ES, SS, DS, FS, GS};
enum { LOADABLE = 5 };
enum form { MOVE, POP, LOAD_POINTER, FORMS };

static void emit_value(u32 value) {
    EMIT(0xB8); /* MOV EAX, value */
    emit32(value);
}

static void emit_load(enum segment_register target, enum form form, u16 value) {
    static const u8 pops[] = {0x07, 0, 0x17, 0x1F, 0xA1, 0xA9};
    static const u8 pointers[] = {0xC4, 0, 0xB2, 0xC5, 0xB4, 0xB5};
    if (form == MOVE) {
        emit_value(value);
        EMIT(0x8E, (u8)(0xC0 | target << 3)); /* MOV segment, AX */
        return;
    }
    if (form == POP) {
        EMIT(0x68); /* PUSH value */
        emit32(value);
        if (target >= FS) {
            EMIT(0x0F);
        }
        EMIT(pops[target]);
        return;
    }
    if (target != ES && target != DS) {
        EMIT(0x0F);
    }
    EMIT(pointers[target], target == SS ? 0x25 : 0x05); /* LSS ESP, LxS EAX, [DATA] */
    emit32(DATA);
    *(u32*)DATA = target == SS ? start_esp : 0x87654321;
    *(u16*)(DATA + 4) = value;
}

static void loads(void) {
    group("seg.load", 8);
    for (u32 which = 0; which < LOADABLE; which++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 rpl = 0; rpl < 4; rpl++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 form = random_number() % FORMS;
                    start_in_ring(ring);
                    GDT_SLOT(TEST) = any_descriptor(access);
                    emit_load(loadable[which], form, selector(TEST, rpl));
                    RUN(loadable[which], access, ring, rpl, form);
                }
            }
        }
    }
}

static const u16 odd[] = {0, 1, 2, 3, SLOTS * 8, SLOTS * 8 + 3, (SLOTS - 1) * 8, 0xFFFF, 0xFFF8, LOCAL_SLOTS * 8 + 4,
                          /* the LDT's code and data, with several RPL */
                          4, 7, 12 + 1, 20 + 2, 28 + 3, 36, 36 + 3, 44 + 1, 52 + 2, 60 + 3};
enum { ODD_SELECTORS = sizeof odd / 2 };

static void odd_loads(void) {
    group("seg.odd", 1);
    for (u32 which = 0; which < LOADABLE; which++) {
        for (u32 form = 0; form < FORMS; form++) {
            for (u32 value = 0; value < ODD_SELECTORS; value++) {
                for (u32 ring = 0; ring < 4; ring++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    emit_load(loadable[which], form, odd[value]);
                    RUN(loadable[which], form, value, ring);
                }
            }
        }
    }
}

/* LLDT and LTR with each sixth byte, from the register and from memory, and with odd selectors. */
static void emit_system_load(u32 field, bool from_memory, u16 value) {
    emit_value(value);
    if (from_memory) {
        *(u16*)DATA = value;
        EMIT(0x0F, 0x00, (u8)(0x05 | field << 3));
        emit32(DATA);
    } else {
        EMIT(0x0F, 0x00, (u8)(0xC0 | field << 3));
    }
}
enum { LLDT = 2, LTR = 3 };

static void system_loads(void) {
    group("seg.system", 1);
    for (u32 field = LLDT; field <= LTR; field++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 rpl = 0; rpl < 4; rpl += 3) {
                if (!next_case()) {
                    continue;
                }
                GDT_SLOT(TEST) = any_descriptor(access);
                emit_system_load(field, random_number() & 1, selector(TEST, rpl));
                RUN(field, access, rpl);
            }
        }
    }
    group("seg.odd_system", 1);
    for (u32 field = LLDT; field <= LTR; field++) {
        for (u32 value = 0; value < ODD_SELECTORS; value++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                emit_system_load(field, value & 1, odd[value]);
                RUN(field, value, ring);
            }
        }
    }
}

/* The tables end within, before or behind the descriptor. */
static void table_limits(void) {
    group("seg.table_limit", 1);
    for (u32 local = 0; local < 2; local++) {
        for (u32 which = 0; which < LOADABLE; which++) {
            for (u32 bytes = 0; bytes <= 9; bytes++) {
                if (!next_case()) {
                    continue;
                }
                const u32 slot = local ? LOCAL_DATA : TEST;
                const u16 limit = (u16)(slot * 8 + bytes - 1);
                if (local) {
                    GDT_SLOT(LOCAL) = segment(LDT, limit, 0x82, 0);
                } else {
                    GDT_SLOT(TEST) = segment(0, 0xFFFFF, 0x92, GRANULAR | BIG);
                    start_gdt_limit = limit;
                }
                emit_load(loadable[which], MOVE, local ? local_selector(slot, 0) : selector(slot, 0));
                RUN(local, loadable[which], bytes);
            }
        }
    }
    group("seg.no_ldt", 1);
    for (u32 null = 0; null < 4; null++) {
        for (u32 which = 0; which < LOADABLE; which++) {
            if (!next_case()) {
                continue;
            }
            start_local = (u16)null;
            emit_load(loadable[which], MOVE, local_selector(LOCAL_DATA, 0));
            RUN(null, loadable[which]);
        }
    }
}

/* Reads, writes, and both at once through each segment register that holds a segment of each type, or nothing. */
static void emit_use(enum segment_register target, u32 how) {
    static const u8 prefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    EMIT(prefixes[target]);
    if (how == 0) {
        EMIT(0x8B, 0x0D); /* MOV ECX, [DATA] */
    } else if (how == 1) {
        EMIT(0x89, 0x0D); /* MOV [DATA], ECX */
    } else {
        EMIT(0x01, 0x0D); /* ADD [DATA], ECX */
    }
    emit32(DATA);
}

static void uses(void) {
    group("seg.use", 1);
    watch_more(false, true, false);
    for (u32 which = 0; which < LOADABLE; which++) {
        for (u32 type = 0; type < 17; type++) {
            for (u32 how = 0; how < 3; how++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (loadable[which] == SS && ((type & 10) != 2 || type == 16)) {
                        continue;
                    }
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    GDT_SLOT(TEST) = any_descriptor(0x90 | ring << 5 | (type & 15));
                    emit_load(loadable[which], MOVE, type == 16 ? 2 : selector(TEST, ring));
                    emit_use(loadable[which], how);
                    RUN(loadable[which], type, how, ring);
                }
            }
        }
    }
    for (u32 type = 8; type < 16; type++) {
        for (u32 how = 0; how < 3; how++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                GDT_SLOT(TEST) = any_descriptor(0x90 | ring << 5 | type);
                start_cs = selector(TEST, ring);
                emit_use(CS, how);
                RUN(CS, type, how, ring);
            }
        }
    }
    watch_more(false, false, false);
}

/* A data segment of an inner ring or a code segment stays usable until a return drops it (topic returns); STR, SLDT and
 * moves from segment registers store 16 or 32 bits. */
static void stores(void) {
    group("seg.store", 1);
    watch_more(false, true, false);
    for (u32 form = 0; form < 8; form++) {
        for (u32 narrow = 0; narrow < 2; narrow++) {
            for (u32 to_memory = 0; to_memory < 2; to_memory++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    start_ecx = 0xCCCCCCCC;
                    if (narrow) {
                        EMIT(0x66);
                    }
                    if (form < 6) {
                        EMIT(0x8C);
                    } else {
                        EMIT(0x0F, 0x00);
                    }
                    EMIT((u8)((to_memory ? 0x05 : 0xC1) | (form & (form < 6 ? 7 : 1)) << 3));
                    if (to_memory) {
                        emit32(DATA);
                    }
                    RUN(form, narrow, to_memory, ring);
                }
            }
        }
    }
    for (u32 form = 0; form < 6; form++) {
        for (u32 kind = 0; kind < 4; kind++) {
            static const u8 pushes[][2] = {{0x06}, {0x0E}, {0x16}, {0x1E}, {0x0F, 0xA0}, {0x0F, 0xA8}};
            if (!next_case()) {
                continue;
            }
            (kind & 2 ? start_in_ring16 : start_in_ring)(3);
            if (kind & 1) {
                EMIT(0x66);
            }
            emit(form < 4 ? 1 : 2, pushes[form]);
            RUN(form, kind, 2);
        }
    }
    watch_more(false, false, false);
}

/* Instructions that ring 0, IOPL, CR4 or nothing keeps from a program. */
static const u8 guarded[][12] = {
    {1, 0xF4},                                           /* HLT */
    {2, 0x0F, 0x06},                                     /* CLTS */
    {1, 0xFA},                                           /* CLI */
    {7, 0x0F, 0x01, 0x15, 0x40, 0xA0, 0x30, 0x00},       /* LGDT [DATA + 40h] */
    {7, 0x0F, 0x01, 0x1D, 0x48, 0xA0, 0x30, 0x00},       /* LIDT [DATA + 48h] */
    {7, 0x0F, 0x01, 0x05, 0x00, 0xA0, 0x30, 0x00},       /* SGDT [DATA] */
    {7, 0x0F, 0x01, 0x0D, 0x08, 0xA0, 0x30, 0x00},       /* SIDT [DATA + 8] */
    {8, 0x66, 0x0F, 0x01, 0x05, 0x00, 0xA0, 0x30, 0x00}, /* SGDT, 16 bits */
    {3, 0x0F, 0x01, 0xE1},                               /* SMSW ECX */
    {4, 0x66, 0x0F, 0x01, 0xE1},                         /* SMSW CX */
    {3, 0x0F, 0x01, 0xF1},                               /* LMSW CX */
    {7, 0x0F, 0x01, 0x3D, 0x00, 0xA0, 0x30, 0x00},       /* INVLPG */
    {2, 0x0F, 0x08},                                     /* INVD */
    {2, 0x0F, 0x09},                                     /* WBINVD */
    {3, 0x0F, 0x20, 0xC1},                               /* MOV ECX, CR0 */
    {3, 0x0F, 0x22, 0xD1},                               /* MOV CR2, ECX */
    {3, 0x0F, 0x20, 0xC9},                               /* MOV ECX, CR1: #UD */
    {3, 0x0F, 0x22, 0xC9},                               /* MOV CR1, ECX */
    {3, 0x0F, 0x20, 0xD9},                               /* MOV ECX, CR3 */
    {3, 0x0F, 0x22, 0xE1},                               /* MOV CR4, ECX: reserved bits */
    {3, 0x0F, 0x20, 0xE9},                               /* MOV ECX, CR5 */
    {3, 0x0F, 0x20, 0xE1},                               /* MOV ECX, CR4 */
    {3, 0x0F, 0x21, 0xF9},                               /* MOV ECX, DR7 */
    {3, 0x0F, 0x23, 0xD9},                               /* MOV DR3, ECX */
    {2, 0x0F, 0x32},                                     /* RDMSR */
    {2, 0x0F, 0x30},                                     /* WRMSR */
    {2, 0xE4, 0xE0},                                     /* IN AL, E0h: nothing is there */
    {2, 0xE6, 0xE0},                                     /* OUT E0h, AL */
    {1, 0x6E},                                           /* OUTSB */
    {3, 0x0F, 0x00, 0xC1},                               /* SLDT ECX */
    {3, 0x0F, 0x00, 0xD1},                               /* LLDT CX */
    {3, 0x0F, 0x00, 0xD9},                               /* LTR CX */
    {3, 0xF0, 0x0F, 0x06},                               /* LOCK CLTS: #UD */
    {2, 0x9D, 0x9C},                                     /* POPF, PUSHF */
    {4, 0x66, 0x9D, 0x66, 0x9C},                         /* the same of 16 bits */
    {3, 0x0F, 0x01, 0xD1},                               /* LGDT of a register: #UD */
    {3, 0x0F, 0x01, 0xF9},                               /* INVLPG of a register: #UD */
    {2, 0x8E, 0xC9},                                     /* MOV CS, CX: #UD */
    {2, 0x8E, 0xF1},                                     /* MOV to a segment register that is not there: #UD */
    {2, 0x0F, 0x00},                                     /* field 0 of CCh: STR of memory */
};
enum { SET_CR4 = 19, GUARDED = sizeof guarded / sizeof guarded[0] };

static void guarded_instructions(void) {
    group("seg.privileged", 1);
    watch_more(false, true, false);
    for (u32 which = 0; which < GUARDED; which++) {
        for (u32 ring = 0; ring < 4; ring++) {
            for (u32 privilege = 0; privilege < 4; privilege++) {
                if ((which == 0 && ring == 0) || !next_case() || (peer_is_qemu && which == SET_CR4 && ring == 0)) {
                    continue;
                }
                start_in_ring(ring);
                start_flags |= privilege << 12;
                start_ecx = which == 15 ? 0x1234 : 0x80000000;
                start_esi = DATA;
                start_cr0 |= CR0_TS;
                *(u32*)(DATA + 0x40) = (u32)(SLOTS * 8 - 1) | (u32)GDT << 16; /* the tables as they are */
                *(u32*)(DATA + 0x44) = GDT >> 16;
                *(u32*)(DATA + 0x48) = (u32)(VECTORS * 8 - 1) | (u32)IDT << 16;
                *(u32*)(DATA + 0x4C) = IDT >> 16;
                *(u32*)start_esp = 0x247FD5 & ~(FLAG_T | FLAG_NT);
                emit(guarded[which][0], guarded[which] + 1);
                EMIT(0xCC);
                RUN(which, ring, privilege);
            }
        }
    }
    watch_more(false, false, false);
}

/* CR0 and CR4: what cannot be, and LMSW, which cannot clear PE. */
static void control_registers(void) {
    group("seg.control", 1);
    static const u32 values[] = {0,          0x10,       0x33,        0x80000000, 0x20000033, 0x60000033,
                                 0x40000033, 0xA0000032, 0x33 | 0x2A, 0x10000033, 0x50033,    0x7FFFFFFF};
    for (u32 which = 0; which < sizeof values / 4; which++) {
        for (u32 how = 0; how < 2; how++) {
            if ((how == 0 && (values[which] & 0x80000001) != 1 && (values[which] & 0x80000001) != 0x80000000) ||
                !next_case() || (peer_is_qemu && how == 0 && which >= 3)) {
                continue;
            }
            emit_value(values[which]);
            if (how == 0) {
                EMIT(0x0F, 0x22, 0xC0);
            } else {
                EMIT(0x0F, 0x01, 0xF0);
            }
            EMIT(0x0F, 0x20, 0xC1); /* MOV ECX, CR0 */
            RUN(which, how);
        }
    }
}

void segment_cases(void) {
    watch_more(false, false, false);
    loads();
    odd_loads();
    system_loads();
    table_limits();
    uses();
    stores();
    guarded_instructions();
    control_registers();
}
