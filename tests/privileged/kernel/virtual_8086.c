#include "case.h"

/* Virtual-8086 mode: what IOPL and CR4.VME guard, ways in and out, and CR4.PVI outside it. Programs lie in low memory.
 */

enum { CR4_VME = 1, CR4_PVI = 2, CR4_TSD = 4 };
enum { V_SEGMENT = V_CODE >> 4, LANDING = 0x100, VECTOR = 0x30 };
enum { ROOM_BEFORE_MAP = 0x68, MAP = 0x88, PORTS = 0x200 };

static void start_in_virtual(u32 privilege) {
    start_in_ring(3);
    emit_from(V_CODE);
    start_flags = FLAG_FIXED | FLAG_VM | privilege << 12;
    start_cs = V_SEGMENT;
    start_eip = 0;
    start_ss = V_STACK >> 4;
    start_esp = 0x43210000 + START_STACK;
    start_ds = start_es = start_fs = start_gs = V_DATA >> 4;
}

/* A task segment with maps: which vectors VME redirects (clear) and which ports are free (clear). */
static void use_maps(u32 vectors, u32 ports) {
    struct wide_task* task = (struct wide_task*)BITMAP;
    *task = *WIDE(TASK_MAIN);
    task->bitmap = MAP;
    for (u32 i = 0; i < 32; i++) {
        ((volatile u8*)BITMAP)[ROOM_BEFORE_MAP + i] = (u8)vectors;
    }
    for (u32 i = 0; i < PORTS / 8; i++) {
        ((volatile u8*)BITMAP)[MAP + i] = (u8)ports;
    }
    ((volatile u8*)BITMAP)[MAP + PORTS / 8] = 0xFF;
    GDT_SLOT(TEST + 15) = segment(BITMAP, MAP + PORTS / 8, 0x89, 0);
    start_task = selector(TEST + 15, 0);
    *(volatile u32*)(VECTOR * 4) = (u32)V_SEGMENT << 16 | LANDING;
    *(volatile u32*)(0x31 * 4) = (u32)V_SEGMENT << 16 | LANDING;
}

/* The stack holds a far return's image, with flags, of 16 and of 32 bits. */
static void put_image(u32 flags, bool wide) {
    u16* at = (u16*)(V_STACK + START_STACK);
    *at++ = LANDING;
    if (wide) {
        *at++ = 0;
    }
    *at++ = V_SEGMENT;
    if (wide) {
        *at++ = 0x5555;
    }
    *at++ = (u16)flags;
    *at++ = (u16)(flags >> 16);
}

static const u8 sensitive[][12] = {
    {1, 0xFA},                               /* CLI */
    {1, 0xFB},                               /* STI */
    {1, 0x9C},                               /* PUSHF */
    {2, 0x66, 0x9C},                         /* PUSHFD */
    {2, 0xCD, VECTOR},                       /* INT 30h */
    {1, 0xCC},                               /* INT3 */
    {4, 0xB0, 0x7F, 0x04, 0x01},             /* the way to INTO: see below */
    {1, 0xF1},                               /* INT1 */
    {1, 0xF4},                               /* HLT */
    {2, 0x0F, 0x06},                         /* CLTS */
    {2, 0x0F, 0x08},                         /* INVD */
    {5, 0x0F, 0x01, 0x16, 0x10, 0},          /* LGDT */
    {5, 0x0F, 0x01, 0x06, 0x10, 0},          /* SGDT */
    {3, 0x0F, 0x01, 0xE0},                   /* SMSW AX */
    {3, 0x0F, 0x01, 0xF0},                   /* LMSW AX */
    {3, 0x0F, 0x20, 0xC0},                   /* MOV EAX, CR0 */
    {3, 0x0F, 0x22, 0xD0},                   /* MOV CR2, EAX */
    {3, 0x0F, 0x21, 0xF8},                   /* MOV EAX, DR7 */
    {5, 0x0F, 0x01, 0x3E, 0x10, 0},          /* INVLPG */
    {2, 0x0F, 0x32},                         /* RDMSR */
    {3, 0x0F, 0x00, 0xC0},                   /* SLDT AX: #UD, as all of this family */
    {3, 0x0F, 0x00, 0xC8},                   /* STR AX */
    {3, 0x0F, 0x00, 0xD0},                   /* LLDT AX */
    {3, 0x0F, 0x00, 0xE0},                   /* VERR AX */
    {3, 0x0F, 0x02, 0xC0},                   /* LAR AX, AX */
    {3, 0x0F, 0x03, 0xC0},                   /* LSL AX, AX */
    {2, 0x63, 0xC0},                         /* ARPL AX, AX */
    {3, 0xF0, 0x90, 0x90},                   /* LOCK NOP: #UD */
    {2, 0xE4, 0xE0},                         /* IN AL, E0h */
    {2, 0xE5, 0xE0},                         /* IN AX, E0h */
    {2, 0xE6, 0xE0},                         /* OUT E0h, AL */
    {1, 0x6C},                               /* INSB of port DX */
    {1, 0x6E},                               /* OUTSB */
    {5, 0xEA, 0x00, 0x01, 0x00, 0x60},       /* JMP 6000:0100 */
    {5, 0x9A, 0x00, 0x01, 0x00, 0x60},       /* CALL 6000:0100 */
    {1, 0xCB},                               /* RETF */
    {2, 0x66, 0xCB},                         /* RETFD */
    {3, 0x8E, 0xD8, 0x90},                   /* MOV DS, AX */
    {2, 0x8E, 0xD0},                         /* MOV SS, AX */
    {3, 0xA1, 0xFF, 0xFF},                   /* MOV AX, [FFFFh]: beyond 64 KB */
    {4, 0x36, 0xA1, 0xFF, 0xFF},             /* MOV AX, SS:[FFFFh] */
    {4, 0x66, 0xA1, 0xFC, 0xFF},             /* MOV EAX, [FFFCh]: just within */
    {8, 0x67, 0x66, 0xA1, 0, 0, 1, 0, 0x90}, /* MOV EAX, [10000h] */
    {6, 0x66, 0xE9, 0, 0, 1, 0},             /* JMP beyond 64 KB */
    {4, 0x1E, 0x07, 0x1F, 0x06},             /* PUSH DS, POP ES, POP DS, PUSH ES */
    {3, 0xC5, 0x06, 0x10},                   /* LDS AX, [CC10h] */
    {2, 0x0F, 0x0B},                         /* UD2 */
    {4, 0x31, 0xC9, 0xF7, 0xF1},             /* divide error */
};
enum { OVERFLOW = 6, RETURN_WIDE = 0x24, SENSITIVE = sizeof sensitive / sizeof sensitive[0] };

