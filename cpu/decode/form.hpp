// Owns: Form, what the table (opcodes.def) says of one form of an instruction: operands and what is done to them,
// registers, flags, stack and ports that it uses, where it goes, what it costs.
// Callers: the decoder, the cost model, the fuzzer, the pages of docs. Promises: constant plain data; a row that does
// not name its operands, flags, generation and cost class does not compile; form_facts_test runs every row.
#pragma once

#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope {

// General registers by their number in ModRM; kNoRegister reads as zero.
enum : u8 { kEax = 0, kEcx, kEdx, kEbx, kEsp, kEbp, kEsi, kEdi, kNoRegister = 16 };
enum : u8 { kEs = 0, kCs, kSs, kDs, kFs, kGs, kSegmentCount };

// Sets of registers: whole general registers, whatever part of them is meant, and segment registers.
enum RegisterSet : u16 {
    kNoRegisters = 0,
    kAx = 1u << kEax,
    kCx = 1u << kEcx,
    kDx = 1u << kEdx,
    kBx = 1u << kEbx,
    kSp = 1u << kEsp,
    kBp = 1u << kEbp,
    kSi = 1u << kEsi,
    kDi = 1u << kEdi,
    kGeneralRegisters = 0xFF,
    kEsSegment = 0x100u << kEs,
    kCsSegment = 0x100u << kCs,
    kSsSegment = 0x100u << kSs,
    kDsSegment = 0x100u << kDs,
    kFsSegment = 0x100u << kFs,
    kGsSegment = 0x100u << kGs,
};
constexpr u16 general_register_bit(u8 number) { return static_cast<u16>(1u << number); }
constexpr u16 segment_register_bit(u8 number) { return static_cast<u16>(0x100u << number); }

// Where an operand is, or what names it.
enum class Place : u8 {
    None,
    // By ModRM, FloatRm being the last
    RmOrMemory,
    Reg,
    Rm,
    Memory,
    MmReg,
    MmRm,
    MmOrMemory,
    XmmReg,
    XmmRm,
    XmmOrMemory,
    Segment,
    Control,
    Debug,
    Test,
    FloatRm,
    // By other bytes of the instruction
    Immediate,
    Distance,
    FarPointer,
    Offset, // memory, by its offset alone
    InOpcode,
    // By the opcode
    StringSource, // DS:eSI
    StringTarget, // ES:eDI
    Constant,
    General,
    FixedSegment,
    FloatTop,
};

// operands.def says what each stands for.
enum class Operand : u8 {
#define OPERAND(name, ...) name,
#include "cpu/decode/operands.def"
#undef OPERAND
};

struct OperandKind {
    Place place = Place::None;
    u8 parts = 1;           // BOUND's has two
    u16 bytes = 0;          // of each; 0: the operand size
    u8 more_bytes = 0;      // on top of that: the selector of a far pointer
    u8 bytes_in_memory = 0; // where they differ from those in a register
    bool unsized = false;   // text gives no size
    u8 number = 0;          // of a register that the opcode names, or the constant

    constexpr bool by_mod_rm() const { return place >= Place::RmOrMemory && place <= Place::FloatRm; }
    constexpr bool string() const { return place == Place::StringSource || place == Place::StringTarget; }
    // Memory that an address in the instruction names, or may name.
    constexpr bool addressed() const {
        return place == Place::Memory || place == Place::RmOrMemory || place == Place::MmOrMemory ||
               place == Place::XmmOrMemory || place == Place::Offset;
    }
};
const OperandKind& kind_of(Operand operand);

enum class OperandUse : u8 {
    None,
    Read,
    Write,     // whatever it was before
    ReadWrite, // also where it sometimes stays as it was
    Unused,    // decoded, but neither read nor written: LEA, INVLPG, hints
};
constexpr bool reads(OperandUse use) { return use == OperandUse::Read || use == OperandUse::ReadWrite; }
constexpr bool writes(OperandUse use) { return use == OperandUse::Write || use == OperandUse::ReadWrite; }

struct FormOperand {
    Operand operand = Operand::None;
    OperandUse use = OperandUse::None;

    constexpr operator Operand() const { return operand; }
};

// A column that each row names: it cannot be left out.
template <class T> struct Required {
    T value;
    constexpr Required(T given) : value(given) {}
    constexpr operator T() const { return value; }
};

