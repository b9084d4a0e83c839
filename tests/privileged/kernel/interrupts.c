#include "case.h"

/* Interrupts and exceptions through gates: gate types x privilege x presence,
 * the handler's segment, the inner stack, limits, flags, error codes, and what
 * becomes of a fault within a delivery. */

enum { VECTOR = 0x30 };
static const u8 gate_types[] = {INTERRUPT_GATE, TRAP_GATE, INTERRUPT_GATE16, TRAP_GATE16};
enum { GATE_TYPES = 4 };

static u64 default_gate(u32 type, u32 ring) {
    const u32 access = PRESENT | 0x60 | type;
    if (type == TASK_GATE) {
        return gate(access, selector(TASK_WIDE, 0), 0, 0);
    }
    if (type == INTERRUPT_GATE16 || type == TRAP_GATE16) {
        return gate(access, selector(RING_CODE16 + ring, 0), TARGET - CODE, 0);
    }
    return gate(access, selector(RING_CODE + ring, 0), TARGET, 0);
}

/* INT through each of the 256 sixth bytes, from each ring. */
static void gate_bytes(void) {
    group("int.gate", 1);
    for (u32 access = 0; access < 256; access++) {
        for (u32 ring = 0; ring < 4; ring++) {
            if (!next_case()) {
                continue;
            }
            start_in_ring(ring);
            const u64 valid = any_descriptor((access & 15) | PRESENT);
            const u32 type = access & 15;
            const bool is_gate = type == TASK_GATE || (type & 6) == 6 || (type & 7) == 4;
            const u64 base = is_gate ? valid : gate(0, selector(RING_CODE, 0), TARGET, 0);
            IDT_SLOT(VECTOR) = (base & ~(0xFFull << 40)) | (u64)access << 40;
            emit_cause(BY_INT, ring);
            RUN(access, ring);
        }
    }
}

/* The handler's segment: each sixth byte, each RPL of the gate's selector, from
 * each ring. */
static void handler_segments(void) {
    group("int.segment", 3);
    for (u32 type = 0; type < GATE_TYPES; type++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                const u32 rpl = random_number() & 3;
                const enum cause cause = random_number() & 1 ? BY_INT : BY_SEGMENT;
                GDT_SLOT(TEST) = (access & SEGMENT) != 0 ? segment(CODE, 2 * PAGE - 1, access, type < 2 ? BIG : 0)
                                                         : any_descriptor(access);
                IDT_SLOT(vector_of(cause)) =
                    gate(PRESENT | 0x60 | gate_types[type], selector(TEST, rpl), TARGET - CODE, 0);
                emit_cause(cause, ring);
                RUN(type, access, ring, rpl, cause);
            }
        }
    }
}

/* Selectors that name no code segment of the GDT. */
static u16 odd_selector(u32 which) {
    switch (which) {
    case 0:
    case 1:
    case 2:
    case 3:
        return (u16)which;
    case 4:
        return selector(SLOTS, 0);
    case 5:
        return selector(SLOTS - 1, 3);
    case 6:
        return local_selector(LOCAL_SLOTS, 0);
    case 7:
        return 0xFFFF;
    default:
        return local_selector((which & 3) + LOCAL_CODE, which >> 2 & 3);
    }
}
enum { ODD_SELECTORS = 16 };

static void odd_handler_selectors(void) {
    group("int.selector", 1);
    static const u8 causes[] = {BY_INT, BY_UD2, BY_SEGMENT};
    for (u32 which = 0; which < ODD_SELECTORS; which++) {
        for (u32 type = 0; type < GATE_TYPES; type++) {
            for (u32 cause = 0; cause < 3; cause++) {
                for (u32 ring = 0; ring < 4; ring++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    IDT_SLOT(vector_of(causes[cause])) = gate(PRESENT | 0x60 | gate_types[type], odd_selector(which),
                                                              type < 2 ? TARGET : TARGET - CODE, 0);
                    if (type >= 2) {
                        LDT_SLOT(LOCAL_CODE + (which & 3)) = GDT_SLOT(RING_CODE16 + (which & 3));
                    }
                    emit_cause(causes[cause], ring);
                    RUN(which, type, cause, ring);
                }
            }
        }
    }
}

