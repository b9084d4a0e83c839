#include "case.h"

/* Far RET and IRET: the popped code segment, the outer stack, the flags, and
 * the data segments that are dropped. */

enum { IMAGE = START_STACK - 0x28 }; /* what is popped lies here, on the ring's page */
enum { RET, RET_RELEASE, IRET, WAYS };

static u32 image_ring, image_at, image_size;

static void begin_image(u32 ring, u32 size) {
    image_ring = ring;
    image_at = ring_page(ring) + IMAGE;
    image_size = size;
    start_in_ring(ring);
    start_esp = image_at;
}

static void put(u32 value) {
    if (image_size == 4) {
        *(u32*)image_at = value;
    } else {
        *(u16*)image_at = (u16)value;
    }
    image_at += image_size;
}

/* A whole image: the outer stack's words are there even if the return stays in
 * its ring. */
static void put_return(u32 way, u32 offset, u16 code, u32 flags, u32 stack, u16 stack_segment) {
    put(offset);
    put(code);
    if (way == IRET) {
        put(flags);
    }
    if (way == RET_RELEASE) {
        put(0xEEEEEEEE);
        put(0xEEEEEEEF);
    }
    put(stack);
    put(stack_segment);
}

static void emit_return(u32 way) {
    if (image_size == 2) {
        EMIT(0x66);
    }
    if (way == RET) {
        EMIT(0xCB);
    } else if (way == RET_RELEASE) {
        EMIT(0xCA, (u8)(2 * image_size), 0);
    } else {
        EMIT(0xCF);
    }
}

static u64 near_descriptor(u32 access, bool wide) {
    return (access & SEGMENT) != 0 ? segment(CODE, 2 * PAGE - 1, access, wide ? BIG : 0) : any_descriptor(access);
}

/* A stack that 16 bits reach: the ring's page. */
static u16 outer_stack(u32 ring) { return selector(RING_DATA16 + ring, ring); }

static void code_segments(void) {
    group("ret.code", 6);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 rpl = 0; rpl < 4; rpl++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    begin_image(ring, random & 1 ? 4 : 2);
                    GDT_SLOT(TEST) = near_descriptor(access, random & 2);
                    put_return(way, TARGET - CODE, selector(TEST, rpl), FLAG_FIXED, START_STACK, outer_stack(rpl));
                    emit_return(way);
                    RUN(way, access, ring, rpl, random & 3);
                }
            }
        }
    }
}

static const u16 odd[] = {0, 1, 2, 3, SLOTS * 8, SLOTS * 8 + 3, (SLOTS - 1) * 8 + 3, 0xFFFF, LOCAL_SLOTS * 8 + 7,
                          /* the LDT's code and data of rings 0 to 3, with several RPL */
                          4, 7, 12 + 1, 12 + 3, 20 + 2, 28 + 3, 36, 36 + 3, 44 + 1, 52 + 2, 60 + 3};
enum { ODD_SELECTORS = sizeof odd / 2 };

static void odd_selectors(void) {
    group("ret.odd", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 which = 0; which < ODD_SELECTORS; which++) {
            for (u32 ring = 0; ring < 4; ring++) {
                for (u32 of_stack = 0; of_stack < 2; of_stack++) {
                    if (!next_case()) {
                        continue;
                    }
                    begin_image(ring, 4);
                    const u16 code = of_stack ? code_of(3) : odd[which];
                    put_return(way, TARGET, code, FLAG_FIXED, ring_page(3) + START_STACK,
                               of_stack ? odd[which] : data_of(code & 3));
                    emit_return(way);
                    RUN(way, which, ring, of_stack);
                }
            }
        }
    }
}

static void stack_segments(void) {
    group("ret.stack", 4);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 access = 0; access < 256; access++) {
            for (u32 outer = 1; outer < 4; outer++) {
                for (u32 rpl = 0; rpl < 4; rpl++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    begin_image(random % outer, random & 0x100 ? 4 : 2);
                    GDT_SLOT(TEST) = (access & SEGMENT) != 0 ? segment(ring_page(outer), PAGE - 1, access, 0)
                                                             : any_descriptor(access);
                    put_return(way, TARGET - CODE, selector(RING_CODE16 + outer, outer), FLAG_FIXED, START_STACK,
                               selector(TEST, rpl));
                    emit_return(way);
                    RUN(way, access, outer, rpl, random % outer, random >> 8 & 1);
                }
            }
        }
    }
}

