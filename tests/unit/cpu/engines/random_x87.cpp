// Pieces of x87 code.
#include "tests/unit/cpu/engines/random_code.hpp"

namespace forkscope::test {

// Any x87 instruction of a memory operand that moves no state.
void RandomCode::x87_memory() {
    for (;;) {
        const int opcode = static_cast<int>(below(8));
        const int digit = static_cast<int>(below(8));
        const bool odd = (opcode & 1) != 0;
        if ((opcode == 1 || opcode == 5) && digit >= 4)
            continue; // environments, state, control words
        if (odd && digit == 1 && opcode != 1)
            continue; // FISTTP of later processors
        if ((opcode == 1 && digit == 1) || (opcode == 3 && (digit == 4 || digit == 6)))
            continue;
        put({0xD8 | opcode});
        return memory_operand(digit);
    }
}

// Of registers: arithmetic, moves, constants, looking, the stack, what only handlers do.
void RandomCode::x87_registers() {
    const int st = static_cast<int>(random_.chance(3) ? below(8) : below(3));
    switch (below(8)) {
    case 0:
    case 1:
        return put({random_.chance(2) ? 0xD8 : 0xDC, 0xC0 | (static_cast<int>(below(8)) << 3 & 0x38) | st});
    case 2:
        return put({0xDE, 0xC0 | (random_.chance(2) ? 0x08 : 0x28) | st});
    case 3:
        return put({0xD9, 0xC0 | static_cast<int>(below(2)) << 3 | st}); // FLD, FXCH
    case 4:
        return put({0xDD, 0xC0 | static_cast<int>(below(6)) << 3 | st}); // FFREE, FXCH, FST, FSTP, FUCOM
    case 5:
    case 6:
        for (;;) { // those of ST(0), as far as there are any
            constexpr u32 kNone = 1u << 0x02 | 1u << 0x03 | 1u << 0x06 | 1u << 0x07 | 1u << 0x0F;
            if (const u32 which = below(32); (kNone >> which & 1) == 0)
                return put({0xD9, 0xE0 | static_cast<int>(which)});
        }
    default:
        return put({0xDA | static_cast<int>(below(2)), 0xC0 | static_cast<int>(below(4)) << 3 | st}); // FCMOV
    }
}

// Words of control, mostly with all masked; status; all of it.
void RandomCode::x87_control() {
    const u32 at = kVariables + 0x40;
    const auto absolute = [&](int digit) {
        put({0x05 | digit << 3});
        put32(at);
    };
    switch (below(9)) {
    case 0:
    case 1:
    case 2: {
        const int masks = random_.chance(12) ? static_cast<int>(below(64)) : 0x3F;
        put({0x66, 0xC7});
        absolute(0);
        put({masks | static_cast<int>(below(4)) << 6, static_cast<int>(random_.chance(3) ? below(16) : 3)});
        put({0xD9});
        return absolute(5); // FLDCW
    }
    case 3:
        return put({0xDF, 0xE0}); // FNSTSW AX
    case 4:
        put({random_.chance(2) ? 0xD9 : 0xDD}); // FNSTCW, FNSTSW
        return memory_operand(7);
    case 5:
        return put({0x9B, 0xDB, random_.chance(3) ? 0xE3 : 0xE2}); // WAIT; FNINIT, FNCLEX
    case 6:                                                        // FNSTENV, FLDENV; all masked, and tags as they were
        put({0xD9});
        absolute(6);
        put({0xD9});
        return absolute(4);
    case 7: // CR0.TS on or off again: #NM ends the program, so mostly both
        if (user_)
            return put({0x9B});
        put({0x0F, 0x20, 0xC0, 0x83, 0xC8, 0x08, 0x0F, 0x22, 0xC0}); // MOV EAX, CR0; OR EAX, 8; MOV CR0, EAX
        return random_.chance(8) ? put({0xD9, 0xE8}) : put({0x0F, 0x06});
    default:
        put({0xDD}); // FNSAVE, FRSTOR
        absolute(6);
        put({0xDD});
        return absolute(4);
    }
}

// FCOMI and its kin, and what looks at the flags.
void RandomCode::x87_compare() {
    if (random_.chance(2))
        put({0xD9, 0xE5}); // FXAM: C1 is the sign
    put({random_.chance(2) ? 0xDB : 0xDF, (random_.chance(2) ? 0xE8 : 0xF0) | static_cast<int>(below(3))});
    if (random_.chance(2))
        put({0xDF, 0xE0}); // FNSTSW AX
    if (random_.chance(2))
        put({0xDD, 0xD8}); // FSTP ST(0)
    switch (below(4)) {
    case 0:
        return put({0x0F, 0x90 | static_cast<int>(below(16)), 0xC2}); // SETcc DL
    case 1:
        return put({0x83, 0xD2, 0x00}); // ADC EDX, 0
    case 2:
        put({0x70 | static_cast<int>(below(16)), 0x02, 0xD9, 0xE8}); // Jcc over FLD1
        return;
    default:
        put({0x01}); // ADD [memory], EDX
        return memory_operand(kEdx);
    }
}

void RandomCode::x87() {
    if (random_.chance(3))
        put({0xDB, 0xE3}); // FNINIT: room for what comes
    for (u32 count = 1 + below(8); count-- > 0;) {
        switch (below(8)) {
        case 0:
            x87_control();
            break;
        case 1:
            x87_compare();
            break;
        case 2:
        case 3:
        case 4:
            x87_memory();
            break;
        case 5:
            if (random_.chance(3)) {
                arithmetic();
                break;
            }
            [[fallthrough]];
        default:
            x87_registers();
        }
    }
}

} // namespace forkscope::test
