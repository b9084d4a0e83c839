#include "case.h"

/* Far JMP, CALL, RET and IRET: to code segments, gates and task segments of
 * every kind, between all rings. */

enum form { JUMP, CALL, JUMP_MEMORY, CALL_MEMORY, FORMS };

/* JMP or CALL to selector:offset; `narrow` with a 16-bit offset. */
static void emit_far(enum form form, bool narrow, u16 target, u32 offset) {
    if (narrow) {
        EMIT(0x66);
    }
    if (form == JUMP || form == CALL) {
        EMIT(form == JUMP ? 0xEA : 0x9A);
        (narrow ? emit16 : emit32)(offset);
        emit16(target);
        return;
    }
    EMIT(0xFF, form == JUMP_MEMORY ? 0x2D : 0x1D);
    emit32(DATA);
    u16* pointer = (u16*)DATA;
    *pointer++ = (u16)offset;
    if (!narrow) {
        *pointer++ = (u16)(offset >> 16);
    }
    *pointer = target;
}

/* Code and data lie over CODE and TARGET, so that 16 bits reach them; what is
 * no segment is what it is. */
static u64 near_descriptor(u32 access, bool wide) {
    return (access & SEGMENT) != 0 ? segment(CODE, 2 * PAGE - 1, access, wide ? BIG : 0) : any_descriptor(access);
}

static u16 odd_selector(u32 which) {
    static const u16 odd[] = {0,
                              1,
                              2,
                              3,
                              SLOTS * 8,
                              SLOTS * 8 + 3,
                              (SLOTS - 1) * 8,
                              (SLOTS - 1) * 8 + 3,
                              0xFFFF,
                              0xFFF8,
                              LOCAL_SLOTS * 8 + 4,
                              LOCAL_SLOTS * 8 + 7,
                              4,
                              5,
                              6,
                              7,
                              12,
                              13,
                              22,
                              31};
    return odd[which];
}
enum { ODD_SELECTORS = 20 };

static void direct_targets(void) {
    group("far.direct", 4);
    for (u32 form = JUMP; form <= CALL; form++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 rpl = 0; rpl < 4; rpl++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    start_in_ring(ring);
                    GDT_SLOT(TEST) = near_descriptor(access, random & 1);
                    emit_far(form, random >> 1 & 1, selector(TEST, rpl), TARGET - CODE);
                    RUN(form, access, ring, rpl, random & 3);
                }
            }
        }
    }
}

static void odd_targets(void) {
    group("far.odd", 1);
    for (u32 form = 0; form < FORMS; form++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                emit_far(form, false, odd_selector(which), TARGET);
                RUN(form, which, ring);
            }
        }
    }
}

static const u32 offsets[] = {0x800, TARGET - CODE, 2 * PAGE - 1, 2 * PAGE, 0xFFFF, 0x10800, 0xFFFFFFFF};
enum { OFFSETS = 7 };

static void target_limits(void) {
    group("far.limit", 1);
    for (u32 form = 0; form < FORMS; form++) {
        for (u32 narrow = 0; narrow < 2; narrow++) {
            for (u32 which = 0; which < OFFSETS; which++) {
                for (u32 big = 0; big < 2; big++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(big ? 3 : 0);
                    GDT_SLOT(TEST) = segment(CODE, 2 * PAGE - 1, big ? 0xFB : 0x9B, big ? BIG : 0);
                    emit_far(form, narrow, selector(TEST, 0), offsets[which]);
                    RUN(form, narrow, which, big);
                }
            }
        }
    }
}

/* A gate to `target`, at its place within CODE where the gate is of 16 bits. */
static u64 call_gate(bool wide, u32 access, u16 target, u32 count) {
    return gate(access | (wide ? CALL_GATE : CALL_GATE16), target, TARGET - CODE, count);
}

/* The gate's privilege against CPL and RPL, to code of each ring, conforming or
 * not, to data and to what is absent. */