/* Which half of ESP an outer return writes, by operand size and the old and the
 * new stack's width. */
static void stack_pointers(void) {
    group("ret.esp", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 mix = 0; mix < 16; mix++) {
            if (!next_case()) {
                continue;
            }
            const bool outward = (mix & 8) != 0;
            begin_image(0, mix & 1 ? 4 : 2);
            if ((mix & 2) != 0) {
                start_ss = selector(RING_DATA16, 0);
                start_esp = 0x76540000 + IMAGE;
            }
            GDT_SLOT(TEST) = segment(ring_page(3), 0xFFFFF, 0xF3, mix & 4 ? BIG | GRANULAR : GRANULAR);
            put_return(way, TARGET - CODE, selector(RING_CODE16 + (outward ? 3 : 0), outward ? 3 : 0), FLAG_FIXED,
                       START_STACK + (mix & 4 ? 0 : 0x12340000), selector(TEST, 3));
            emit_return(way);
            RUN(way, mix);
        }
    }
}

/* Which data segments stay loaded: data and code of each ring, conforming or
 * not. */
static void dropped_segments(void) {
    group("ret.segments", 1);
    static const u8 accesses[] = {0x91, 0x93, 0x95, 0x97, 0x9B, 0x9F};
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 outer = 0; outer < 4; outer++) {
            for (u32 which = 0; which < sizeof accesses; which++) {
                for (u32 shift = 0; shift < 4; shift++) {
                    if (!next_case()) {
                        continue;
                    }
                    begin_image(0, 4);
                    u32* registers[] = {&start_ds, &start_es, &start_fs, &start_gs};
                    for (u32 i = 0; i < 4; i++) {
                        const u32 dpl = (i + shift) & 3;
                        GDT_SLOT(TEST + i) = segment(0, 0xFFFFF, accesses[which] | dpl << 5, GRANULAR | BIG);
                        *registers[i] = selector(TEST + i, shift == 0 ? 0 : dpl);
                    }
                    put_return(way, TARGET, code_of(outer), FLAG_FIXED, ring_page(outer) + START_STACK, data_of(outer));
                    emit_return(way);
                    RUN(way, outer, which, shift);
                }
            }
        }
    }
}

/* The return address against the segment's limit; the image against the
 * stack's. */
static void limits(void) {
    group("ret.limit", 1);
    static const u32 offsets[] = {0x800, 2 * PAGE - 1, 2 * PAGE, 0xFFFF, 0x10800, 0xFFFFFFFF};
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 which = 0; which < 6; which++) {
            for (u32 outer = 0; outer < 4; outer += 3) {
                for (u32 size = 2; size <= 4; size += 2) {
                    if (!next_case()) {
                        continue;
                    }
                    begin_image(0, size);
                    put_return(way, offsets[which], selector(RING_CODE16 + outer, outer), FLAG_FIXED, START_STACK,
                               outer_stack(outer));
                    emit_return(way);
                    RUN(way, which, outer, size);
                }
            }
        }
    }
}

static void short_images(void) {
    group("ret.short", 1);
    for (u32 way = 0; way < WAYS; way++) {
        for (u32 outer = 0; outer < 4; outer += 3) {
            for (u32 room = 0; room < 0x20; room += 2) {
                for (u32 size = 2; size <= 4; size += 2) {
                    /* Ring 0's own stack must hold what INT3 pushes. */
                    if (!next_case()) {
                        continue;
                    }
                    begin_image(2, size);
                    GDT_SLOT(TEST) = segment(ring_page(2), IMAGE + room - 1, 0xD3, 0);
                    start_ss = selector(TEST, 2);
                    start_esp = IMAGE;
                    const u32 ring = outer == 0 ? 2 : 3;
                    put_return(way, TARGET - CODE, selector(RING_CODE16 + ring, ring), FLAG_FIXED, START_STACK,
                               outer_stack(ring));
                    emit_return(way);
                    RUN(way, outer, room, size);
                }
            }
        }
    }
}

