#include "debug.h"

/* Single steps, shadows, breakpoints met by the processor's own accesses, task switches, and several conditions at
 * once. */

enum { VECTOR = 0x30, LANDING = 0x40 };

/* Where INT 30h and gates lead in these cases: a few instructions behind the handler of #DB, then INT3. */
enum { HANDLER = TARGET + 0x80 };
static void make_handler(bool returns) {
    static const u8 bytes[] = {0x90, 0x89, 0xC0, 0xCC, 0xCC, 0xCC, 0xCC};
    for (u32 i = 0; i < sizeof bytes; i++) {
        ((volatile u8*)HANDLER)[i] = returns && i == 3 ? 0xCF : bytes[i];
    }
}

/* One that clears DR7 before INT3, whose own frame might be watched. */
static void make_quiet_handler(void) {
    static const u8 bytes[] = {0x90, 0x31, 0xC0, 0x0F, 0x23, 0xF8, 0xCC};
    for (u32 i = 0; i < sizeof bytes; i++) {
        ((volatile u8*)HANDLER)[i] = bytes[i];
    }
}

/* What runs between the POPF or IRET that sets TF and the end. */
static const u8 stepped[][12] = {
    {2, 0x90, 0x90},
    {2, 0xCD, VECTOR},                                   /* INT 30h */
    {1, 0xF1},                                           /* INT1 */
    {5, 0xB0, 0x7F, 0x04, 0x01, 0xCE},                   /* INTO */
    {2, 0x0F, 0x0B},                                     /* UD2 */
    {4, 0x31, 0xC9, 0xF7, 0xF1},                         /* divide error */
    {5, 0x8C, 0xD1, 0x51, 0x17, 0x90},                   /* MOV CX, SS; PUSH; POP SS */
    {5, 0x8C, 0xD1, 0x8E, 0xD1, 0x90},                   /* MOV SS, CX */
    {6, 0x8C, 0xD1, 0x8E, 0xD1, 0xCD, VECTOR},           /* MOV SS; INT 30h */
    {6, 0x8C, 0xD1, 0x8E, 0xD1, 0x0F, 0x0B},             /* MOV SS; UD2 */
    {7, 0x8C, 0xD1, 0x8E, 0xD1, 0x8E, 0xD1, 0x90},       /* MOV SS twice */
    {6, 0x8C, 0xD1, 0x8E, 0xD1, 0x9C, 0x90},             /* MOV SS; PUSHF */
    {3, 0x9C, 0x9D, 0x90},                               /* PUSHF; POPF */
    {7, 0x9C, 0x80, 0x64, 0x24, 0x01, 0xFE, 0x9D},       /* TF is cleared */
    {3, 0xFB, 0x90, 0xFA},                               /* STI, CLI */
    {2, 0xF3, 0xAA},                                     /* REP STOSB */
    {2, 0xF3, 0xA6},                                     /* REPE CMPSB */
    {2, 0xE2, 0xFE},                                     /* LOOP to itself */
    {2, 0xEB, 0x00},                                     /* JMP */
    {8, 0x8C, 0xD8, 0x50, 0x1F, 0x8C, 0xC0, 0x50, 0x07}, /* POP DS, ES */
    {2, 0xF3, 0x90},                                     /* PAUSE */
    {3, 0xFC, 0x90, 0xFC},                               /* CLD */
    {1, 0xF4},                                           /* HLT: outside ring 0 only */
    {8, 0xE8, 0x01, 0x00, 0x00, 0x00, 0x90, 0x90, 0x58}, /* CALL, POP */
    {3, 0x0F, 0x20, 0xC0},                               /* MOV EAX, CR0 */
    {3, 0x0F, 0x22, 0xD0},                               /* MOV CR2, EAX */
    {2, 0x62, 0xC0},                                     /* BOUND of a register: #UD */
};
enum { STEPPED = sizeof stepped / 12, CLEARS = 13, HALT = 22, CALLS = 23 };