static void gate_privilege(void) {
    group("far.gate", 2);
    static const u8 targets[] = {0x9B, 0xBB, 0xDB, 0xFB, 0x9F, 0xBF, 0xDF, 0xFF, 0x93, 0x1B};
    for (u32 form = JUMP; form <= CALL; form++) {
        for (u32 mix = 0; mix < 64; mix++) {
            for (u32 which = 0; which < sizeof targets; which++) {
                for (u32 wide = 0; wide < 2; wide++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 ring = mix & 3, dpl = mix >> 2 & 3, rpl = mix >> 4;
                    const u32 count = random_number() & 3;
                    start_in_ring(ring);
                    GDT_SLOT(TEST) = segment(CODE, 2 * PAGE - 1, targets[which], wide ? BIG : 0);
                    GDT_SLOT(TEST + 1) =
                        call_gate(wide, PRESENT | dpl << 5, selector(TEST, random_number() & 3), count);
                    emit_far(form, random_number() & 1, selector(TEST + 1, rpl), 0x12345678);
                    RUN(form, dpl, rpl, ring, which, wide);
                }
            }
        }
    }
}

static void gate_targets(void) {
    group("far.gate_target", 4);
    for (u32 form = JUMP; form <= CALL; form++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 wide = 0; wide < 2; wide++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    GDT_SLOT(TEST) = near_descriptor(access, wide);
                    GDT_SLOT(TEST + 1) = call_gate(wide, PRESENT | 0x60, selector(TEST, random_number() & 3), 1);
                    emit_far(form, false, selector(TEST + 1, 3), 0);
                    RUN(form, access, ring, wide);
                }
            }
        }
    }
}

static void odd_gates(void) {
    group("far.odd_gate", 1);
    for (u32 which = 0; which < ODD_SELECTORS; which++) {
        for (u32 mix = 0; mix < 16; mix++) {
            if (!next_case()) {
                continue;
            }
            const u32 ring = mix & 3;
            start_in_ring(ring);
            const bool local = (mix & 8) != 0;
            u64* slot = local ? &LDT_SLOT(LOCAL_TEST) : &GDT_SLOT(TEST);
            *slot = gate(PRESENT | 0x60 | CALL_GATE, odd_selector(which), TARGET, 0);
            emit_far(mix & 4 ? CALL : JUMP, false, local ? local_selector(LOCAL_TEST, 3) : selector(TEST, 3), 0);
            RUN(which, mix);
        }
    }
}

static const u8 inward[][2] = {{3, 0}, {3, 1}, {3, 2}, {2, 1}, {2, 0}, {1, 0}};
enum { INWARD = 6 };

/* The caller's stack holds words that one can tell apart. */
static void fill_caller_stack(u32 ring) {
    for (u32 i = 0; i < 64; i++) {
        ((u16*)(ring_page(ring) + START_STACK))[i] = (u16)(0xB000 + i);
    }
}

static void parameters(void) {
    group("far.parameters", 2);
    for (u32 way = 0; way < INWARD; way++) {
        for (u32 count = 0; count < 32; count++) {
            for (u32 kind = 0; kind < 4; kind++) {
                if (!next_case()) {
                    continue;
                }
                const u32 ring = inward[way][0], inner = inward[way][1];
                const bool wide = (kind & 1) != 0;
                start_in_ring(ring);
                if ((kind & 2) != 0) { /* a 16-bit stack, with something above SP */
                    start_ss = selector(RING_DATA16 + ring, ring);
                    start_esp = 0x56780000 + START_STACK;
                }
                fill_caller_stack(ring);
                const u16 code = wide ? selector(RING_CODE + inner, 0) : selector(RING_CODE16 + inner, 0);
                GDT_SLOT(TEST) =
                    gate(PRESENT | 0x60 | (wide ? CALL_GATE : CALL_GATE16), code, wide ? TARGET : TARGET - CODE, count);
                emit_far(CALL, kind == 3, selector(TEST, 3), 0);
                RUN(way, count, kind);
            }
        }
    }
}

