#include "debug.h"

/* Debug registers: what they hold, what guards them, breakpoints of each kind. Single steps, shadows and what meets
 * several of these: steps.c. */

void start_in_mode(u32 mode) {
    if (mode < 4) {
        start_in_ring(mode);
    } else if (mode < IN_VIRTUAL) {
        const u32 ring = mode == IN_16_BITS ? 0 : 3;
        start_in_ring16(ring);
        start_ss = data_of(ring);
        start_esp = ring_page(ring) + START_STACK;
    } else {
        start_in_ring(3);
        emit_from(V_CODE);
        start_flags = FLAG_FIXED | FLAG_VM | 0x3000;
        start_cs = V_SEGMENT;
        start_eip = 0;
        start_ss = V_STACK >> 4;
        start_esp = START_STACK;
        start_ds = start_es = start_fs = start_gs = V_DATA >> 4;
    }
    start_ebx = mode == IN_VIRTUAL ? 0x10 : DATA + 0x10;
}

u32 first_instruction(u32 mode) { return mode == IN_VIRTUAL ? V_CODE : CODE; }

void emit_wide(u32 mode) {
    if (mode >= IN_16_BITS) {
        EMIT(0x66);
    }
}

u32 data_of_mode(u32 mode) { return mode == IN_VIRTUAL ? V_DATA : DATA; }

/* Where code has a base, QEMU meets a breakpoint for ever. */
static bool is_lost_on_qemu(u32 mode) { return peer_is_qemu && mode >= IN_16_BITS; }

static const u32 values[] = {0,          0xFFFFFFFF, 0x55555555, 0xAAAAAAAA, 0x00000001, 0x0000E00F,
                             0xFFFF0FF0, 0x0000D800, 0x00002000, 0x00001C00, 0xFFFF0000, 0x000000FF};
enum { VALUES = sizeof values / 4 };

static void what_registers_hold(void) {
    group("debug.register", 1);
    for (u32 number = 0; number < 8; number++) {
        for (u32 which = 0; which < VALUES; which++) {
            for (u32 extensions = 0; extensions < 2; extensions++) {
                for (u32 mode = 0; mode < MODES; mode++) {
                    if (!next_case()) {
                        continue;
                    }
                    start_in_mode(mode);
                    start_cr4 = extensions ? CR4_DE : 0;
                    start_eax = values[which];
                    EMIT(0x0F, 0x23, (u8)(0xC0 | number << 3)); /* MOV DRn, EAX */
                    EMIT(0x0F, 0x21, (u8)(0xC1 | number << 3)); /* MOV ECX, DRn */
                    EMIT(0xCC);
                    RUN(number, which, extensions, mode);
                }
            }
        }
    }
}

/* DR7.GD: which access meets #DB, which other exception goes before it; and that nothing else is guarded. */
static void general_detect(void) {
    group("debug.guard", 1);
    static const u8 others[][4] = {{3, 0x0F, 0x20, 0xC1}, {3, 0x0F, 0x22, 0xD0}, {1, 0xF1},
                                   {2, 0x0F, 0x0B},       {2, 0xCD, 0x30},       {4, 0xF0, 0x0F, 0x21}};
    for (u32 number = 0; number < 16 + sizeof others / 4; number++) {
        for (u32 extensions = 0; extensions < 2; extensions++) {
            for (u32 mode = 0; mode < MODES; mode++) {
                for (u32 before = 0; before < 2; before++) {
                    if (!next_case() || (before && is_lost_on_qemu(mode))) {
                        continue;
                    }
                    start_in_mode(mode);
                    start_cr4 = extensions ? CR4_DE : 0;
                    start_dr6 = before ? 0xC00F : 0;
                    start_dr7 = DR7_GD;
                    if (before) {
                        break_at(3, first_instruction(mode), ON_EXECUTE, LENGTH_1, GLOBAL_ENABLE);
                        start_flags |= start_cs == code_of(3) ? FLAG_RF : 0;
                    }
                    if (number < 16) {
                        EMIT(0x0F, (u8)(number < 8 ? 0x21 : 0x23), (u8)(0xC0 | (number & 7) << 3));
                    } else {
                        emit(others[number - 16][0], others[number - 16] + 1);
                    }
                    EMIT(0xC0, 0xCC);
                    RUN(number, extensions, mode, before);
                }
            }
        }
    }
}