/* TF by POPF, IRET, with the flags that the case begins with outside ring 0. */
static void emit_trap_flag(u32 form, u32 mode) {
    if (form == 0) { /* PUSHF; OR [ESP+1], 1; POPF */
        EMIT(0x9C, 0x58, 0x80, 0xCC, 0x01, 0x50, 0x9D);
    } else if (form == 1) { /* a frame for IRET, to the instruction behind it */
        EMIT(0x9C, 0x58, 0x80, 0xCC, 0x01, 0x50, 0x8C, 0xCA, 0x52);
        EMIT(0xE8);
        if (mode < IN_16_BITS) {
            emit32(0);
            EMIT(0x83, 0x04, 0x24, 0x05, 0xCF); /* ADD dword [ESP], 5; IRET */
        } else {
            emit16(0);
            EMIT(0x59, 0x83, 0xC1, 0x06, 0x51, 0xCF, 0x90); /* POP CX; ADD CX, 6; PUSH CX; IRET */
        }
    } else {
        start_flags |= FLAG_T;
    }
}

static void single_steps(void) {
    group("debug.step", 1);
    for (u32 which = 0; which < STEPPED; which++) {
        for (u32 mode = 0; mode < MODES; mode++) {
            for (u32 form = 0; form < 3; form++) {
                for (u32 mix = 0; mix < 4; mix++) {
                    const bool inner = mode == 0 || mode == IN_16_BITS;
                    if ((inner && (form == 2 || which == HALT)) ||
                        (mode >= IN_16_BITS && (which == CLEARS || which == CALLS)) || !next_case()) {
                        continue;
                    }
                    start_in_mode(mode);
                    note_debug_exceptions();
                    make_handler(mix & 1);
                    if ((mix & 2) != 0) {
                        start_flags |= 0x3000;
                    }
                    IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | (mix & 2 ? TRAP_GATE : INTERRUPT_GATE),
                                            selector(RING_CODE, 0), HANDLER, 0);
                    start_edi = start_esi = start_ebx;
                    emit_trap_flag(form, mode);
                    if (which == CALLS || which == 15 || which == 16 || which == 17) {
                        emit_wide(mode);
                        EMIT(0xB9); /* MOV ECX, 3 */
                        emit32(3);
                    }
                    if (which == CALLS && mode >= IN_16_BITS) {
                        EMIT(0x66);
                    }
                    emit(stepped[which][0], stepped[which] + 1);
                    EMIT(0x90, 0xCC);
                    RUN(which, mode, form, mix);
                }
            }
        }
    }
}

/* Far transfers with TF: call gates inwards, RET and IRET outwards, task switches. */
static void steps_between_rings(void) {
    group("debug.step_far", 1);
    for (u32 form = 0; form < 6; form++) {
        for (u32 ring = 0; ring < 4; ring++) {
            for (u32 mix = 0; mix < 16; mix++) {
                if (!next_case()) {
                    continue;
                }
                start_in_mode(ring);
                note_debug_exceptions();
                make_handler(false);
                GDT_SLOT(TEST) = gate(PRESENT | 0x60 | CALL_GATE, selector(RING_CODE, 0), HANDLER, 0);
                GDT_SLOT(TASK_WIDE) |= 0x60ull << 40;
                GDT_SLOT(TEST + 1) = gate(PRESENT | 0x60 | TASK_GATE, selector(TASK_WIDE, 0), 0, 0);
                IDT_SLOT(VECTOR) = mix & 1 ? GDT_SLOT(TEST + 1)
                                           : gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE, 0), HANDLER, 0);
                struct wide_task* task = WIDE(TASK_WIDE);
                task->eip = HANDLER;
                task->flags = FLAG_FIXED | (mix & 2 ? FLAG_T : 0) | (mix & 4 ? FLAG_RF : 0);
                task->trap = mix >> 3;
                if (mix & 4) {
                    break_at(1, HANDLER, ON_EXECUTE, LENGTH_1, LOCAL_ENABLE);
                    break_at(2, HANDLER, ON_EXECUTE, LENGTH_1, mix & 8 ? GLOBAL_ENABLE : 0);
                }
                emit_trap_flag(ring == 0 ? 0 : mix & 1 ? 0 : 2, ring);
                if (form == 0) {
                    EMIT(0xCD, VECTOR);
                } else if (form < 5) {
                    EMIT((u8)(form & 1 ? 0x9A : 0xEA));
                    emit32(HANDLER);
                    emit16(form < 3  ? (form == 1 ? selector(TEST, 3) : code_of(ring))
                           : mix & 1 ? selector(TEST + 1, 3)
                                     : selector(TASK_WIDE, 3));
                } else {
                    EMIT(0x6A, (u8)data_of(3), 0x68); /* an image for RETF, to ring 3 */
                    emit32(ring_page(3) + START_STACK);
                    EMIT(0x6A, (u8)code_of(3), 0x68);
                    emit32(HANDLER);
                    EMIT(0xCB);
                }
                EMIT(0x90, 0xCC);
                RUN(form, ring, mix);
            }
        }
    }
}