static void sensitive_instructions(void) {
    group("v86.sensitive", 1);
    for (u32 which = 0; which < SENSITIVE; which++) {
        for (u32 privilege = 0; privilege < 4; privilege++) {
            for (u32 vme = 0; vme < 2; vme++) {
                for (u32 map = 0; map < 3; map++) {
                    if (!next_case() || (vme && peer_is_qemu)) {
                        continue;
                    }
                    start_in_virtual(privilege);
                    start_cr4 = vme ? CR4_VME : 0;
                    use_maps(map == 0 ? 0xFF : 0, map == 1 ? 0 : 0xFF);
                    const u32 random = random_number();
                    start_flags |= (random & 1 ? FLAG_I : 0) | (random & 2 ? FLAG_NT : 0);
                    if (vme) {
                        start_flags |= (random & 4 ? FLAG_VIF : 0) | (random & 0x18 ? 0 : FLAG_VIP);
                    }
                    start_edx = 0xE0;
                    start_eax = 0x12346000;
                    put_image(FLAG_FIXED, which == RETURN_WIDE);
                    emit(sensitive[which][0], sensitive[which] + 1);
                    if (which == OVERFLOW) {
                        EMIT(0xCE);
                    }
                    EMIT(0xCC);
                    RUN(which, privilege, vme, map, random & 0x3F);
                }
            }
        }
    }
}

static const u32 images[] = {FLAG_FIXED,
                             FLAG_FIXED | FLAG_I,
                             FLAG_FIXED | 0x3000,
                             FLAG_FIXED | FLAG_NT | FLAG_D,
                             FLAG_FIXED | FLAG_VM,
                             FLAG_FIXED | FLAG_VIF,
                             FLAG_FIXED | FLAG_VIP,
                             FLAG_FIXED | FLAG_VIP | FLAG_I,
                             FLAG_FIXED | FLAG_RF | FLAG_AC | FLAG_ID,
                             0xFFFFFFFF & ~FLAG_T,
                             0};
enum { IMAGES = sizeof images / 4 };

