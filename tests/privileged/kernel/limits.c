#include "case.h"

/* Limits of every kind of segment, wrap-around, and the instructions that ask: LAR, LSL, VERR, VERW, ARPL, BOUND,
 * ENTER. */

/* Segments of DATA whose ends can be reached: up to 7Fh, expanding down from 40h, with granularity, and over all. */
static u64 limited(u32 kind) {
    switch (kind) {
    case 0:
        return segment(DATA, 0x7F, 0xF3, BIG);
    case 1:
        return segment(DATA, 0x7F, 0xF3, 0);
    case 2:
        return segment(DATA, 0x3F, 0xF7, BIG);
    case 3:
        return segment(DATA, 0x3F, 0xF7, 0);
    case 4:
        return segment(DATA, 0, 0xF3, GRANULAR | BIG);
    case 5:
        return segment(DATA, 0xFFFFF, 0xF3, GRANULAR | BIG);
    case 6:
        return segment(DATA, 0xFFFFF, 0xF7, GRANULAR | BIG);
    default:
        return segment(DATA, 0x7F, 0xFA, 0); /* code, readable */
    }
}
enum { LIMITED = 8 };

static const u32 edges[] = {0,      1,       0x3E,       0x3F,       0x40,       0x41,       0x79,      0x7A,
                            0x7B,   0x7C,    0x7D,       0x7E,       0x7F,       0x80,       0x81,      0xFF8,
                            0xFFC,  0xFFD,   0xFFE,      0xFFF,      0x1000,     0xFFF8,     0xFFFD,    0xFFFE,
                            0xFFFF, 0x10000, 0xFFFFFFF8, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF};
enum { EDGES = sizeof edges / 4 };

/* An access of some width at an offset, through DS. */
static const u8 accesses[][4] = {
    {1, 0x8A},       /* MOV AL, [] */
    {2, 0x66, 0x8B}, /* MOV AX, [] */
    {1, 0x8B},       /* MOV EAX, [] */
    {1, 0x88},       /* MOV [], AL */
    {2, 0x66, 0x89}, /* MOV [], AX */
    {1, 0x89},       /* MOV [], EAX */
    {1, 0x01},       /* ADD [], EAX */
    {1, 0xC4},       /* LES EAX, []: 6 bytes */
    {1, 0x62},       /* BOUND EAX, []: 8 bytes */
    {2, 0x66, 0x62}, /* BOUND AX, [] */
    {2, 0x0F, 0xC7}, /* CMPXCHG8B []: field 1 */
};
enum { ACCESSES = sizeof accesses / 4 };

static void memory_limits(void) {
    group("limit.memory", 1);
    watch_more(false, true, false);
    for (u32 kind = 0; kind < LIMITED; kind++) {
        for (u32 which = 0; which < EDGES; which++) {
            for (u32 access = 0; access < ACCESSES; access++) {
                if (kind >= 5 && kind != 7 && edges[which] > 0xFFFF && edges[which] < 0xFFFFFFF8) {
                    continue;
                }
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                start_eax = 0;
                GDT_SLOT(TEST) = limited(kind);
                start_ds = selector(TEST, 3);
                fill_data();
                emit(accesses[access][0], accesses[access] + 1);
                EMIT(access == 10 ? 0x0D : 0x05);
                emit32(edges[which]);
                RUN(kind, which, access);
            }
        }
    }
    group("limit.address16", 1);
    for (u32 kind = 0; kind < LIMITED; kind++) {
        for (u32 which = 0; which < 26; which++) {
            if (!next_case()) {
                continue;
            }
            start_in_ring(3);
            GDT_SLOT(TEST) = limited(kind);
            start_ds = selector(TEST, 3);
            fill_data();
            start_ebx = 0x12340000 | (edges[which] + 0x10); /* what is above 16 bits falls away */
            EMIT(0x67, 0x8B, 0x47, 0xF0);                   /* MOV EAX, [BX - 10h] */
            RUN(kind, which);
        }
    }
    watch_more(false, false, false);
}