/* The T bit, what becomes of local and global enables, breakpoints on the task segments; #DB by a task gate. */
static void task_switches(void) {
    group("debug.task", 1);
    for (u32 way = 0; way < 4; way++) {
        for (u32 trap = 0; trap < 3; trap++) {
            for (u32 enables = 0; enables < 4; enables++) {
                for (u32 mix = 0; mix < 8; mix++) {
                    if (!next_case() || ((mix >= 6 || way == 3) && peer_is_qemu)) { /* it comes to no end */
                        continue;
                    }
                    start_in_ring(mix & 1 ? 3 : 0);
                    GDT_SLOT(TASK_WIDE) |= (way == 2 ? 0x62ull : 0x60ull) << 40;
                    struct wide_task* task = WIDE(TASK_WIDE);
                    task->trap = trap == 1 ? 1 : trap == 2 ? 0xFFFE : 0;
                    task->eip = HANDLER;
                    make_handler(false);
                    if (mix & 2) {
                        break_at(0, HANDLER, ON_EXECUTE, LENGTH_1, enables);
                    } else {
                        break_at(0, (u32)&task->eax, ON_ACCESS, LENGTH_4, enables);
                    }
                    if (mix & 4) {
                        break_at(1, (u32)&WIDE(TASK_MAIN)->ecx, ON_WRITE, LENGTH_4, enables);
                    }
                    start_dr7 |= DR7_EXACT;
                    if (way < 2) {
                        EMIT((u8)(way == 0 ? 0xEA : 0x9A));
                        emit32(0);
                        emit16(selector(TASK_WIDE, 3));
                    } else if (way == 2) {
                        WIDE(TASK_MAIN)->link = selector(TASK_WIDE, 0);
                        EMIT(0x9C, 0x80, 0x4C, 0x24, 0x01, 0x40, 0x9D, 0xCF); /* NT; IRET */
                    } else {
                        IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | TASK_GATE, selector(TASK_WIDE, 0), 0, 0);
                        EMIT(0xCD, VECTOR);
                    }
                    RUN(way, trap, enables, mix);
                }
            }
        }
    }
}

/* Gates for #DB itself. */
static void gates(void) {
    group("debug.gate", 1);
    for (u32 cause = 0; cause < 5; cause++) { /* code, data, step, INT1, INT 1 */
        for (u32 ring = 0; ring < 4; ring += 3) {
            for (u32 type = 0; type < 4; type++) {
                for (u32 dpl = 0; dpl < 4; dpl += 3) {
                    static const u8 types[] = {TASK_GATE, TRAP_GATE, INTERRUPT_GATE16, TRAP_GATE16};
                    if (!next_case()) {
                        continue;
                    }
                    start_in_mode(ring);
                    target_is_undefined_opcode(false);
                    IDT_SLOT(1) = any_descriptor(types[type] | PRESENT | dpl << 5);
                    if (cause < 2) {
                        break_at(0, cause == 0 ? CODE + 1 : DATA + 0x10, cause == 0 ? ON_EXECUTE : ON_ACCESS, LENGTH_1,
                                 1);
                    }
                    if (cause == 2) {
                        emit_trap_flag(0, ring);
                    }
                    EMIT(0x90);
                    if (cause == 4) {
                        EMIT(0xCD, 0x01);
                    } else {
                        EMIT((u8)(cause == 3 ? 0xF1 : 0x90), 0x8A, 0x03, 0xCC);
                    }
                    RUN(cause, ring, type, dpl);
                }
            }
        }
    }
}