/* POPF and IRET of 16 and 32 bits, within the mode; at ring 3 with PVI, too. */
static void popped_flags(void) {
    group("v86.flags", 1);
    for (u32 mode = 0; mode < 4; mode++) { /* virtual, with VME, ring 3, with PVI */
        for (u32 which = 0; which < IMAGES; which++) {
            for (u32 privilege = 0; privilege < 4; privilege++) {
                for (u32 form = 0; form < 4; form++) {
                    for (u32 pending = 0; pending < 3; pending++) {
                        if (((mode & 1) == 0 && pending != 0) || (mode >= 2 && form >= 2) || !next_case() ||
                            ((mode & 1) != 0 && peer_is_qemu)) {
                            continue;
                        }
                        if (mode < 2) {
                            start_in_virtual(privilege);
                            start_cr4 = mode ? CR4_VME : 0;
                        } else {
                            start_in_ring(3);
                            start_flags |= privilege << 12;
                            start_cr4 = mode == 3 ? CR4_PVI : 0;
                        }
                        start_flags |= pending == 1 ? FLAG_VIP : pending == 2 ? FLAG_VIF : 0;
                        const bool wide = (form & 1) != 0;
                        if (form < 2) {
                            *(u32*)(mode < 2 ? V_STACK + START_STACK : start_esp) = images[which];
                        } else {
                            put_image(images[which], wide);
                        }
                        if (wide == (mode < 2)) {
                            EMIT(0x66);
                        }
                        EMIT(form < 2 ? 0x9D : 0xCF, 0x90, 0xCC);
                        RUN(mode, which, privilege, form, pending);
                    }
                }
            }
        }
    }
    group("v86.virtual_flag", 1);
    for (u32 form = 0; form < 3; form++) { /* CLI, STI, PUSHF with PVI and without */
        for (u32 mix = 0; mix < 64; mix++) {
            if (!next_case() || ((mix & 1) != 0 && peer_is_qemu)) {
                continue;
            }
            start_in_ring(3 - (mix >> 5));
            start_cr4 = mix & 1 ? CR4_PVI : 0;
            start_flags |= (mix & 2 ? FLAG_VIF : 0) | (mix & 4 ? FLAG_VIP : 0) | (mix >> 3 & 3) << 12;
            if ((mix & 1) == 0) {
                start_flags &= ~(FLAG_VIF | FLAG_VIP);
            }
            EMIT(form == 0 ? 0xFA : form == 1 ? 0xFB : 0x9C, 0x90, 0xCC);
            RUN(form, mix);
        }
    }
}

/* Out of the mode by gates of every kind, to code of every ring, conforming or not. */
static void ways_out(void) {
    group("v86.out", 1);
    static const u8 types[] = {INTERRUPT_GATE, TRAP_GATE, INTERRUPT_GATE16, TRAP_GATE16, TASK_GATE};
    static const u8 causes[] = {BY_INT, BY_UD2, BY_HALT, BY_DIVIDE, BY_ICEBP};
    watch_more(true, false, false);
    for (u32 cause = 0; cause < sizeof causes; cause++) {
        for (u32 type = 0; type < sizeof types; type++) {
            for (u32 code = 0; code < 8; code++) {
                for (u32 privilege = 0; privilege < 4; privilege += 3) {
                    for (u32 dpl = 0; dpl < 4; dpl += 3) {
                        if (!next_case()) {
                            continue;
                        }
                        start_in_virtual(privilege);
                        start_flags |= random_number() & (FLAG_I | FLAG_NT | FLAG_D | FLAG_AC);
                        const u32 access = PRESENT | dpl << 5 | types[type];
                        const u32 slot = code < 4 ? RING_CODE + code : RING_CONFORMING + (code & 3);
                        u64* entry = &IDT_SLOT(vector_of(causes[cause]));
                        if (types[type] == TASK_GATE) {
                            *entry = gate(access, selector(TASK_WIDE, 0), 0, 0);
                        } else if (types[type] < 8) {
                            GDT_SLOT(TEST) = segment(CODE, 2 * PAGE - 1, 0x9B | (code & 3) << 5 | (code & 4), 0);
                            *entry = gate(access, selector(TEST, 0), TARGET - CODE, 0);
                        } else {
                            *entry = gate(access, selector(slot, 0), TARGET, 0);
                        }
                        emit_cause(causes[cause], 3);
                        RUN(causes[cause], type, code, privilege, dpl);
                    }
                }
            }
        }
    }
    watch_more(false, false, false);
}

/* The frame finds no room on ring 0's stack, or the stack is wrong. */
static void full_stacks(void) {
    group("v86.stack_limit", 1);
    for (u32 kind = 0; kind < 2; kind++) {
        for (u32 room = 0; room < 0x2C; room += 2) {
            if (!next_case()) {
                continue;
            }
            start_in_virtual(3);
            GDT_SLOT(TEST) = segment(RINGS, INNER_STACK - 1, 0x93, kind ? BIG : 0);
            WIDE(TASK_MAIN)->ss0 = selector(TEST, 0);
            WIDE(TASK_MAIN)->esp0 = room;
            EMIT(0xCD, VECTOR);
            RUN(kind, room);
        }
    }
}