struct FormOperands {
    FormOperand all[3];
    constexpr FormOperands(FormOperand first, FormOperand second = {}, FormOperand third = {})
        : all{first, second, third} {}
    constexpr const FormOperand& operator[](std::size_t number) const { return all[number]; }
    constexpr const FormOperand* begin() const { return all; }
    constexpr const FormOperand* end() const { return all + 3; }
};
inline constexpr FormOperands kNoOperands{FormOperand{}};

// Letters of "odiszapc", in this order.
constexpr bool are_flag_letters(std::string_view letters) {
    std::size_t from = 0;
    for (const char letter : letters) {
        const std::size_t found = std::string_view("odiszapc").find(letter, from);
        if (found == std::string_view::npos)
            return false;
        from = found + 1;
    }
    return true;
}

struct FormFlags {
    std::string_view read, written, undefined;
    constexpr FormFlags(std::string_view r, std::string_view w, std::string_view u)
        : read(r), written(w), undefined(u) {}
    constexpr bool valid() const {
        return are_flag_letters(read) && are_flag_letters(written) && are_flag_letters(undefined);
    }
};
inline constexpr FormFlags kNoFlags{"", "", ""};

// How a form goes elsewhere than to the next instruction.
enum class Transfer : u8 {
    None,
    Jump,
    Branch, // Jcc, JCXZ
    Loop,
    Call,
    Return,
    FarJump,
    FarCall,
    FarReturn,
    Interrupt,  // INT n
    Breakpoint, // INT3, INT1
    Overflow,   // INTO
    InterruptReturn,
    SystemCall, // SYSENTER, SYSEXIT
};
// Does what a transfer does depend on descriptors, on the mode, or on what lies in tables?
constexpr bool is_far(Transfer transfer) {
    return transfer >= Transfer::FarJump && transfer <= Transfer::InterruptReturn;
}

enum class Port : u8 { None, In, Out };

// Attributes of a form.
enum FormAttribute : u16 {
    kPlain = 0,
    kLockable = 1,     // LOCK is allowed with a memory destination
    kEndsBlock = 2,    // changes what later instructions mean, or where they are; transfers and ports have it anyway
    kMemoryOnly = 4,   // ModRM.mod = 3 is undefined
    kRegisterOnly = 8, // ModRM.mod != 3 is undefined
    kString = 16,      // takes REP; comes with the operands
    kPrivileged = 32,  // only at CPL 0 in protected mode (for the fuzzer)
    kLocks = 64,       // with memory, without a prefix, too
    kNoFuzz = 128,     // result depends on more than architectural state (RDTSC, CPUID), or on the maker
    kNamedByAddress = 256, // names go by the address size
    kNamesPredicate = 512, // the immediate is part of the name
    kNestsFrames = 1024,   // ENTER
    kUndefined = 2048,     // exists in order to raise #UD
};

// Where a form came in: a generation, or an extension that a model of the last generation may have.
enum class Since : u8 { I386, I486, P5, P6, Mmx, Fxsr, Sse, Sse2 };

enum class CostClass : u8 {
#define COST_CLASS(name, flat, p6, text) name,
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

// 0F xx forms that a prefix tells apart, as `map` of their rows.
enum : u8 { kMapNone = 3, kMap66, kMapF3, kMapF2 };
inline constexpr i16 kNoGroup = -1;

// One row of opcodes.def. Columns that have a value here are none where a row does not name them.
struct Form {
    u8 map; // 1: one byte, 2: 0F xx with any prefixes, kMapNone to kMapF2: with exactly this mandatory prefix
    u8 opcode;
    std::string_view mnemonic;
    i16 group = kNoGroup; // 0..7: ModRM.reg; 0xC0..0xFF: the whole ModRM byte
    Required<Since> since;
    Required<CostClass> cost;
    FormFlags flags;
    FormOperands operands;
    // Names in Intel syntax where they go by a size, or by F3.
    std::string_view name_16 = {}, name_32 = {}, name_f3 = {};
    // RegisterSet, beside operands, the address of memory, ESP as the stack moves it, and what repeats and strings
    // move.
    u16 reads = kNoRegisters, writes = kNoRegisters;
    FormOperand implied_memory = {}; // XLAT, MASKMOVQ
    u8 pushes = 0, pops = 0;         // elements of the operand size
    Port port = Port::None;
    Transfer transfer = Transfer::None;
    u16 attributes = kPlain; // FormAttribute

    constexpr bool uses_stack() const { return pushes != 0 || pops != 0; }
};

// All rows; index 0 is the undefined opcode.
const Form& form_at(u16 index);
u16 form_count();

} // namespace forkscope