/* The LDT register holds nothing, and the handler lies in the LDT. */
static void handlers_without_ldt(void) {
    group("int.no_ldt", 1);
    for (u32 ring = 0; ring < 4; ring++) {
        for (u32 null = 0; null < 4; null++) {
            if (!next_case()) {
                continue;
            }
            start_in_ring(ring);
            start_local = (u16)null;
            IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | INTERRUPT_GATE, local_selector(LOCAL_CODE, 0), TARGET, 0);
            emit_cause(BY_INT, ring);
            RUN(ring, null);
        }
    }
}

static const u8 inward[][2] = {{3, 0}, {3, 1}, {3, 2}, {2, 1}, {2, 0}, {1, 0}};
enum { INWARD = 6 };

/* The inner stack's segment: each sixth byte, right and wrong RPL. */
static void inner_stack_segments(void) {
    group("int.stack", 3);
    for (u32 way = 1; way < 4; way++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 rpl = 0; rpl < 4; rpl++) {
                if (!next_case()) {
                    continue;
                }
                const u32 inner = inward[way][1];
                const u32 type = gate_types[random_number() & 3];
                const enum cause cause = random_number() & 1 ? BY_INT : BY_SEGMENT;
                start_in_ring(inward[way][0]);
                GDT_SLOT(TEST) = any_descriptor(access);
                (&WIDE(TASK_MAIN)->ss0)[inner * 2] = selector(TEST, rpl);
                IDT_SLOT(vector_of(cause)) = default_gate(type, inner);
                emit_cause(cause, inward[way][0]);
                RUN(way, access, rpl, type, cause);
            }
        }
    }
}

static void odd_inner_stacks(void) {
    group("int.odd_stack", 1);
    for (u32 way = 0; way < INWARD; way++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            for (u32 type = 0; type < GATE_TYPES; type++) {
                if (!next_case()) {
                    continue;
                }
                const u32 inner = inward[way][1];
                start_in_ring(inward[way][0]);
                u16 stack = odd_selector(which);
                if (which >= 8) {
                    stack = local_selector(LOCAL_DATA + (which & 3), which >> 2 & 3);
                }
                (&WIDE(TASK_MAIN)->ss0)[inner * 2] = stack;
                IDT_SLOT(VECTOR) = default_gate(gate_types[type], inner);
                emit_cause(BY_INT, inward[way][0]);
                RUN(way, which, type);
            }
        }
    }
}

/* An inner stack of 0x100 bytes, normal or expanding downwards, 16 or 32 bits
 * wide, and a pointer near its ends. */
static void inner_stack_limits(void) {
    group("int.stack_limit", 1);
    for (u32 kind = 0; kind < 4; kind++) {
        for (u32 type = 0; type < GATE_TYPES; type++) {
            for (u32 at = 0; at < 0x30; at += 2) {
                for (u32 edge = 0; edge < 2; edge++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(3);
                    const bool down = (kind & 1) != 0;
                    const u32 limit = down ? INNER_STACK - 0x41 : INNER_STACK - 1;
                    GDT_SLOT(TEST) = segment(ring_page(1), limit, down ? 0xB7 : 0xB3, kind & 2 ? BIG : 0);
                    const u32 bottom = down ? INNER_STACK - 0x40 : 0;
                    WIDE(TASK_MAIN)->ss1 = selector(TEST, 1);
                    WIDE(TASK_MAIN)->esp1 = (edge ? INNER_STACK - 8 : bottom) + at;
                    IDT_SLOT(VECTOR) = default_gate(gate_types[type], 1);
                    emit_cause(BY_INT, 3);
                    RUN(kind, type, at, edge);
                }
            }
        }
    }
}

/* How much of the task segment there is, 32 and 16 bits. */
static void task_limits(void) {
    group("int.task_limit", 1);
    for (u32 narrow = 0; narrow < 2; narrow++) {
        for (u32 way = 0; way < INWARD; way++) {
            /* Ring 0's stack must be there: the double fault's task switch needs the
             * whole segment. */
            for (u32 limit = narrow ? 5 : 11; limit < 0x1C; limit++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(inward[way][0]);
                const u32 slot = narrow ? TASK_NARROW : TASK_MAIN;
                GDT_SLOT(slot) = (GDT_SLOT(slot) & ~0xFFFFull) | limit;
                start_task = selector(slot, 0);
                IDT_SLOT(VECTOR) = default_gate(gate_types[limit & 1], inward[way][1]);
                emit_cause(BY_INT, inward[way][0]);
                RUN(narrow, way, limit);
            }
        }
    }
}