/* String instructions meet the limit after some iterations. */
static void string_limits(void) {
    group("limit.string", 1);
    watch_more(false, true, false);
    static const u8 strings[][4] = {{2, 0xF3, 0xA4}, {2, 0xF3, 0xA5}, {2, 0xF3, 0xAB},      {2, 0xF3, 0xAD},
                                    {2, 0xF3, 0xA7}, {2, 0xF3, 0xAE}, {3, 0x66, 0xF3, 0xA5}};
    for (u32 kind = 0; kind < LIMITED; kind++) {
        for (u32 which = 0; which < sizeof strings / 4; which++) {
            for (u32 mix = 0; mix < 8; mix++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                GDT_SLOT(TEST) = limited(kind);
                start_ds = selector(TEST, 3);
                start_es = mix & 1 ? start_ds : start_es;
                fill_data();
                start_flags |= mix & 2 ? FLAG_D : 0;
                start_ecx = 9;
                start_esi = mix & 4 ? 0x72 : 0x44;
                start_edi = (mix & 1 ? 0 : DATA) + 0x60;
                start_eax = 0xDADADADA;
                emit(strings[which][0], strings[which] + 1);
                RUN(kind, which, mix);
            }
        }
    }
    watch_more(false, false, false);
}

/* Instructions that push or pop, on a stack that ends. */
static const u8 stack_instructions[][8] = {
    {1, 0x50},                         /* PUSH EAX */
    {2, 0x66, 0x50},                   /* PUSH AX */
    {1, 0x5B},                         /* POP EBX */
    {2, 0x66, 0x5B},                   /* POP BX */
    {1, 0x60},                         /* PUSHA */
    {2, 0x66, 0x60},                   /* PUSHA, 16 bits */
    {1, 0x61},                         /* POPA */
    {2, 0x66, 0x61},                   /* POPA, 16 bits */
    {1, 0x9C},                         /* PUSHF */
    {5, 0xE8, 0, 0, 0, 0},             /* CALL */
    {1, 0xC3},                         /* RET */
    {3, 0xC2, 4, 0},                   /* RET 4 */
    {1, 0xC9},                         /* LEAVE */
    {4, 0xC8, 8, 0, 0},                /* ENTER 8, 0 */
    {4, 0xC8, 0, 0, 2},                /* ENTER 0, 2 */
    {6, 0xFF, 0x35, 0, 0xA0, 0x30, 0}, /* PUSH [DATA] */
    {6, 0x8F, 0x05, 0, 0xA0, 0x30, 0}, /* POP [DATA] */
    {1, 0x06},                         /* PUSH ES */
    {1, 0x1F},                         /* POP DS */
    {4, 0x8F, 0x44, 0x24, 0},          /* POP [ESP]: the address uses ESP after the pop */
    {1, 0x5C},                         /* POP ESP */
    {1, 0x54},                         /* PUSH ESP */
};
enum { STACK_INSTRUCTIONS = sizeof stack_instructions / 8 };

/* What an earlier case left on the stack must not show. */
static void fill_around(u32 address) {
    for (u32 at = (address & ~3u) - 0x40; at < address + 0x40; at += 4) {
        *(u32*)at = 0xE0E1E2E3 + (at & 0xFF) * 0x01010101;
    }
}

static void stack_limits(void) {
    group("limit.stack", 2);
    watch_more(false, true, false);
    static const u32 pointers[] = {0,
                                   1,
                                   2,
                                   3,
                                   4,
                                   6,
                                   0x10,
                                   0x20,
                                   START_STACK - 0x24,
                                   START_STACK - 8,
                                   START_STACK - 6,
                                   START_STACK - 4,
                                   START_STACK - 3,
                                   START_STACK - 2,
                                   START_STACK - 1,
                                   START_STACK,
                                   START_STACK + 1,
                                   START_STACK + 4,
                                   0xFFFE,
                                   0xFFFF};
    for (u32 kind = 0; kind < 4; kind++) {
        for (u32 which = 0; which < STACK_INSTRUCTIONS; which++) {
            for (u32 at = 0; at < sizeof pointers / 4; at++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                const bool down = (kind & 1) != 0;
                const u32 bottom = START_STACK - 0x20;
                GDT_SLOT(TEST) =
                    segment(ring_page(3), down ? bottom - 1 : START_STACK - 1, down ? 0xF7 : 0xF3, kind & 2 ? BIG : 0);
                start_ss = selector(TEST, 3);
                start_esp = (down ? bottom : 0) + pointers[at];
                if ((kind & 2) == 0) {
                    start_esp = 0x31310000 | (start_esp & 0xFFFF);
                }
                start_ebp = start_esp;
                fill_data();
                fill_around(ring_page(3) + (kind & 2 ? start_esp : start_esp & 0xFFFF));
                fill_around(ring_page(3) + 0x40);
                GDT_SLOT(TEST + 1) = segment(CODE, 2 * PAGE - 1, 0xFB, BIG); /* RET leads nowhere else */
                start_cs = selector(TEST + 1, 3);
                start_eip = 0;
                emit(stack_instructions[which][0], stack_instructions[which] + 1);
                EMIT(0xCC);
                RUN(kind, which, at);
            }
        }
    }
    watch_more(false, false, false);
}