/* Instructions that a breakpoint may lie on, each at its first byte and at the following ones. */
static const u8 instructions[][8] = {
    {1, 0x90},                   /* NOP */
    {2, 0x3E, 0x90},             /* DS: NOP */
    {2, 0x89, 0xC1},             /* MOV ECX, EAX */
    {2, 0xEB, 0x01},             /* JMP over a byte */
    {2, 0xCD, 0x30},             /* INT 30h */
    {2, 0x0F, 0x0B},             /* UD2 */
    {2, 0x89, 0x03},             /* MOV [EBX], EAX */
    {1, 0xFB},                   /* STI */
    {1, 0x9C},                   /* PUSHF */
    {2, 0xF3, 0xAA},             /* REP STOSB */
    {4, 0x31, 0xC9, 0xF7, 0xF1}, /* divide error */
    {1, 0xCC},
    {2, 0x3E, 0xCC},
    {1, 0xF4}, /* HLT: #GP outside ring 0 */
};
enum { INSTRUCTIONS = sizeof instructions / 8, HALTS = 13 };

static void code_breakpoints(void) {
    group("debug.code", 2);
    for (u32 which = 0; which < INSTRUCTIONS; which++) {
        for (u32 mode = 0; mode < MODES; mode++) {
            for (u32 at = 0; at < 4; at++) {
                for (u32 mix = 0; mix < 8; mix++) {
                    if ((which == HALTS && (mode == 0 || mode == IN_16_BITS)) || !next_case() ||
                        is_lost_on_qemu(mode)) {
                        continue;
                    }
                    start_in_mode(mode);
                    note_debug_exceptions();
                    const u32 random = random_number();
                    start_ecx = 3;
                    start_edi = mode == IN_VIRTUAL ? 0x20 : DATA + 0x20;
                    break_at(random >> 3 & 3, first_instruction(mode) + at, ON_EXECUTE, LENGTH_1, mix & 3);
                    start_dr7 |= random & DR7_EXACT;
                    if ((mix & 4) != 0 && mode != 0 && mode != IN_16_BITS) {
                        start_flags |= FLAG_RF;
                    }
                    emit(instructions[which][0], instructions[which] + 1);
                    EMIT(0x90, 0x90, 0xCC);
                    RUN(which, mode, at, mix, random & 0x1F, random >> 8 & 3);
                }
            }
        }
    }
    group("debug.code_length", 1);
    for (u32 length = 0; length < 4; length++) {
        for (u32 at = 0; at < 8; at++) {
            for (u32 number = 0; number < 4; number++) {
                if (!next_case()) {
                    continue;
                }
                note_debug_exceptions();
                break_at(number, CODE + at, ON_EXECUTE, length, LOCAL_ENABLE);
                EMIT(0x90, 0x90, 0x3E, 0x90, 0x89, 0xC1, 0xCC);
                RUN(length, at, number);
            }
        }
    }
}

/* RF as IRET sets it, of 32 and of 16 bits, to the same ring and outwards; POPF does not set it. */
static void resume_flag(void) {
    group("debug.resume", 1);
    for (u32 form = 0; form < 5; form++) {
        for (u32 flags = 0; flags < 4; flags++) {
            for (u32 on = 0; on < 4; on++) {
                if (!next_case() || (form == 1 && is_lost_on_qemu(IN_16_BITS))) {
                    continue;
                }
                note_debug_exceptions();
                const u32 ring = form == 2 ? 3 : 0;
                u32* image = (u32*)(start_esp = ring_page(0) + START_STACK - 0x24);
                const u32 wanted = FLAG_FIXED | (flags & 1 ? FLAG_RF : 0) | (flags & 2 ? FLAG_T : 0);
                if (form == 1) {
                    *image++ = 0x40 | code_of(0) << 16;
                    *image++ = wanted;
                    start_cs = selector(RING_CODE16, 0);
                    start_eip = 0;
                    image[-2] = 0x40 | (u32)start_cs << 16;
                    EMIT(0xCF);
                } else if (form == 3) {
                    *image++ = wanted;
                    EMIT(0x9D, 0xEB, 0x3D); /* POPF; JMP to the same place */
                } else {
                    *image++ = CODE + 0x40;
                    *image++ = code_of(ring);
                    *image++ = wanted;
                    *image++ = ring_page(3) + START_STACK;
                    *image++ = data_of(3);
                    EMIT(0xCF);
                }
                emit_from(emit_here());
                for (u32 i = 0; i < 4; i++) {
                    break_at(i, CODE + 0x40 + (i == 0 ? 0 : i + (on & 1)), ON_EXECUTE, LENGTH_1, on & 2 ? 1 : i == 0);
                }
                static const u8 behind[] = {0x90, 0x90, 0x89, 0xC1, 0x90, 0xCC};
                for (u32 i = 0; i < 6; i++) {
                    ((volatile u8*)CODE)[0x40 + i] = behind[i];
                }
                if (form == 4) {
                    start_dr[1] = CODE; /* IRET itself is resumed */
                }
                RUN(form, flags, on);
                for (u32 i = 0; i < 0x50; i++) {
                    ((volatile u8*)CODE)[i] = 0xCC;
                }
            }
        }
    }
}

