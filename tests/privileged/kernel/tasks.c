#include "case.h"

/* Task switches: by JMP, CALL, task gates, interrupts, exceptions and IRET, between segments of 32 and 16 bits; what
 * the descriptor, the new task's registers and flags may be; nesting; error codes; the T bit. */

enum way { JUMP, CALL, JUMP_GATE, CALL_GATE_OF_TASK, INTERRUPT, EXCEPTION, RETURN, WAYS };
enum { VECTOR = 0x30, ALL_RIGHTS = PRESENT | 0x60 };

/* The gate's access byte where the way leads through one. */
static u32 gate_access;
static bool gate_is_local;
static u32 gate_rpl, target_rpl;

static bool starts_in_16_bits(void) { return start_cs >= selector(RING_CODE16, 0) && start_cs < selector(TEST, 0); }

static void emit_far(bool call, u16 target) {
    if (starts_in_16_bits()) {
        EMIT(0x66);
    }
    EMIT(call ? 0x9A : 0xEA);
    emit32(TARGET);
    emit16(target);
}

/* Writes the instruction that switches to `target`; the ring has been chosen. */
static void emit_switch(enum way way, u16 target, u32 ring) {
    const u64 the_gate = gate(gate_access | TASK_GATE, target, 0xDEAD, 0);
    switch (way) {
    case JUMP:
    case CALL:
        emit_far(way == CALL, target);
        break;
    case JUMP_GATE:
    case CALL_GATE_OF_TASK:
        *(gate_is_local ? &LDT_SLOT(LOCAL_TEST) : &GDT_SLOT(TEST + 15)) = the_gate;
        emit_far(way == CALL_GATE_OF_TASK,
                 gate_is_local ? local_selector(LOCAL_TEST, gate_rpl) : selector(TEST + 15, gate_rpl));
        break;
    case INTERRUPT:
        IDT_SLOT(VECTOR) = the_gate;
        emit_cause(BY_INT, ring);
        break;
    case EXCEPTION:
        IDT_SLOT(13) = the_gate;
        emit_cause(BY_SEGMENT, ring);
        break;
    default:
        start_flags |= FLAG_NT;
        if (start_task == selector(TASK_MAIN, 0)) {
            WIDE(TASK_MAIN)->link = target;
        } else {
            NARROW(TASK_NARROW_2)->link = target;
        }
        EMIT(0xCF);
        break;
    }
}

/* Each slot for tasks is available; IRET wants its target busy. */
static void make_busy(u32 slot) { GDT_SLOT(slot) |= 2ull << 40; }

/* Begins a case that goes from a segment of one width to one of the other; returns the new task's slot. */
static u32 begin(enum way way, u32 ring, bool from_narrow, bool to_narrow) {
    gate_access = ALL_RIGHTS;
    gate_is_local = false;
    gate_rpl = 3;
    start_in_ring(ring);
    start_task = selector(from_narrow ? TASK_NARROW_2 : TASK_MAIN, 0);
    const u32 slot = to_narrow ? TASK_NARROW : TASK_WIDE;
    if (ring != 0) {
        GDT_SLOT(slot) |= 3ull << 45;
    }
    if (way == RETURN) {
        make_busy(slot);
    }
    return slot;
}

static void kinds(void) {
    group("task.kind", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 widths = 0; widths < 4; widths++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 flags = 0; flags < 3; flags++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 slot = begin(way, ring, widths & 1, widths & 2);
                    static const u32 old_flags[] = {0, 0x20CD5, 0x247202};
                    start_flags = FLAG_FIXED | (old_flags[flags] & ~(u32)FLAG_VM);
                    WIDE(TASK_WIDE)->flags = flags == 2 ? 0x3FC0AA : FLAG_FIXED;
                    WIDE(TASK_WIDE)->flags &= ~(u32)(FLAG_VM | FLAG_T);
                    NARROW(TASK_NARROW)->flags = flags == 2 ? 0x4C2B : FLAG_FIXED;
                    emit_switch(way, selector(slot, target_rpl), ring);
                    RUN(way, widths, ring, flags);
                }
            }
        }
    }
}