/* Where the gate leads, against the segment's limit. */
static void handler_offsets(void) {
    group("int.offset", 1);
    static const u32 offsets[] = {0x800, TARGET - CODE, 2 * PAGE - 1, 2 * PAGE, 0xFFFF, 0x10800, 0x11000, 0xFFFFFFFF};
    for (u32 type = 0; type < GATE_TYPES; type++) {
        for (u32 which = 0; which < 8; which++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 cause = 0; cause < 2; cause++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    const enum cause by = cause ? BY_SEGMENT : BY_INT;
                    IDT_SLOT(vector_of(by)) = gate(PRESENT | 0x60 | gate_types[type],
                                                   selector(RING_CODE16 + (ring & 2), 0), offsets[which], 0);
                    emit_cause(by, ring);
                    RUN(type, which, ring, cause);
                }
            }
        }
    }
}

/* The IDT ends within, before or behind the vector's gate. */
static void table_limits(void) {
    group("int.idt_limit", 1);
    static const u8 vectors[] = {0x2F, 0x30, 0x3F, 0x40, 0x80, 0xFF, 13};
    for (u32 which = 0; which < sizeof vectors; which++) {
        for (u32 bytes = 0; bytes <= 9; bytes++) {
            for (u32 ring = 0; ring < 4; ring += 3) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                const u32 vector = vectors[which];
                const u32 limit = vector * 8 + bytes - 1;
                start_idt_limit = (u16)(limit < VECTORS * 8 ? limit : VECTORS * 8 - 1);
                if (vector == 13) {
                    emit_cause(BY_SEGMENT, ring);
                } else {
                    EMIT(0xCD, (u8)vector);
                }
                RUN(vector, bytes, ring);
            }
        }
    }
}

/* The flags that a delivery pushes, clears and keeps. */
static void flags_of_delivery(void) {
    group("int.flags", 1);
    static const u32 flags[] = {FLAG_I, FLAG_NT, FLAG_D, FLAG_AC, FLAG_ID, 0x3000, 0x1000, 0x8D5, FLAG_RF};
    static const u8 causes[] = {BY_INT, BY_INT3, BY_UD2, BY_SEGMENT, BY_ICEBP};
    for (u32 which = 0; which < 10; which++) {
        for (u32 type = 0; type < GATE_TYPES; type++) {
            for (u32 cause = 0; cause < sizeof causes; cause++) {
                for (u32 ring = 0; ring < 4; ring++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    start_flags |= which == 9 ? 0x247FD5 - FLAG_T : flags[which];
                    target_is_undefined_opcode(causes[cause] == BY_INT3);
                    const bool direct = causes[cause] == BY_UD2; /* the target's INT3 shows what became of the flags */
                    IDT_SLOT(vector_of(causes[cause])) = default_gate(gate_types[type], direct ? 0 : ring);
                    emit_cause(causes[cause], ring);
                    RUN(which, type, causes[cause], ring);
                }
            }
        }
    }
    target_is_undefined_opcode(false);
}

/* Each cause through each kind of gate to each ring further in: which address
 * and which error code are pushed. */
static void causes_and_gates(void) {
    group("int.cause", 1);
    static const u8 types[] = {INTERRUPT_GATE, TRAP_GATE, INTERRUPT_GATE16, TRAP_GATE16, TASK_GATE};
    watch_more(true, false, false);
    for (u32 cause = 0; cause < CAUSES; cause++) {
        for (u32 type = 0; type < sizeof types; type++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 inner = 0; inner <= ring; inner++) {
                    if ((cause == BY_HALT && ring == 0) || !next_case()) {
                        continue;
                    }
                    start_in_ring(ring);
                    target_is_undefined_opcode(cause == BY_INT3);
                    IDT_SLOT(vector_of(cause)) = default_gate(types[type], inner);
                    emit_cause(cause, ring);
                    RUN(cause, type, ring, inner);
                }
            }
        }
    }
    target_is_undefined_opcode(false);
    watch_more(false, false, false);
}

/* The privilege of the gate counts for INT n, INT3 and INTO, not for exceptions
 * and ICEBP. */