/* The caller's stack ends before the parameters do. */
static void missing_parameters(void) {
    group("far.missing_parameters", 1);
    for (u32 wide = 0; wide < 2; wide++) {
        for (u32 count = 0; count < 6; count++) {
            for (u32 room = 0; room < 24; room += 2) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                GDT_SLOT(TEST + 1) = segment(ring_page(3), START_STACK - 1 + room, 0xF3, wide ? BIG : 0);
                start_ss = selector(TEST + 1, 3);
                start_esp = START_STACK;
                fill_caller_stack(3);
                GDT_SLOT(TEST) = call_gate(wide, PRESENT | 0x60, selector(RING_CODE16, 0), count);
                emit_far(CALL, false, selector(TEST, 3), 0);
                RUN(wide, count, room);
            }
        }
    }
}

static void inner_stacks(void) {
    group("far.stack", 4);
    for (u32 way = 0; way < INWARD; way++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 rpl = 0; rpl < 4; rpl++) {
                if (!next_case()) {
                    continue;
                }
                const u32 ring = inward[way][0], inner = inward[way][1];
                const bool wide = random_number() & 1;
                start_in_ring(ring);
                GDT_SLOT(TEST) = any_descriptor(access);
                (&WIDE(TASK_MAIN)->ss0)[inner * 2] = selector(TEST, rpl);
                GDT_SLOT(TEST + 1) = call_gate(wide, PRESENT | 0x60, selector(RING_CODE16 + inner, 0), 2);
                emit_far(CALL, false, selector(TEST + 1, 3), 0);
                RUN(way, access, rpl, wide);
            }
        }
    }
}

static void odd_inner_stacks(void) {
    group("far.odd_stack", 1);
    for (u32 way = 0; way < INWARD; way++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            if (!next_case()) {
                continue;
            }
            const u32 ring = inward[way][0], inner = inward[way][1];
            start_in_ring(ring);
            (&WIDE(TASK_MAIN)->ss0)[inner * 2] = odd_selector(which);
            GDT_SLOT(TEST) = call_gate(true, PRESENT | 0x60, selector(RING_CODE16 + inner, 0), 0);
            emit_far(CALL, false, selector(TEST, 3), 0);
            RUN(way, which);
        }
    }
}

static void inner_stack_limits(void) {
    group("far.stack_limit", 1);
    for (u32 kind = 0; kind < 8; kind++) {
        for (u32 count = 0; count < 4; count += 3) {
            for (u32 at = 0; at < 0x24; at += 2) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                fill_caller_stack(3);
                const bool down = (kind & 1) != 0, wide = (kind & 4) != 0;
                GDT_SLOT(TEST) = segment(ring_page(1), down ? INNER_STACK - 0x41 : INNER_STACK - 1, down ? 0xB7 : 0xB3,
                                         kind & 2 ? BIG : 0);
                WIDE(TASK_MAIN)->ss1 = selector(TEST, 1);
                WIDE(TASK_MAIN)->esp1 = (down ? INNER_STACK - 0x40 : 0) + at;
                GDT_SLOT(TEST + 1) = call_gate(wide, PRESENT | 0x60, selector(RING_CODE16 + 1, 0), count);
                emit_far(CALL, false, selector(TEST + 1, 3), 0);
                RUN(kind, count, at);
            }
        }
    }
}

static void task_limits(void) {
    group("far.task_limit", 1);
    for (u32 narrow = 0; narrow < 2; narrow++) {
        for (u32 inner = 0; inner < 3; inner++) {
            for (u32 limit = narrow ? 5 : 11; limit < 0x1C; limit++) {
                if (!next_case()) {
                    continue;
                }
                const u32 slot = narrow ? TASK_NARROW : TASK_MAIN;
                start_in_ring(3);
                GDT_SLOT(slot) = (GDT_SLOT(slot) & ~0xFFFFull) | limit;
                start_task = selector(slot, 0);
                GDT_SLOT(TEST) = call_gate(limit & 1, PRESENT | 0x60, selector(RING_CODE16 + inner, 0), 0);
                emit_far(CALL, false, selector(TEST, 3), 0);
                RUN(narrow, inner, limit);
            }
        }
    }
}