/* Accesses at [EBX]; with REP three times. */
static const u8 accesses[][8] = {
    {2, 0x8A, 0x03},             /* MOV AL, [] */
    {3, 0x66, 0x8B, 0x03},       /* MOV AX, [] */
    {2, 0x8B, 0x03},             /* MOV EAX, [] */
    {2, 0x88, 0x03},             /* MOV [], AL */
    {3, 0x66, 0x89, 0x03},       /* MOV [], AX */
    {2, 0x89, 0x03},             /* MOV [], EAX */
    {2, 0x00, 0x03},             /* ADD [], AL */
    {3, 0x66, 0x01, 0x03},       /* ADD [], AX */
    {2, 0x01, 0x03},             /* ADD [], EAX */
    {2, 0x39, 0x03},             /* CMP [], EAX */
    {2, 0x85, 0x03},             /* TEST [], EAX */
    {2, 0x87, 0x03},             /* XCHG [], EAX */
    {3, 0x0F, 0xB1, 0x0B},       /* CMPXCHG [], ECX */
    {3, 0x0F, 0xC7, 0x0B},       /* CMPXCHG8B [] */
    {3, 0x0F, 0xC1, 0x03},       /* XADD [], EAX */
    {3, 0x0F, 0xA3, 0x13},       /* BT [], EDX */
    {3, 0x0F, 0xAB, 0x13},       /* BTS [], EDX */
    {3, 0x0F, 0x94, 0x03},       /* SETZ [] */
    {2, 0xFF, 0x33},             /* PUSH [] */
    {2, 0x8F, 0x03},             /* POP [] */
    {2, 0x62, 0x03},             /* BOUND EAX, [] */
    {2, 0xF3, 0xAA},             /* REP STOSB */
    {2, 0xF3, 0xAB},             /* REP STOSD */
    {2, 0xF3, 0xA4},             /* REP MOVSB */
    {2, 0xF3, 0xA5},             /* REP MOVSD */
    {2, 0xF3, 0xA7},             /* REPE CMPSD */
    {2, 0xF2, 0xAE},             /* REPNE SCASB */
    {2, 0xF3, 0xAC},             /* REP LODSB */
    {1, 0xD7},                   /* XLAT */
    {2, 0x03, 0x03},             /* ADD EAX, [] */
    {2, 0xFF, 0x23},             /* JMP [] */
    {2, 0x8D, 0x03},             /* LEA EAX, [] */
    {3, 0x0F, 0x01, 0x03},       /* SGDT [] */
    {4, 0x0F, 0x18, 0x0B, 0x90}, /* PREFETCHT0 [] */
    {3, 0x0F, 0x01, 0x3B},       /* INVLPG [] */
    {2, 0x8C, 0x1B},             /* MOV [], DS */
    {2, 0x8E, 0x23},             /* MOV FS, [] */
    {2, 0xDD, 0x03},             /* FLD qword [] */
    {2, 0xDB, 0x2B},             /* FLD tbyte [] */
    {3, 0x0F, 0x6F, 0x03},       /* MOVQ MM0, [] */
    {3, 0x0F, 0x7F, 0x03},       /* MOVQ [], MM0 */
    {2, 0xD9, 0x3B},             /* FNSTCW [] */
    {2, 0xF7, 0x33},             /* DIV [] */
};
enum { ACCESSES = sizeof accesses / 8, JUMPS = 30, LOADS_SEGMENT = 36, DIVIDES = 42, BOUNDS = 20, XLATS = 28 };

