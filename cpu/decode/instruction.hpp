// Owns: Instruction, one decoded instruction as plain data, and the names of what it may hold.
// Callers: the Decoder writes it; interpreter, translators, disassembly checks and the fuzzer read it.
// Promises: a pure function of (bytes, CodeMode) except the fields that a Block binds.
#pragma once

#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope {

class Cpu;
struct Instruction;

// What a handler tells the run loop.
enum class Step : u8 {
    Next = 0, // go on with the following instruction
    Jump,     // eip has been set (branch, end of block, mode change): find the next block
    Fault,    // an exception is pending in Cpu; nothing of this instruction has been committed
    Repeat,   // an interruptible string instruction stopped between two iterations: eip stays
    Stop,     // HLT, shutdown: eip has been set
};

using Handler = Step (*)(Cpu&, const Instruction&);

// What decoding depends on beside the bytes.
struct CodeMode {
    bool default_32 = false; // CS.D
    bool operator==(const CodeMode&) const = default;
};

// General registers by their number in ModRM; kNoRegister reads as zero.
enum : u8 { kEax = 0, kEcx, kEdx, kEbx, kEsp, kEbp, kEsi, kEdi, kNoRegister = 16 };
enum : u8 { kEs = 0, kCs, kSs, kDs, kFs, kGs, kSegmentCount };

// Operand kinds in the manual's notation (SDM 2, appendix A.2): E = ModRM r/m, G = ModRM reg, M = memory only,
// R = register only, I = immediate, J = relative, O = moffs, Z = register in the opcode, S = segment register,
// C/D/T = control/debug/test register, X = DS:eSI, Y = ES:eDI, A = far pointer, P/N = MM register in reg/rm, Q = MM
// register or memory, V/U = XMM register in reg/rm, W = XMM register or memory; b = 8, w = 16, d = 32 bits,
// v = operand size, z = 16 or 32 immediate, p = far pointer, a = BOUND pair, s = pseudo-descriptor, q = 64 bits,
// t = 80 bits, x = 128 bits, dw = 32 bits of a register or 16 of memory.
enum class Operand : u8 {
    None,
    // clang-format off
    Eb, Ew, Ed, Ev, Gb, Gw, Gd, Gv, Mb, Mw, Md, Mq, Mt, Mv, Mp, Ma, Ms, M, Rd, Rv,
    Pq, Nq, Qd, Qq, Vx, Ux, Wd, Wq, Wx, Mx, Edw,
    Ib, Ibs, Iw, Iz, Iv, Jb, Jz, Ob, Ov, Zb, Zd, Zv, Sw, Cd, Dd, Td, Xb, Xv, Yb, Yv, Ap,
    One, Three, Al, Cl, Ax, Dx, Eax, // Eax: AX or EAX by operand size
    Es, Cs, Ss, Ds, Fs, Gs,
    St0, Sti, // x87 registers: ST(0), and the one that ModRM.rm names
    // clang-format on
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
    u32 displacement =
        0; // of the memory operand, sign-extended to 32 bits; moffs: the offset; J*: sign-extended distance
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

// Attributes of a form.
enum FormAttribute : u16 {
    kPlain = 0,
    kLockable = 1,     // LOCK is allowed with a memory destination
    kEndsBlock = 2,    // control transfer, or changes what later instructions mean
    kMemoryOnly = 4,   // ModRM.mod = 3 is undefined
    kRegisterOnly = 8, // ModRM.mod != 3 is undefined
    kString = 16,      // takes REP
    kPrivileged = 32,  // only at CPL 0 in protected mode (for the fuzzer)
    kControl = 64,     // changes eip (for the fuzzer and for block statistics)
    kIo = 128,         // touches ports
    kNoFuzz = 256,     // result depends on more than architectural state (RDTSC, CPUID), or on the maker
};

// Where a form came in: a generation, or an extension that a model of the last generation may have.
enum class Since : u8 { I386, I486, P5, P6, Mmx, Fxsr, Sse, Sse2 };

// 0F xx forms that a prefix tells apart, as `map` of their rows.
enum : u8 { kMapNone = 3, kMap66, kMapF3, kMapF2 };

enum class CostClass : u8 {
#define COST_CLASS(name, flat, p6, text) name,
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

// One row of opcodes.def.
struct Form {
    u8 map; // 1: one byte, 2: 0F xx with any prefixes, kMapNone to kMapF2: with exactly this mandatory prefix
    u8 opcode;
    i16 group; // -1: none; 0..7: ModRM.reg; 0xC0..0xFF: the whole ModRM byte
    std::string_view mnemonic;
    Operand operands[3];
    std::string_view flags_read, flags_written, flags_undefined; // letters of "odiszapc"
    u16 attributes;                                              // FormAttribute
    Since since;
    CostClass cost;
};

// All rows; index 0 is the undefined opcode.
const Form& form_at(u16 index);
u16 form_count();

} // namespace forkscope