static void gate_offsets(void) {
    group("far.gate_offset", 1);
    for (u32 form = JUMP; form <= CALL; form++) {
        for (u32 wide = 0; wide < 2; wide++) {
            for (u32 which = 0; which < OFFSETS; which++) {
                for (u32 ring = 0; ring < 4; ring += 3) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    const u16 code = selector(RING_CODE16 + (form == JUMP ? ring : 0), 0);
                    GDT_SLOT(TEST) = gate(PRESENT | 0x60 | (wide ? CALL_GATE : CALL_GATE16), code, offsets[which], 0);
                    emit_far(form, false, selector(TEST, 3), 0);
                    RUN(form, wide, which, ring);
                }
            }
        }
    }
}

/* A CALL whose return address finds no room. */
static void full_stacks(void) {
    group("far.full_stack", 1);
    for (u32 kind = 0; kind < 8; kind++) {
        for (u32 at = 0; at < 10; at++) {
            if (!next_case()) {
                continue;
            }
            const bool down = (kind & 1) != 0;
            start_in_ring(3);
            GDT_SLOT(TEST) = segment(ring_page(3), down ? START_STACK - 0x21 : START_STACK - 1, down ? 0xF7 : 0xF3,
                                     kind & 2 ? BIG : 0);
            start_ss = selector(TEST, 3);
            start_esp = (down ? START_STACK - 0x20 : 0) + at;
            emit_far(CALL, kind & 4, selector(RING_CODE16 + 3, 3), TARGET - CODE);
            RUN(kind, at);
        }
    }
}

/* Several things wrong at once: the order of the checks. */
static void random_transfers(void) {
    group("far.random", 1);
    static const u8 codes[] = {0x9B, 0xBB, 0xFB, 0x9F, 0xFF, 0x1B, 0x93, 0x7B};
    static const u8 stacks[] = {0x93, 0xB3, 0xD3, 0x13, 0x33, 0x91, 0x9B, 0x00};
    for (u32 number = 0; number < 3000; number++) {
        if (!next_case()) {
            continue;
        }
        const u32 random = random_number(), ring = random & 3, wide = random >> 2 & 1;
        start_in_ring(ring);
        fill_caller_stack(ring);
        GDT_SLOT(TEST) = segment(CODE, random >> 3 & 1 ? 2 * PAGE - 1 : PAGE, codes[random >> 4 & 7], wide ? BIG : 0);
        const u32 kind = random >> 7 & 7;
        for (u32 inner = 1; inner < 3; inner++) {
            const u32 room = random >> 10 & 0x1F;
            GDT_SLOT(TEST + 1 + inner) =
                segment(ring_page(inner), PAGE - 1, stacks[kind] | (kind == 1 ? 0 : inner << 5), 0);
            (&WIDE(TASK_MAIN)->ss0)[inner * 2] =
                random >> 15 & 7 ? selector(TEST + 1 + inner, random >> 18 & 3) : random >> 18 & 3;
            (&WIDE(TASK_MAIN)->esp0)[inner * 2] = random >> 20 & 1 ? room : INNER_STACK;
        }
        const u32 access = (random >> 21 & 7 ? PRESENT : 0) | (random >> 24 & 3) << 5;
        GDT_SLOT(TEST + 4) = call_gate(wide, access, selector(TEST, random >> 26 & 3), random >> 28 & 3);
        emit_far(random >> 30 & 1 ? JUMP : CALL, false, selector(random >> 31 ? TEST + 4 : TEST, ring), TARGET - CODE);
        RUN(number, random);
    }
}

void transfer_cases(void) {
    watch_more(true, false, false);
    direct_targets();
    odd_targets();
    target_limits();
    gate_privilege();
    gate_targets();
    odd_gates();
    parameters();
    missing_parameters();
    inner_stacks();
    odd_inner_stacks();
    inner_stack_limits();
    task_limits();
    gate_offsets();
    full_stacks();
    random_transfers();
    watch_more(false, false, false);
}
