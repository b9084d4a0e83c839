// Owns: Frame, what translated code and the engine tell each other, and the records of flags that lie in it.
// Callers: the translator emits code that reads and writes its fields; the engine's slow functions. Promises: plain
// data at fixed offsets; a record of flags gives what the interpreter would have (settle_flags).
#pragma once

#include <cstddef>

#include "cpu/execute/flags.hpp"

namespace forkscope::translator {

// How the flags of the last instruction that set any come from a, b and c of the frame. `r` is its result, `x` and `y`
// are its operands.
enum class FlagsOf : u8 {
    Settled,      // LazyFlags has them
    Add,          // a = r, b = y
    Sub,          // a = r, b = y
    Compare,      // a = x, b = y
    Logic,        // a = r
    Test,         // a = x, b = y
    Adc,          // a = r, b = y, c = carry in
    Sbb,          // a = r, b = y, c = carry in
    Inc,          // a = r, b = CF, which stays
    Dec,          // a = r, b = CF, which stays
    Neg,          // a = r
    Shl,          // a = x, b = count, not 0
    Shr,          // a = x, b = count, not 0
    Sar,          // a = x, b = count, not 0
    Multiply,     // a = low half of r, b = CF = OF
    FloatCompare, // a = CF, PF and ZF, a byte each; the others are clear
    IncOver,      // over = r; CF is what the record below says
    DecOver,      // over = r; CF is what the record below says
};
constexpr bool lies_over(FlagsOf of) { return of >= FlagsOf::IncOver; }

// A record's kind and operand size, as one word: Settled is 0.
constexpr u32 flags_record(FlagsOf of, u32 size) { return static_cast<u32>(of) << 3 | size; }

// On the host's stack, at rsp, while translated code runs.
struct alignas(16) Frame {
    u32 a = 0, b = 0;
    u32 record = 0;      // flags_record
    u32 over_record = 0; // of one that lies over it; 0: none. Both are written at once
    u32 c = 0, over = 0;
    u32 eip = 0;                       // where the guest goes on
    u32 expected = 0;                  // the record that the code behind a slow instruction counts on; 0: none
    u32 handlers = 0;                  // how many instructions from the slow one on run by their handlers
    u32 bounce = 0;                    // a byte on its way from or to AH, CH, DH, BH
    const void* instruction = nullptr; // const Instruction*: that is slow
    const void* resume = nullptr;      // where the code goes on behind it, or in another block
    void* translation = nullptr;       // that it belongs to
    const void* recent = nullptr;      // the recent slots of the privilege
    void* link = nullptr;              // the exit taken, if it may be linked
    i64 budget = 0;                    // clocks left before the code must leave, less one
    u64 instructions = 0;              // retired, those of the running block included
    u32 may_pass_end = 0;              // the code goes on behind the slow instruction though it is the block's last
    // The guest's x87 is in the host's; then what has run there last, kNone: nothing since.
    u32 x87_taken = 0;
    u32 x87_opcode = kNone, x87_eip = 0;
    u32 x87_segment = kNone, x87_operand = 0; // of the last memory operand

    static constexpr u32 kNone = 0xFFFF;
};

// What an access asks for, in one word: the number of its instruction, its kind, its size.
struct WayAsked {
    static constexpr u32 kWrite = 0x100;
    static constexpr u32 kStore = 0x200; // the value of a doubleword is in Frame::bounce, and all that is written

    static constexpr u32 of(u32 instruction, u32 size, bool writes) {
        return instruction << 16 | (writes ? kWrite : 0) | size;
    }
};
inline constexpr std::uintptr_t kStored = 1; // instead of a host address: it has been done

// Brings `flags` up to date with the record, which is then Settled.
void settle_flags(Frame& frame, LazyFlags& flags);
// The other way round: puts into a, b and c what gives `flags` by the record `expected`.
void record_flags(Frame& frame, const LazyFlags& flags);

} // namespace forkscope::translator