/* LAR, LSL, VERR, VERW of each sixth byte and of odd selectors. */
static void emit_query(u32 form, bool narrow, bool from_memory, u16 value) {
    static const u8 forms[][3] = {{0x0F, 0x02, 0x09}, {0x0F, 0x03, 0x09}, {0x0F, 0x00, 0x21}, {0x0F, 0x00, 0x29}};
    start_eax = 0x98760000 | value;
    if (narrow) {
        EMIT(0x66);
    }
    EMIT(forms[form][0], forms[form][1]);
    const u32 field = form < 2 ? 1 : form + 2;
    if (from_memory) {
        *(u16*)DATA = value;
        EMIT((u8)(0x05 | field << 3)); /* [DATA] */
        emit32(DATA);
    } else {
        EMIT((u8)(0xC0 | field << 3)); /* EAX */
    }
}

static void queries(void) {
    group("limit.query", 10);
    for (u32 form = 0; form < 4; form++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 rpl = 0; rpl < 4; rpl++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    start_in_ring(ring);
                    start_flags |= random & 4 ? 0x40 : 0;
                    GDT_SLOT(TEST) = any_descriptor(access);
                    emit_query(form, random & 1, random & 2, selector(TEST, rpl));
                    RUN(form, access, ring, rpl, random & 7);
                }
            }
        }
    }
    group("limit.odd_query", 1);
    static const u16 odd[] = {
        0,      1,      2,      3,  SLOTS * 8, SLOTS * 8 + 3, (SLOTS - 1) * 8, 0xFFFF, LOCAL_SLOTS * 8 + 4, 4, 7,
        12 + 1, 20 + 2, 28 + 3, 36, 36 + 3,    44 + 1,        52 + 2,          60 + 3};
    for (u32 form = 0; form < 4; form++) {
        for (u32 which = 0; which < sizeof odd / 2; which++) {
            for (u32 ring = 0; ring < 4; ring++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(ring);
                start_local = which & 1 ? 0 : start_local;
                emit_query(form, false, false, odd[which]);
                RUN(form, which, ring);
            }
        }
    }
    group("limit.lsl", 1);
    for (u32 kind = 0; kind < LIMITED; kind++) {
        for (u32 narrow = 0; narrow < 2; narrow++) {
            if (!next_case()) {
                continue;
            }
            GDT_SLOT(TEST) = limited(kind);
            emit_query(1, narrow, false, selector(TEST, 0));
            RUN(kind, narrow);
        }
    }
}

static void adjust_privilege(void) {
    group("limit.arpl", 1);
    watch_more(false, true, false);
    for (u32 mix = 0; mix < 16; mix++) {
        for (u32 form = 0; form < 4; form++) {
            if (!next_case()) {
                continue;
            }
            start_in_ring(form & 2 ? 3 : 0);
            start_flags |= 0x8D5 & ~(mix & 1 ? 0x40u : 0u);
            start_eax = 0x12345670 | (mix & 3);
            start_ecx = 0x89ABCDE4 | mix >> 2;
            if (form & 1) {
                *(u16*)DATA = (u16)start_eax;
                EMIT(0x63, 0x0D);
                emit32(DATA);
            } else {
                EMIT(0x63, 0xC8); /* ARPL AX, CX */
            }
            RUN(mix, form);
        }
    }
    watch_more(false, false, false);
}

static void bounds(void) {
    group("limit.bound", 1);
    static const int32_t values[] = {0, 1, 4, 5, 6, -1, -5, -6, -4, 0x7FFF, 0x8000, 0x7FFFFFFF, (int32_t)0x80000000};
    static const int32_t ranges[][2] = {{0, 4},           {-5, 5}, {5, -5}, {0, 0}, {(int32_t)0x80000000, 0x7FFFFFFF},
                                        {0x7FFF, -0x8000}};
    for (u32 value = 0; value < 13; value++) {
        for (u32 range = 0; range < 6; range++) {
            for (u32 narrow = 0; narrow < 2; narrow++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                start_eax = (u32)values[value];
                if (narrow) {
                    EMIT(0x66);
                    ((int16_t*)DATA)[0] = (int16_t)ranges[range][0];
                    ((int16_t*)DATA)[1] = (int16_t)ranges[range][1];
                } else {
                    ((int32_t*)DATA)[0] = ranges[range][0];
                    ((int32_t*)DATA)[1] = ranges[range][1];
                }
                EMIT(0x62, 0x05);
                emit32(DATA);
                RUN(value, range, narrow);
            }
        }
    }
}