/* Shadows: MOV SS, POP SS, LSS, STI, with a data breakpoint on the operand, a code breakpoint on what follows. */
static void shadows(void) {
    group("debug.shadow", 1);
    static const u8 loads[][8] = {{2, 0x8E, 0x13}, {1, 0x17}, {3, 0x0F, 0xB2, 0x23}, {1, 0xFB}, {2, 0x8E, 0x23},
                                  {2, 0x8E, 0xD1}, {1, 0x1F}};
    static const u8 behind[][8] = {{1, 0x90},       {2, 0xCD, VECTOR}, {2, 0x0F, 0x0B},
                                   {2, 0x8E, 0xD1}, {1, 0xF1},         {4, 0x31, 0xC9, 0xF7, 0xF1},
                                   {2, 0x8A, 0x03}, {1, 0x9C},         {1, 0xFB}};
    for (u32 load = 0; load < 7; load++) {
        for (u32 next = 0; next < 9; next++) {
            for (u32 ring = 0; ring < 4; ring += 3) {
                for (u32 mix = 0; mix < 16; mix++) {
                    if (!next_case() || (mix & 1 && ring == 0 && (load == 1 || load == 6) && peer_is_qemu)) {
                        continue;
                    }
                    start_in_mode(ring);
                    note_debug_exceptions();
                    make_handler(false);
                    IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE, 0), HANDLER, 0);
                    start_flags |= 0x3000;
                    start_ecx = data_of(ring);
                    *(volatile u32*)(DATA + 0x10) = load == 2 ? start_esp : data_of(ring);
                    *(volatile u32*)(DATA + 0x14) = data_of(ring);
                    *(volatile u32*)start_esp = data_of(ring);
                    if (mix & 8) {
                        emit_trap_flag(0, ring);
                    }
                    if (mix & 1) {
                        break_at(0, load == 1 || load == 6 ? start_esp : DATA + 0x10, ON_ACCESS, LENGTH_1, 1);
                    }
                    emit(loads[load][0], loads[load] + 1);
                    if (mix & 2) {
                        break_at(1, emit_here(), ON_EXECUTE, LENGTH_1, 2);
                    }
                    emit(behind[next][0], behind[next] + 1);
                    if (mix & 4) {
                        break_at(2, emit_here(), ON_EXECUTE, LENGTH_1, 2);
                    }
                    EMIT(0x90, 0x90, 0xCC);
                    RUN(load, next, ring, mix);
                }
            }
        }
    }
}

/* The processor's own accesses: the frame of an interrupt or fault, far CALLs, gates' parameters, ENTER, PUSHA; and
 * each table that it reads. The first #DB ends the case. */
static void own_accesses(void) {
    group("debug.frame", 1);
    for (u32 form = 0; form < 8; form++) {
        for (u32 ring = 0; ring < 4; ring += 3) {
            for (u32 at = 0; at < 0x24; at += 2) {
                for (u32 condition = ON_WRITE; condition <= ON_ACCESS; condition += 2) {
                    if ((form == 7 && ring == 0) || !next_case() ||
                        peer_is_qemu) { /* the frame of #DB would be watched */
                        continue;
                    }
                    start_in_mode(ring);
                    make_quiet_handler();
                    IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE, 0), HANDLER, 0);
                    IDT_SLOT(6) = IDT_SLOT(13) = IDT_SLOT(VECTOR);
                    GDT_SLOT(TEST) = gate(PRESENT | 0x60 | CALL_GATE, selector(RING_CODE, 0), HANDLER, 2);
                    const bool inwards = ring == 3 && (form < 3 || form == 4);
                    const u32 top = inwards ? ring_page(0) + INNER_STACK : start_esp;
                    break_at(at >> 1 & 3, top - at, condition, LENGTH_2, 3);
                    if (form == 0) {
                        EMIT(0xCD, VECTOR);
                    } else if (form == 1) {
                        EMIT(0x0F, 0x0B);
                    } else if (form == 2) {
                        EMIT(0x0F, 0x22, 0xE0); /* MOV CR4 of a bad value: #GP */
                        start_eax = 0x80000000;
                    } else if (form < 5) {
                        EMIT(0x9A);
                        emit32(HANDLER);
                        emit16(form == 3 ? code_of(ring) : selector(TEST, 3));
                    } else if (form == 5) {
                        EMIT(0xC8, 4, 0, 2);
                        start_ebp = start_esp;
                    } else if (form == 6) {
                        EMIT(0x60);
                    } else {
                        EMIT(0x61);
                        start_esp -= 0x20;
                    }
                    if (ring == 0) {
                        EMIT(0x31, 0xC0, 0x0F, 0x23, 0xF8);
                    }
                    EMIT(0x90, 0xCC);
                    RUN(form, ring, at, condition);
                }
            }
        }
    }
}