static void gate_privilege(void) {
    group("int.privilege", 1);
    for (u32 cause = 0; cause < CAUSES; cause++) {
        for (u32 dpl = 0; dpl < 4; dpl++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if ((cause == BY_HALT && ring == 0) || !next_case()) {
                    continue;
                }
                start_in_ring(ring);
                target_is_undefined_opcode(cause == BY_INT3);
                u64* slot = &IDT_SLOT(vector_of(cause));
                *slot = (*slot & ~(3ull << 45)) | (u64)dpl << 45;
                emit_cause(cause, ring);
                RUN(cause, dpl, ring);
            }
        }
    }
    target_is_undefined_opcode(false);
}

/* What goes wrong in a second place while the first is delivered. */
static void break_gate(u32 vector, u32 how) {
    switch (how) {
    case 0: /* #NP: the gate */
        IDT_SLOT(vector) = gate(0x60 | INTERRUPT_GATE, selector(RING_CODE, 0), TARGET, 0);
        break;
    case 1: /* #GP: no gate at all */
        IDT_SLOT(vector) = segment(0, 0xFFFFF, 0x92, GRANULAR);
        break;
    case 2: /* #GP: no segment */
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | INTERRUPT_GATE, 0, TARGET, 0);
        break;
    case 3: /* #NP: the segment */
        GDT_SLOT(TEST) = segment(0, 0xFFFFF, 0x1B, GRANULAR | BIG);
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(TEST, 0), TARGET, 0);
        break;
    case 4: /* #TS: the inner stack, towards ring 1 */
        WIDE(TASK_MAIN)->ss1 = selector(RING_DATA, 0);
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE + 1, 0), TARGET, 0);
        break;
    case 5: /* #SS: the inner stack absent */
        WIDE(TASK_MAIN)->ss1 = selector(NOT_PRESENT_STACK + 1, 1);
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | TRAP_GATE, selector(RING_CODE + 1, 0), TARGET, 0);
        break;
    case 6: /* #SS: the inner stack full */
        GDT_SLOT(TEST) = segment(ring_page(1), INNER_STACK - 1, 0xB3, 0);
        WIDE(TASK_MAIN)->ss1 = selector(TEST, 1);
        WIDE(TASK_MAIN)->esp1 = 8;
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | TRAP_GATE16, selector(RING_CODE16 + 1, 0), TARGET - CODE, 0);
        break;
    default: /* #NP: the task that the gate leads to */
        GDT_SLOT(TEST) = segment((u32)WIDE(TASK_WIDE), 0x67, 0x09, 0);
        IDT_SLOT(vector) = gate(PRESENT | 0x60 | TASK_GATE, selector(TEST, 0), 0, 0);
        break;
    }
}

static void double_faults(void) {
    group("int.double", 1);
    for (u32 cause = 0; cause < CAUSES; cause++) {
        for (u32 how = 0; how < 8; how++) {
            for (u32 ring = 0; ring < 4; ring += 3) {
                if ((cause == BY_HALT && ring == 0) || !next_case()) {
                    continue;
                }
                start_in_ring(ring);
                target_is_undefined_opcode(cause == BY_INT3);
                break_gate(vector_of(cause), how);
                emit_cause(cause, ring);
                RUN(cause, how, ring);
            }
        }
    }
    target_is_undefined_opcode(false);
}

/* An interrupt from outside: EXT is set in every error code. It comes after the
 * instruction that follows STI. */
static void external_interrupts(void) {
    group("int.external", 1);
    for (u32 how = 0; how < 9; how++) {
        for (u32 ring = 0; ring < 4; ring++) {
            for (u32 dpl = 0; dpl < 4; dpl += 3) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                start_flags |= 0x3000;
                if (how < 8) {
                    break_gate(0x20, how);
                } else {
                    IDT_SLOT(0x20) = default_gate(INTERRUPT_GATE, 0);
                }
                IDT_SLOT(0x20) = (IDT_SLOT(0x20) & ~(3ull << 45)) | (u64)dpl << 45;
                EMIT(0xFB, 0x90, 0x90);
                request_timer_interrupt();
                RUN(how, ring, dpl);
                mask_interrupts();
            }
        }
    }
}

void interrupt_cases(void) {
    watch_more(false, false, false);
    gate_bytes();
    handler_segments();
    odd_handler_selectors();
    handlers_without_ldt();
    inner_stack_segments();
    odd_inner_stacks();
    inner_stack_limits();
    task_limits();
    handler_offsets();
    table_limits();
    flags_of_delivery();
    causes_and_gates();
    gate_privilege();
    double_faults();
    external_interrupts();
}
