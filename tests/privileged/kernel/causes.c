#include "case.h"

u32 vector_of(enum cause cause) {
    static const u8 vectors[CAUSES] = {0x30, 3, 4, 5, 6, 0, 1, 7, 13, 11, 12, 10, 13};
    return vectors[cause];
}

static void emit_load(u32 opcode, u16 value) {
    EMIT(0xB8); /* MOV EAX, value; MOV segment, AX */
    emit32(value);
    EMIT(0x8E, (u8)opcode);
}

void emit_cause(enum cause cause, u32 ring) {
    switch (cause) {
    case BY_INT:
        EMIT(0xCD, 0x30);
        break;
    case BY_INT3:
        EMIT(0xCC);
        break;
    case BY_INTO:
        EMIT(0xB0, 0x7F, 0x04, 0x01, 0xCE); /* MOV AL, 7Fh; ADD AL, 1; INTO */
        break;
    case BY_BOUND:
        EMIT(0x62, 0x05); /* BOUND EAX, [DATA]: DADADADA..DADADADA */
        emit32(DATA);
        break;
    case BY_UD2:
        EMIT(0x0F, 0x0B);
        break;
    case BY_DIVIDE:
        EMIT(0x31, 0xC9, 0xF7, 0xF1); /* XOR ECX, ECX; DIV ECX */
        break;
    case BY_ICEBP:
        EMIT(0xF1);
        break;
    case BY_DEVICE:
        start_cr0 |= CR0_TS;
        EMIT(0x9B); /* WAIT */
        break;
    case BY_SEGMENT:
        emit_load(0xD8, 0x7FF8);
        break;
    case BY_ABSENT:
        emit_load(0xD8, selector(NOT_PRESENT_DATA, 3));
        break;
    case BY_STACK:
        emit_load(0xD0, selector(NOT_PRESENT_STACK + ring, ring));
        break;
    case BY_TASK:
        start_flags |= FLAG_NT;
        EMIT(0xCF); /* IRET, the link leading to a data segment */
        break;
    default:
        EMIT(0xF4); /* HLT */
        break;
    }
}

/* Mode 0, a short count. */
void request_timer_interrupt(void) {
    mask_interrupts();
    outb(0x43, 0x30);
    outb(0x40, 2);
    outb(0x40, 0);
    outb(0x20, 0x0A);
    while ((inb(0x20) & 1) == 0) {
    }
    outb(0x21, 0xFE);
}