static void tables(void) {
    group("debug.table", 1);
    static const u8 users[][4] = {
        {2, 0xCD, VECTOR}, {2, 0x8E, 0xD9}, {2, 0xF3, 0xAA}, {3, 0x0F, 0x02, 0xC1}, {1, 0xEE}};
    for (u32 which = 0; which < 5; which++) {
        for (u32 at = 0; at < 8; at++) {
            if (at == 5 || !next_case() || peer_is_qemu) { /* INT3 reads the task segment, too */
                continue;
            }
            start_in_mode(3);
            GDT_SLOT(TEST) = segment(0, 0xFFFFF, 0xF2, GRANULAR | BIG);
            start_ecx = selector(TEST, 3);
            make_handler(false);
            IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | INTERRUPT_GATE, selector(RING_CODE, 0), HANDLER, 0);
            const u32 places[] = {(u32)&IDT_SLOT(VECTOR), (u32)&GDT_SLOT(TEST), (u32)&WIDE(TASK_MAIN)->esp0,
                                  (u32)&GDT_SLOT(RING_CODE)};
            break_at(0, places[at >> 1] & ~3u, at & 1 ? ON_ACCESS : ON_WRITE, LENGTH_8, 3);
            if (which == 2) {
                start_ecx = 1;
                start_edi = DATA;
            }
            emit(users[which][0], users[which] + 1);
            EMIT(0x90, 0xCC);
            RUN(which, at);
        }
    }
}

static const u8 faults[][20] = {
    {2, 0x0F, 0x0B},
    {3, 0x0F, 0xFF, 0xC0},
    {16, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x90},
    {2, 0xF7, 0x33}, /* DIV [EBX] by zero */
    {2, 0x62, 0x03}, /* BOUND */
    {2, 0x8E, 0x1B}, /* MOV DS, []: #GP */
    {2, 0xFF, 0x36}, /* PUSH [ESI]: no page there */
    {2, 0xFF, 0x33}, /* PUSH []: no room */
    {2, 0xF3, 0xA4}, /* REP MOVSB into a page that is not there */
    {2, 0xF3, 0xA5},
    {1, 0xA4},
    {2, 0x87, 0x06},       /* XCHG [ESI], EAX */
    {3, 0x0F, 0xC7, 0x0E}, /* CMPXCHG8B [ESI] */
    {2, 0x01, 0x06},       /* ADD [ESI], EAX */
    {2, 0x8F, 0x06},       /* POP [ESI] */
    {2, 0xFF, 0x2B},       /* JMP FAR []: #GP */
    {1, 0xF4},
    {3, 0x0F, 0x22, 0xE0},
    {3, 0xF0, 0x89, 0x03},       /* LOCK MOV: #UD */
    {2, 0x0F, 0x32},             /* RDMSR */
    {5, 0xEA, 0, 0x80, 0x30, 0}, /* JMP FAR 0 */
    {2, 0xEB, 0x00},
};

/* A breakpoint of some kind and a fault in one instruction. */
static void priorities(void) {
    group("debug.priority", 1);
    enum { MISSING = 0x400000 };
    for (u32 which = 0; which < sizeof faults / 20; which++) {
        for (u32 mix = 0; mix < 32; mix++) {
            if (!next_case()) {
                continue;
            }
            start_in_mode(3);
            note_debug_exceptions();
            start_cr0 |= mix & 16 ? CR0_PG : 0;
            for (u32 i = 0; i < 0x40; i += 4) {
                *(volatile u32*)(DATA + i) = 0;
            }
            start_eax = 0x80000000;
            start_ecx = 6;
            start_esi = start_ebx;
            if (mix & 16) {
                start_edi = MISSING - 4 - (which == 9 ? 4 : 0);
            } else {
                GDT_SLOT(TEST) = segment(0, DATA + 0x22, 0xF2, BIG);
                start_es = selector(TEST, 3);
                start_edi = DATA + 0x20;
            }
            if (which == 6 || which == 11 || which == 12 || which == 13 || which == 14) {
                start_esi = mix & 16 ? MISSING - 2 : start_ebx;
            }
            if (mix & 1) {
                break_at(0, CODE, ON_EXECUTE, LENGTH_1, 3);
            }
            if (mix & 2) {
                break_at(1, DATA + 0x10, ON_ACCESS, LENGTH_4, 3);
            }
            if (mix & 4) {
                break_at(2, start_edi & ~3u, ON_ACCESS, LENGTH_4, 3);
            }
            start_flags |= mix & 8 ? FLAG_T : 0;
            emit(faults[which][0], faults[which] + 1);
            EMIT(0x90, 0xCC);
            RUN(which, mix);
        }
    }
}