/* There and back: the new task begins with IRET, which returns to the instruction behind the CALL. */
static void nested(void) {
    group("task.nested", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 widths = 0; widths < 4; widths++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 inner = 0; inner < 4; inner += 3) {
                    /* An exception would come back to its instruction for ever. */
                    if (way == EXCEPTION || !next_case()) {
                        continue;
                    }
                    const u32 slot = begin(way, ring, widths & 1, widths & 2);
                    if ((widths & 1) != 0) { /* a segment of 16 bits saves no more of EIP */
                        start_in_ring16(ring);
                    }
                    if (inner != 0) {
                        WIDE(TASK_WIDE)->cs = code_of(3);
                        WIDE(TASK_WIDE)->ss = data_of(3);
                        WIDE(TASK_WIDE)->esp = ring_page(3) + TASK_STACK;
                        NARROW(TASK_NARROW)->cs = selector(RING_CODE16 + 3, 3);
                        NARROW(TASK_NARROW)->ss = selector(RING_DATA16 + 3, 3);
                    }
                    *(volatile u8*)TARGET = 0xCF;
                    emit_switch(way, selector(slot, 0), ring);
                    RUN(way, widths, ring, inner);
                    *(volatile u8*)TARGET = 0xCC;
                }
            }
        }
    }
}

/* What the gate or the link names: each sixth byte. */
static void descriptors(void) {
    group("task.descriptor", 2);
    for (u32 way = JUMP_GATE; way < WAYS; way++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring += 3) {
                if (!next_case()) {
                    continue;
                }
                begin(way, ring, false, false);
                GDT_SLOT(TEST) = any_descriptor(access);
                emit_switch(way, selector(TEST, random_number() & 3), ring);
                RUN(way, access, ring);
            }
        }
    }
}

static const u16 odd[] = {0, 1, 2, 3, SLOTS * 8, SLOTS * 8 + 3, (SLOTS - 1) * 8, 0xFFFF, 4, 7, 36, 39, 52 + 2, 68, 124};
enum { ODD_SELECTORS = sizeof odd / 2 };

static void odd_tasks(void) {
    group("task.odd", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            for (u32 ring = 0; ring < 4; ring += 3) {
                if (!next_case()) {
                    continue;
                }
                begin(way, ring, false, false);
                LDT_SLOT(LOCAL_TEST) = GDT_SLOT(TASK_WIDE);
                emit_switch(way, odd[which], ring);
                RUN(way, which, ring);
            }
        }
    }
}

static void privileges(void) {
    group("task.privilege", 1);
    for (u32 way = JUMP; way <= INTERRUPT; way++) {
        for (u32 mix = 0; mix < 64; mix++) {
            for (u32 where = 0; where < 3; where++) {
                if (!next_case()) {
                    continue;
                }
                const u32 ring = mix & 3, dpl = mix >> 2 & 3, rpl = mix >> 4;
                begin(way, ring, false, false);
                GDT_SLOT(TASK_WIDE) = (GDT_SLOT(TASK_WIDE) & ~(3ull << 45)) | (way <= CALL ? (u64)dpl << 45 : 0);
                gate_access = dpl << 5 | (where == 2 ? 0 : PRESENT);
                gate_is_local = where == 1;
                gate_rpl = rpl;
                emit_switch(way, selector(TASK_WIDE, rpl), ring);
                RUN(way, ring, dpl, rpl, where);
            }
        }
    }
}

static void limits(void) {
    group("task.limit", 1);
    static const u8 of_limit[] = {0, 0x15, 0x29, 0x2A, 0x2B, 0x2C, 0x2D, 0x5F, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68};
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 which = 0; which < sizeof of_limit; which++) {
            for (u32 narrow = 0; narrow < 2; narrow++) {
                if (!next_case()) {
                    continue;
                }
                const u32 slot = begin(way, 0, false, narrow);
                GDT_SLOT(slot) = (GDT_SLOT(slot) & ~0xFFFFull) | of_limit[which];
                emit_switch(way, selector(slot, 0), 0);
                RUN(way, of_limit[which], narrow);
            }
        }
    }
}

/* The new task's segment registers in the order of the segment: ES CS SS DS FS GS LDT. */
enum field { FIELD_ES, FIELD_CS, FIELD_SS, FIELD_DS, FIELD_FS, FIELD_GS, FIELD_LDT, FIELDS };

