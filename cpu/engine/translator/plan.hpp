// Owns: Plan, what the translator does with an instruction: which of its few shapes it has, or that its handler runs
// it. Callers: the block translator. Promises: a pure function of the decoded instruction; flags come from its row in
// opcodes.def, so that both engines know of the same ones.
#pragma once

#include "cpu/decode/instruction.hpp"

namespace forkscope::translator {

enum class Shape : u8 {
    Handler, // its handler runs it, always
    Alu,     // number: ADD OR ADC SBB AND SUB XOR CMP, as in the opcode
    Test,
    IncDec, // number: 0 INC, 1 DEC
    Neg,
    Not,
    Move,
    MoveImmediate,
    MoveZero,
    MoveSign,
    Lea,
    Exchange,
    ShiftImmediate, // number: ModRM.reg
    ShiftCl,
    Multiply,          // reg *= r/m
    MultiplyImmediate, // reg = r/m * immediate
    MultiplyWide,      // number: 0 MUL, 1 IMUL
    Push,
    PushImmediate,
    PushMemory,
    Pop,
    Leave,
    SignExtend,     // CBW, CWDE
    SignDistribute, // CWD, CDQ
    Swap,
    Set, // number: the condition
    ConditionalMove,
    Nothing,
    SetDirection, // number: 0 CLD, 1 STD
    String,       // number: the opcode's low bits
    // Of the x87: the host's own instruction, on the host's x87
    X87,
    X87Compare, // sets EFLAGS
    X87Move,    // number: the condition
    X87Word,    // FNSTSW, FNSTCW: not kept as the last instruction
    X87LoadControl,
    X87Wait,
    // These end a block
    Branch,        // number: the condition
    BranchCounter, // number: 0 JECXZ, 1 LOOP
    Jump,
    Call,
    JumpTo, // what r/m holds
    CallTo,
    Return,
};

enum class Direction : u8 { ToReg, ToRm, FromImmediate };

struct Plan {
    Shape shape = Shape::Handler;
    u8 number = 0;
    u8 size = 4; // bytes of the operation
    u8 from = 0; // MOVZX, MOVSX: bytes of the source
    Direction direction = Direction::ToRm;
    bool fixed_register = false; // the register is EAX, or the opcode names it: in.reg, with no ModRM
    u8 reg = 0;                  // the register operand, beside r/m
    bool reads_memory = false, writes_memory = false;
    u32 count = 0; // of a shift

    bool ends_block() const { return shape >= Shape::Branch; }
    bool accesses() const { return reads_memory || writes_memory; }
    bool is_x87() const { return shape >= Shape::X87 && shape <= Shape::X87Wait; }
};

Plan plan_of(const Instruction& in);

// Arithmetic flags as bits of EFLAGS: what the instruction reads, and what it always sets.
struct FlagUse {
    u32 reads = 0;
    u32 sets = 0;
};
FlagUse flag_use(const Instruction& in, const Plan& plan);

} // namespace forkscope::translator
