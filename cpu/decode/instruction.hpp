// Owns: Instruction, one decoded instruction as plain data.
// Callers: the Decoder writes it; engines, handlers, disassembly checks and the fuzzer read it.
// Promises: a pure function of (bytes, CodeMode) except the fields that a Block binds.
#pragma once

#include "cpu/decode/form.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

class Context;
struct Instruction;

// What a handler tells the run loop.
enum class Step : u8 {
    Next = 0, // go on with the following instruction
    Jump,     // eip has been set (branch, end of block, mode change): find the next block
    Fault,    // its exception is pending in the Context; nothing of this instruction has been committed
    Repeat,   // an interruptible string instruction stopped between two iterations: eip stays
    Stop,     // HLT, shutdown: eip has been set
};

using Handler = Step (*)(Context&, const Instruction&);

// What decoding depends on beside the bytes.
struct CodeMode {
    bool default_32 = false; // CS.D
    bool operator==(const CodeMode&) const = default;
};

enum InstructionFlag : u8 {
    kHasMemory = 1,   // ModRM names memory, or moffs
    kHasLock = 2,     // F0
    kHasRep = 4,      // F3
    kHasRepne = 8,    // F2
    kHasSegment = 16, // a segment override was there
    kHasModRm = 32,
};

struct Instruction {
    Handler handler = nullptr; // bound by the Block

    u32 immediate = 0; // sign- or zero-extended as the form says; far pointer: the offset; x87: the 11 opcode bits
    // Of the memory operand, sign-extended to 32 bits; moffs: the offset; J*: sign-extended distance.
    u32 displacement = 0;
    u16 immediate2 = 0; // ENTER: the level; far pointer: the selector
    u16 form = 0;       // row of opcodes.def; 0 = undefined opcode

    u8 length = 0;       // bytes, 1..15
    u8 operand_size = 4; // 2 or 4
    u8 address_size = 4; // 2 or 4
    u8 flags = 0;        // InstructionFlag
    u8 segment = kDs;    // of the memory operand, override or default (also for X operands)
    u8 base = kNoRegister;
    u8 index = kNoRegister;
    u8 scale = 0; // shift count 0..3
    u8 reg = 0;   // ModRM.reg, or the register number in the opcode (Z operands)
    u8 rm = 0;    // ModRM.rm where it names a register

    u8 prefixes = 0; // bytes of them; for MMX and SSE the one that belongs to the opcode, too

    u8 number = 0;          // bound: how many instructions stand before it in its block
    u16 offset = 0;         // bound: bytes from the block's start
    u16 cost = 0;           // bound: its static cost in cycles
    u16 cost_before = 0;    // bound: static cost of the instructions before it
    u16 penalty_before = 0; // bound: what of that the pipeline cost
    u8 penalty = 0;         // bound: the same of this one
    u8 taken = 0;           // bound: what it costs more if it jumps
    u8 ending = 0;          // bound: CostEnding

    bool has_memory() const { return (flags & kHasMemory) != 0; }
    bool repeats() const { return (flags & (kHasRep | kHasRepne)) != 0; }
};

// Bytes of what an operand names (of one part, where it has several); memory's, where it is memory.
u32 operand_bytes(Operand operand, const Instruction& in);

} // namespace forkscope