static void set_field(bool narrow, enum field field, u16 value) {
    if (!narrow) {
        (&WIDE(TASK_WIDE)->es)[field] = value;
    } else if (field <= FIELD_DS) {
        (&NARROW(TASK_NARROW)->es)[field] = value;
    } else if (field == FIELD_LDT) {
        NARROW(TASK_NARROW)->ldt = value;
    }
}

static void field_descriptors(void) {
    group("task.field", 5);
    for (u32 field = 0; field < FIELDS; field++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 rpl = 0; rpl < 4; rpl++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 way = random_number() % WAYS;
                    const bool narrow = random_number() & 1;
                    const u32 slot = begin(way, random_number() & 3, random_number() & 1, narrow);
                    if (ring != 0) {
                        set_field(narrow, FIELD_CS, narrow ? selector(RING_CODE16 + 3, 3) : code_of(3));
                        set_field(narrow, FIELD_SS, narrow ? selector(RING_DATA16 + 3, 3) : data_of(3));
                        WIDE(TASK_WIDE)->esp = ring_page(3) + TASK_STACK;
                    }
                    GDT_SLOT(TEST) = any_descriptor(access);
                    if (field == FIELD_CS && (access & SEGMENT) != 0) {
                        GDT_SLOT(TEST) =
                            segment(narrow ? CODE : 0, 0xFFFFF, access, narrow ? GRANULAR : GRANULAR | BIG);
                        set_field(narrow, FIELD_SS, narrow ? selector(RING_DATA16 + rpl, rpl) : data_of(rpl));
                    }
                    set_field(narrow, field, selector(TEST, rpl));
                    emit_switch(way, selector(slot, 0), start_cs & 3);
                    RUN(field, access, rpl, ring, way, narrow, start_cs, start_task);
                }
            }
        }
    }
}

static void odd_fields(void) {
    group("task.odd_field", 1);
    for (u32 field = 0; field < FIELDS; field++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            for (u32 way = 0; way < WAYS; way++) {
                for (u32 narrow = 0; narrow < 2; narrow++) {
                    /* From a flat code segment IP would lead into what the firmware left in low memory. */
                    const bool flat = narrow && field == FIELD_CS && (odd[which] & 4) != 0;
                    if (flat || !next_case()) {
                        continue;
                    }
                    const u32 slot = begin(way, way & 1 ? 3 : 0, false, narrow);
                    set_field(narrow, field, odd[which]);
                    emit_switch(way, selector(slot, 0), start_cs & 3);
                    RUN(field, which, way, narrow);
                }
            }
        }
    }
}

static void instruction_pointers(void) {
    group("task.eip", 1);
    static const u32 offsets[] = {0x800, 2 * PAGE - 1, 2 * PAGE, 0xFFFF, 0x10800, 0xFFFFFFFF};
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 which = 0; which < 6; which++) {
            for (u32 narrow = 0; narrow < 2; narrow++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 slot = begin(way, 0, false, narrow);
                    WIDE(TASK_WIDE)->eip = offsets[which];
                    NARROW(TASK_NARROW)->ip = (u16)offsets[which];
                    set_field(narrow, FIELD_CS, selector(RING_CODE16 + ring, ring));
                    set_field(narrow, FIELD_SS, narrow ? selector(RING_DATA16 + ring, ring) : data_of(ring));
                    WIDE(TASK_WIDE)->esp = ring_page(ring) + TASK_STACK;
                    emit_switch(way, selector(slot, 0), 0);
                    RUN(way, which, narrow, ring);
                }
            }
        }
    }
}