static void begin_access(u32 which, u32 ring) {
    start_in_mode(ring);
    note_debug_exceptions();
    for (u32 i = 0; i < 0x40; i += 4) {
        *(volatile u32*)(DATA + i) = which == JUMPS           ? CODE + 0x20
                                     : which == LOADS_SEGMENT ? data_of(3) * 0x10001u
                                     : which == BOUNDS        ? 0x10101010u + i * 0x8000000
                                                              : 0x40000000;
    }
    start_edx = 0;
    start_ecx = 3;
    start_eax = which == XLATS ? 0x100 : which == BOUNDS ? 0 : 0x22222222;
    start_esi = start_edi = start_ebx;
}

static void data_breakpoints(void) {
    group("debug.data", 3);
    for (u32 which = 0; which < ACCESSES; which++) {
        for (u32 length = 0; length < 4; length++) {
            for (u32 condition = ON_WRITE; condition <= ON_ACCESS; condition += 2) {
                for (u32 at = 0x10 - 4; at <= 0x10 + 14; at++) {
                    if (at > 0x10 + 5 && which < 21 && which != 13) {
                        continue;
                    }
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    begin_access(which, random & 3);
                    start_ebx += random >> 2 & (which == JUMPS ? 0 : 3);
                    start_edi = start_esi = start_ebx;
                    if (random & 0x40) {
                        start_esi += 0x10;
                    }
                    break_at(random >> 4 & 3, DATA + at, condition, length, random >> 8 & 3);
                    start_dr7 |= random & DR7_EXACT;
                    emit(accesses[which][0], accesses[which] + 1);
                    EMIT(0x90, 0xCC);
                    RUN(which, length, condition, at, random & 0x7F, random >> 8 & 3);
                }
            }
        }
    }
    group("debug.port_without_de", 1);
    for (u32 which = 0; which < ACCESSES; which++) {
        for (u32 extensions = 0; extensions < 2; extensions++) {
            if (!next_case()) {
                continue;
            }
            begin_access(which, 0);
            start_cr4 = extensions ? CR4_DE : 0;
            break_at(0, DATA + 0x10, ON_PORT, LENGTH_4, 3);
            break_at(1, CODE, ON_PORT, LENGTH_1, 3);
            emit(accesses[which][0], accesses[which] + 1);
            EMIT(0x90, 0xCC);
            RUN(which, extensions);
        }
    }
}

/* Ports E0h to E7h, where nothing is. */
static void port_breakpoints(void) {
    group("debug.port", 2);
    static const u8 transfers[][4] = {{1, 0xEC},       {1, 0xED},       {2, 0x66, 0xED}, {1, 0xEE},
                                      {1, 0xEF},       {1, 0x6C},       {1, 0x6D},       {1, 0x6E},
                                      {2, 0xF3, 0x6E}, {2, 0xF3, 0x6C}, {2, 0xE4, 0xE2}, {2, 0xE7, 0xE2}};
    for (u32 which = 0; which < sizeof transfers / 4; which++) {
        for (u32 length = 0; length < 4; length++) {
            for (u32 at = 0xE0; at < 0xE8; at++) {
                for (u32 mix = 0; mix < 8; mix++) {
                    if (!next_case()) {
                        continue;
                    }
                    const u32 random = random_number();
                    const u32 mode = mix & 1 ? 3 : 0;
                    start_in_mode(mode);
                    note_debug_exceptions();
                    start_flags |= mix & 2 ? 0x3000 : 0;
                    start_cr4 = mix & 4 ? CR4_DE : 0;
                    start_edx = 0xE2 + (random & 1);
                    start_ecx = 2;
                    start_esi = start_edi = DATA + 0x10;
                    break_at(random >> 4 & 3, at | (random & 0x40 ? 0x10000 : 0), ON_PORT, length,
                             (random >> 8 & 1) + 1);
                    emit(transfers[which][0], transfers[which] + 1);
                    EMIT(0x90, 0xCC);
                    RUN(which, length, at, mix, random & 0x171);
                }
            }
        }
    }
}

void debug_cases(void) {
    use_debug_registers(true);
    watch_more(false, true, false);
    watch_low(true);
    what_registers_hold();
    general_detect();
    code_breakpoints();
    resume_flag();
    data_breakpoints();
    port_breakpoints();
    step_cases();
    watch_low(false);
    watch_more(false, false, false);
    use_debug_registers(false);
    for (u32 i = 0; i < 0x100; i++) {
        ((volatile u8*)TARGET)[i] = 0xCC;
    }
}