/* IRET into the mode, from ring 0; from other rings it leads elsewhere. */
static void ways_in(void) {
    group("v86.in", 1);
    static const u32 offsets[] = {0, LANDING, 0xFFFF, 0x10000, 0xFFFF0100};
    for (u32 which = 0; which < IMAGES; which++) {
        for (u32 at = 0; at < 5; at++) {
            for (u32 mix = 0; mix < 4; mix++) {
                if (!next_case()) {
                    continue;
                }
                u32* image = (u32*)(start_esp = ring_page(0) + START_STACK - 0x24);
                *image++ = offsets[at];
                *image++ = 0x77770000 | V_SEGMENT;
                *image++ = images[which] | FLAG_VM;
                *image++ = 0x89890000 | START_STACK;
                *image++ = 0x66660000 | V_STACK >> 4;
                *image++ = 0x6111;
                *image++ = 0x6112;
                *image++ = 0xFFFF;
                *image++ = 0;
                start_cr4 = mix & 1 && !peer_is_qemu ? CR4_VME : 0;
                *(u32*)(V_STACK + START_STACK) = 0xCCCCCCCC;
                EMIT(0xCF);
                RUN(which, at, mix);
            }
        }
    }
    group("v86.in_short", 1);
    for (u32 room = 0; room <= 0x26; room += 2) {
        for (u32 big = 0; big < 2; big++) {
            if (!next_case() || peer_is_qemu) {
                continue;
            }
            GDT_SLOT(TEST) = segment(RINGS, START_STACK - 1, 0x93, big ? BIG : 0);
            start_ss = selector(TEST, 0);
            start_esp = START_STACK - room;
            u32* image = (u32*)(RINGS + start_esp);
            static const u32 words[] = {LANDING, V_SEGMENT, FLAG_FIXED | FLAG_VM, START_STACK, V_STACK >> 4, 1, 2,
                                        3,       4};
            for (u32 i = 0; i < 9; i++) {
                image[i] = words[i];
            }
            EMIT(0xCF);
            RUN(room, big);
        }
    }
}

/* Task switches into the mode and out of it. */
static void switches(void) {
    group("v86.task", 1);
    watch_more(true, false, false);
    for (u32 mix = 0; mix < 32; mix++) {
        if (!next_case()) {
            continue;
        }
        start_in_ring(mix & 1 ? 3 : 0);
        struct wide_task* task = WIDE(TASK_WIDE);
        task->flags = FLAG_FIXED | FLAG_VM | (mix & 2 ? 0x3000 : 0) | (mix & 4 ? FLAG_I : 0);
        task->cs = V_SEGMENT;
        task->eip = mix & 8 ? 0x10000 : LANDING;
        task->ss = V_STACK >> 4;
        task->esp = START_STACK;
        task->ds = 0x1234;
        task->es = 0xFFFF;
        task->fs = 0;
        task->gs = 0x40;
        if (mix & 16) {
            IDT_SLOT(VECTOR) = gate(PRESENT | 0x60 | TASK_GATE, selector(TASK_WIDE, 0), 0, 0);
            EMIT(0xCD, VECTOR);
        } else {
            GDT_SLOT(TASK_WIDE) |= 0x60ull << 40;
            EMIT(0xEA);
            emit32(0);
            emit16(selector(TASK_WIDE, 3));
        }
        RUN(mix);
    }
    watch_more(false, false, false);
}

/* An interrupt from outside reaches ring 0 regardless of VME; with VIP set, STI faults instead of letting it in. */
static void external_interrupts(void) {
    group("v86.external", 1);
    for (u32 mix = 0; mix < 64; mix++) {
        if (!next_case() || ((mix & 1) != 0 && peer_is_qemu)) {
            continue;
        }
        start_in_virtual(mix & 2 ? 3 : 0);
        start_cr4 = mix & 1 ? CR4_VME : 0;
        start_flags |= (mix & 4 ? FLAG_I : 0) | (mix & 8 && mix & 1 ? FLAG_VIF : 0);
        start_flags |= mix & 16 && mix & 1 ? FLAG_VIP : 0;
        IDT_SLOT(0x20) = gate(PRESENT | INTERRUPT_GATE, selector(RING_CODE, 0), TARGET, 0);
        if (mix & 32) {
            EMIT(0xFB);
        }
        EMIT(0x90, 0x90, 0x90, 0xCC);
        request_timer_interrupt();
        RUN(mix);
        mask_interrupts();
    }
}

void virtual_8086_cases(void) {
    watch_more(false, false, false);
    watch_low(true);
    sensitive_instructions();
    popped_flags();
    ways_out();
    full_stacks();
    ways_in();
    switches();
    external_interrupts();
    watch_low(false);
}