/* Error codes go onto the new task's stack, as wide as its segment; here there may be no room. */
static void error_codes(void) {
    group("task.error_code", 1);
    for (u32 narrow = 0; narrow < 2; narrow++) {
        for (u32 big = 0; big < 2; big++) {
            for (u32 room = 0; room < 8; room++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 slot = begin(EXCEPTION, 2, false, narrow);
                    GDT_SLOT(TEST) = segment(ring_page(3), TASK_STACK - 1, 0xF3, big ? BIG : 0);
                    set_field(narrow, FIELD_CS, narrow ? selector(RING_CODE16 + 3, 3) : code_of(3));
                    set_field(narrow, FIELD_SS, selector(TEST, 3));
                    WIDE(TASK_WIDE)->esp = (ring == 0 ? 0 : TASK_STACK) + room;
                    NARROW(TASK_NARROW)->sp = (u16)((ring == 0 ? 0 : TASK_STACK) + room);
                    emit_switch(EXCEPTION, selector(slot, 0), 2);
                    RUN(narrow, big, room, ring);
                }
            }
        }
    }
}

/* Busy tasks: a task that calls itself, and an IRET into one that is not busy. */
static void busy_tasks(void) {
    group("task.busy", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 narrow = 0; narrow < 2; narrow++) {
            for (u32 kind = 0; kind < 3; kind++) {
                if (!next_case()) {
                    continue;
                }
                const u32 slot = begin(way, 0, narrow, narrow);
                if (narrow) {
                    start_in_ring16(0);
                }
                const u32 own = narrow ? TASK_NARROW_2 : TASK_MAIN;
                if (kind == 1) {
                    GDT_SLOT(slot) ^= 2ull << 40;
                }
                if (kind == 2) {
                    GDT_SLOT(TASK_WIDE_2) = GDT_SLOT(slot);
                }
                emit_switch(way, selector(kind == 0 ? own : kind == 1 ? slot : TASK_WIDE_2, 0), 0);
                RUN(way, narrow, kind);
            }
        }
    }
}

/* The T bit: a debug trap before the new task's first instruction. */
static void trap_bits(void) {
    group("task.trap", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 trap = 0; trap < 4; trap++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                const u32 slot = begin(way, ring, false, false);
                WIDE(TASK_WIDE)->trap = trap == 3 ? 0xFFFE : trap;
                WIDE(TASK_WIDE)->cs = code_of(ring);
                WIDE(TASK_WIDE)->ss = data_of(ring);
                WIDE(TASK_WIDE)->esp = ring_page(ring) + TASK_STACK;
                emit_switch(way, selector(slot, 0), ring);
                RUN(way, trap, ring);
            }
        }
    }
}

/* Several things wrong at once: the order of the checks. */
static void random_switches(void) {
    group("task.random", 1);
    static const u8 accesses[] = {0x93, 0xF3, 0xFB, 0x9B, 0x9F, 0xFF, 0x13, 0x7B,
                                  0x73, 0x82, 0x02, 0x1B, 0xB3, 0x91, 0x00};
    for (u32 number = 0; number < 3000; number++) {
        if (!next_case()) {
            continue;
        }
        const u32 random = random_number(), way = random % WAYS, ring = random >> 3 & 3;
        const bool narrow = random >> 5 & 1;
        const u32 slot = begin(way, ring, random >> 6 & 1, narrow);
        for (u32 field = 0; field < FIELDS; field++) {
            const u32 draw = random_number();
            if ((draw & 3) == 0) {
                GDT_SLOT(TEST + field) = segment(draw & 4 || field == FIELD_CS ? CODE : LDT, 0xFFFF,
                                                 accesses[(draw >> 8) % sizeof accesses], 0);
                set_field(narrow, field,
                          (draw & 0x38) == 0 && field != FIELD_CS ? odd[(draw >> 12) % ODD_SELECTORS]
                                                                  : selector(TEST + field, draw >> 16 & 3));
            }
        }
        if ((random & 0x300) == 0) {
            GDT_SLOT(slot) = (GDT_SLOT(slot) & ~0xFFFFull) | (random >> 12 & 0x6F);
        }
        if ((random & 0xC00) == 0) {
            GDT_SLOT(slot) &= ~(1ull << 47);
        }
        emit_switch(way, selector(slot, 0), ring);
        RUN(number, random);
    }
}

void task_cases(void) {
    watch_more(true, false, false);
    kinds();
    nested();
    descriptors();
    odd_tasks();
    privileges();
    limits();
    field_descriptors();
    odd_fields();
    instruction_pointers();
    error_codes();
    busy_tasks();
    trap_bits();
    random_switches();
    watch_more(false, false, false);
}