/* Four random breakpoints over a small program, with TF or without. */
static void several(void) {
    group("debug.random", 1);
    static const u8 program[] = {0x8B, 0x03,             /* MOV EAX, [EBX] */
                                 0x01, 0x43, 0x04,       /* ADD [EBX+4], EAX */
                                 0xEC,                   /* IN AL, DX */
                                 0x87, 0x4B, 0x08,       /* XCHG [EBX+8], ECX */
                                 0xF3, 0xA4,             /* REP MOVSB */
                                 0xFF, 0x73, 0x02,       /* PUSH [EBX+2] */
                                 0x8F, 0x43, 0x0A,       /* POP [EBX+10] */
                                 0x66, 0xEF,             /* OUT DX, AX */
                                 0x3B, 0x43, 0x06, 0x90, /* CMP EAX, [EBX+6] */
                                 0x90, 0xCC};
    for (u32 i = 0; i < 600; i++) {
        if (!next_case()) {
            continue;
        }
        const u32 random = random_number();
        start_in_mode(random & 1 ? 3 : 0);
        note_debug_exceptions();
        start_flags |= 0x3000;
        start_cr4 = random & 2 ? CR4_DE : 0;
        start_edx = 0xE2;
        start_ecx = 3;
        start_esi = DATA + 0x12;
        start_edi = DATA + 0x1B;
        for (u32 at = 0; at < 0x40; at += 4) {
            *(volatile u32*)(DATA + at) = 2 + at;
        }
        const u32 emitted = random & 4 ? 7 : 0;
        for (u32 number = 0; number < 4; number++) {
            const u32 other = random_number();
            const u32 condition = other & 3;
            const u32 place = condition == ON_EXECUTE ? CODE + emitted + (other >> 2 & 31)
                              : condition == ON_PORT  ? 0xE0 + (other >> 2 & 7)
                                                      : DATA + 0x10 + (other >> 2 & 15);
            break_at(number, place, condition, condition == ON_EXECUTE ? 0 : other >> 7 & 3, other >> 9 & 3);
        }
        if (emitted) {
            emit_trap_flag(0, 0);
        }
        emit(sizeof program, program);
        RUN(i, random & 7);
    }
}

/* An interrupt from outside meets a step, a breakpoint, a shadow; HLT with TF. */
static void external_interrupts(void) {
    group("debug.external", 1);
    for (u32 mix = 0; mix < 128; mix++) {
        if (!next_case()) {
            continue;
        }
        start_in_mode(mix & 1 ? 3 : 0);
        note_debug_exceptions();
        make_handler(false);
        start_flags |= 0x3000;
        IDT_SLOT(0x20) = gate(PRESENT | INTERRUPT_GATE, selector(RING_CODE, 0), HANDLER, 0);
        if (mix & 2) {
            emit_trap_flag(0, 0);
        }
        if (mix & 4) {
            break_at(0, HANDLER, ON_EXECUTE, LENGTH_1, 1);
        }
        const u32 here = emit_here();
        if (mix & 8) {
            break_at(1, here + 1, ON_EXECUTE, LENGTH_1, 1);
        }
        if (mix & 16) {
            break_at(2, DATA + 0x10, ON_ACCESS, LENGTH_1, 1);
        }
        start_ecx = data_of(mix & 1 ? 3 : 0);
        EMIT(0xFB); /* STI */
        if (mix & 32) {
            EMIT(0x8E, 0xD1); /* MOV SS, CX */
        }
        EMIT(0x8A, 0x03, 0x90, 0x90, 0x90, 0xCC);
        request_timer_interrupt();
        RUN(mix);
        mask_interrupts();
    }
}

void step_cases(void) {
    single_steps();
    steps_between_rings();
    task_switches();
    gates();
    shadows();
    own_accesses();
    tables();
    priorities();
    several();
    external_interrupts();
}