/* Which flags IRET and POPF take, by ring and IOPL. */
static void flags(void) {
    group("ret.flags", 1);
    static const u32 images[] = {
        0x3000, FLAG_I,     FLAG_NT,       FLAG_RF, FLAG_AC, FLAG_VIF, FLAG_VIP, FLAG_ID, 0x257DD7 - FLAG_T - FLAG_NT,
        0,      0xFFC08028, FLAG_D | 0x8D5};
    for (u32 which = 0; which < 12; which++) {
        for (u32 mix = 0; mix < 64; mix++) {
            if (!next_case()) {
                continue;
            }
            const u32 ring = mix & 3, privilege = mix >> 2 & 3, size = mix & 16 ? 4 : 2;
            begin_image(ring, size);
            start_flags |= privilege << 12;
            if ((mix & 32) != 0) {
                put(images[which]);
                if (size == 2) {
                    EMIT(0x66);
                }
                EMIT(0x9D); /* POPF */
            } else {
                start_flags |= which & 1 ? FLAG_I | FLAG_ID | FLAG_AC : 0;
                put_return(IRET, TARGET - CODE, selector(RING_CODE16 + ring, ring), images[which], 0, 0);
                emit_return(IRET);
            }
            RUN(which, mix);
        }
    }
}

/* From an inner ring outwards with each IOPL, and VM = 1 where it does not
 * count. */
static void outward_flags(void) {
    group("ret.outward_flags", 1);
    static const u32 images[] = {0x3200, 0x0200, 0x1000, 0x247FD7 - FLAG_T, 0};
    for (u32 which = 0; which < 5; which++) {
        for (u32 ring = 0; ring < 3; ring++) {
            for (u32 privilege = 0; privilege < 4; privilege++) {
                for (u32 size = 2; size <= 4; size += 2) {
                    for (u32 vm = 0; vm < 2; vm++) {
                        if ((vm == 1 && ring == 0) || !next_case() || (vm == 1 && peer_is_qemu)) {
                            continue;
                        }
                        begin_image(ring, size);
                        start_flags |= privilege << 12;
                        put_return(IRET, TARGET - CODE, selector(RING_CODE16 + 3, 3),
                                   images[which] | (vm ? FLAG_VM : 0), START_STACK, outer_stack(3));
                        emit_return(IRET);
                        RUN(which, ring, privilege, size, vm);
                    }
                }
            }
        }
    }
}

/* Several things wrong at once: the order of the checks. */
static void random_returns(void) {
    group("ret.random", 1);
    static const u8 accesses[] = {0x9B, 0xFB, 0xDF, 0x9F, 0x93, 0xF3, 0x13, 0x1B, 0x7B, 0x73, 0xF1, 0x00, 0x8C, 0x85};
    for (u32 number = 0; number < 3000; number++) {
        if (!next_case()) {
            continue;
        }
        const u32 random = random_number(), ring = random & 3, way = (random >> 2) % WAYS;
        const u32 code = random >> 4 & 15, stack = random >> 8 & 15;
        begin_image(ring, random & 0x1000 ? 4 : 2);
        start_flags |= random >> 13 & 0x3000;
        GDT_SLOT(TEST) = near_descriptor(code < 14 ? accesses[code] : 0xFB, random & 0x2000);
        GDT_SLOT(TEST + 1) = segment(ring_page(3), PAGE - 1, stack < 14 ? accesses[stack] : 0xF3, 0);
        if ((random >> 14 & 3) == 0) { /* an image that the stack does not hold whole */
            GDT_SLOT(TEST + 2) = segment(ring_page(ring), IMAGE + (random >> 20 & 31), 0x93 | ring << 5, 0);
            if (ring != 0) {
                start_ss = selector(TEST + 2, ring);
                start_esp = IMAGE;
            }
        }
        const u32 offset = random >> 16 & 1 ? TARGET - CODE : 2 * PAGE + (random >> 25);
        const u32 images = random >> 17 & 1 ? FLAG_FIXED : 0x3202;
        put_return(way, offset, selector(TEST, random >> 18 & 3), images, START_STACK,
                   selector(TEST + 1, random >> 20 & 3));
        emit_return(way);
        RUN(number, random);
    }
}

void return_cases(void) {
    watch_more(true, false, false);
    code_segments();
    odd_selectors();
    stack_segments();
    stack_pointers();
    dropped_segments();
    limits();
    short_images();
    flags();
    outward_flags();
    random_returns();
    watch_more(false, false, false);
}