/* ENTER copies frame pointers from below EBP, on stacks of 16 and 32 bits. */
static void frames(void) {
    group("limit.enter", 1);
    for (u32 level = 0; level < 35; level++) {
        for (u32 kind = 0; kind < 4; kind++) {
            for (u32 bytes = 0; bytes < 3; bytes++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                if (kind & 2) {
                    start_ss = selector(RING_DATA16 + 3, 3);
                    start_esp = 0x77770000 + START_STACK;
                }
                start_ebp = start_esp + 0x100;
                for (u32 i = 0; i < 0x60; i++) {
                    ((u16*)(ring_page(3) + START_STACK + 0x40))[i] = (u16)(0xB000 + i);
                }
                if (kind & 1) {
                    EMIT(0x66);
                }
                EMIT(0xC8, (u8)(bytes == 2 ? 0xFE : bytes * 0x10), (u8)(bytes == 2 ? 0xFF : 0), (u8)level);
                RUN(level, kind, bytes);
            }
        }
    }
}

/* The stack has room for the words, but not for what they reserve. */
static void frames_without_room(void) {
    group("limit.enter_room", 1);
    for (u32 level = 0; level < 3; level++) {
        for (u32 bytes = 0; bytes < 0x20; bytes += 2) {
            for (u32 wide = 0; wide < 2; wide++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                GDT_SLOT(TEST) = segment(ring_page(3), START_STACK - 0x21, 0xF7, wide ? BIG : 0);
                start_ss = selector(TEST, 3);
                start_esp = START_STACK;
                start_ebp = START_STACK + 0x20;
                EMIT(0xC8, (u8)bytes, 0, (u8)level);
                RUN(level, bytes, wide);
            }
        }
    }
}

static void emit_near(u32 form, u32 target, u32 prefix) {
    switch (form) {
    case 0:
        EMIT(0xE9); /* JMP */
        emit32(target - 5 - prefix);
        break;
    case 1:
        EMIT(0xE8); /* CALL */
        emit32(target - 5 - prefix);
        break;
    case 2:
        EMIT(0x0F, 0x85); /* JNZ */
        emit32(target - 6 - prefix);
        break;
    case 3:
        EMIT(0xFF, 0xE0); /* JMP EAX */
        break;
    case 4:
        EMIT(0xFF, 0xD0); /* CALL EAX */
        break;
    case 5:
        EMIT(0xC3);
        break;
    case 6:
        EMIT(0xC2, 8, 0);
        break;
    default:
        EMIT(0x74, 0x7F); /* JZ, not taken */
        break;
    }
}

/* Near transfers and instructions that reach beyond the code segment's limit. */
static void code_limits(void) {
    group("limit.code", 1);
    static const u32 targets[] = {0x1000, 2 * PAGE - 2, 2 * PAGE - 1, 2 * PAGE, 0xFFFF, 0x11000, 0xFFFFFFFF};
    for (u32 form = 0; form < 8; form++) {
        for (u32 which = 0; which < sizeof targets / 4; which++) {
            for (u32 big = 0; big < 2; big++) {
                if (!next_case()) {
                    continue;
                }
                start_in_ring(3);
                GDT_SLOT(TEST) = segment(CODE, 2 * PAGE - 1, 0xFB, big ? BIG : 0);
                start_cs = selector(TEST, 3);
                start_eip = 0;
                const u32 target = targets[which];
                start_eax = target;
                *(u32*)(start_esp) = target;
                *(u32*)DATA = target;
                const u32 prefix = big ? 0 : 1; /* 32 bits wide either way */
                if (prefix) {
                    EMIT(0x66);
                }
                emit_near(form, target, prefix);
                RUN(form, which, big);
            }
        }
    }
}

static void fetch_limits(void) {
    group("limit.fetch", 1);
    for (u32 room = 0; room < 8; room++) {
        for (u32 big = 0; big < 2; big++) {
            if (!next_case()) {
                continue;
            }
            start_in_ring(3);
            GDT_SLOT(TEST) = segment(CODE, room - 1 + 0x10, 0xFB, big ? BIG : 0);
            start_cs = selector(TEST, 3);
            start_eip = 0x10;
            EMIT(0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
            EMIT(0x26, 0xC7, 0x05); /* MOV [DATA], 1 with a prefix: 11 bytes; of 16 bits 8 */
            emit32(DATA);
            emit32(1);
            RUN(room, big);
        }
    }
}

void limit_cases(void) {
    watch_more(false, false, false);
    queries();
    adjust_privilege();
    bounds();
    frames();
    if (!peer_is_qemu) { /* its code checks no limits */
        frames_without_room();
        memory_limits();
        string_limits();
        stack_limits();
        code_limits();
        fetch_limits();
    }
}
