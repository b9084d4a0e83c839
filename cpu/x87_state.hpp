// Owns: X87State, the registers of the x87: stack, control, status and tag words, pointers to the last instruction.
// Callers: CpuState holds it, the x87 handlers write it, debuggers read it. Promises: plain data; serialises by name;
// what the hardware derives (ES and B, full tags) is derived here too.
#pragma once

#include <array>

#include "cpu/numbers/float80.hpp"
#include "emu/base/archive.hpp"

namespace forkscope {

enum X87StatusBit : u16 {
    kX87StackFault = kFloatStackFault,
    kX87ErrorSummary = 1u << 7,
    kX87C0 = 1u << 8,
    kX87C1 = 1u << 9,
    kX87C2 = 1u << 10,
    kX87C3 = 1u << 14,
    kX87Busy = 1u << 15,
    kX87Conditions = kX87C0 | kX87C1 | kX87C2 | kX87C3,
};

struct X87State {
    static constexpr u16 kInitialControl = 0x037F; // FNINIT
    static constexpr u16 kResetControl = 0x0040;   // SDM 3A table 9-1
    static constexpr u16 kControlBits = 0x1F3F;    // bit 6 reads as 1, the others as 0
    static constexpr u16 kControlFixed = 0x0040;
    static constexpr u16 kStatusBits = 0x477F; // exceptions, SF, C0 to C3
    static constexpr u16 kExceptionBits = kFloatAll | kFloatStackFault;

    std::array<Float80, 8> registers{}; // by physical number
    u16 control = kResetControl;
    u16 status = 0; // exceptions, SF and C0 to C3; TOP, ES and B are kept apart
    u8 top = 0;
    u8 occupied = 0xFF; // a bit a physical register: not empty
    // The last instruction that was no control instruction.
    u16 opcode = 0; // 11 bits
    u16 instruction_selector = 0;
    u32 instruction_offset = 0;
    u16 data_selector = 0;
    u32 data_offset = 0;

    u32 physical(u32 i) const { return (top + i) & 7; }
    bool is_empty(u32 i) const { return (occupied >> physical(i) & 1) == 0; }
    const Float80& st(u32 i) const { return registers[physical(i)]; }
    void set(u32 i, Float80 value) {
        registers[physical(i)] = value;
        occupied = static_cast<u8>(occupied | 1u << physical(i));
    }
    void free(u32 i) { occupied = static_cast<u8>(occupied & ~(1u << physical(i))); }
    void push(Float80 value) {
        top = (top - 1) & 7;
        set(0, value);
    }
    void pop() {
        free(0);
        top = (top + 1) & 7;
    }

    bool is_masked(u8 exception) const { return (control & exception) != 0; }
    // An exception is flagged that is not masked: ES.
    bool error_pending() const { return (status & ~control & kFloatAll) != 0; }
    u16 status_word() const {
        return static_cast<u16>(status | top << 11 | (error_pending() ? kX87ErrorSummary | kX87Busy : 0));
    }
    void set_status_word(u16 value) {
        status = value & kStatusBits;
        top = value >> 11 & 7;
    }
    void set_control_word(u16 value) { control = (value & kControlBits) | kControlFixed; }
    void set_condition(u16 bits, u16 mask) { status = static_cast<u16>((status & ~mask) | bits); }

    // Two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty.
    u16 tag_word() const {
        u32 tags = 0;
        for (u32 i = 0; i < 8; ++i) {
            const FloatClass kind = registers[i].classify();
            const u32 tag = (occupied >> i & 1) == 0     ? 3u
                            : kind == FloatClass::Zero   ? 1u
                            : kind == FloatClass::Normal ? 0u
                                                         : 2u;
            tags |= tag << (2 * i);
        }
        return static_cast<u16>(tags);
    }
    void set_tag_word(u16 tags) { // only "empty" counts, the rest is derived again
        occupied = 0;
        for (u32 i = 0; i < 8; ++i)
            occupied = static_cast<u8>(occupied | ((tags >> (2 * i) & 3) != 3 ? 1u << i : 0));
    }

    FloatContext context() const {
        FloatContext out;
        out.rounding = static_cast<Rounding>(control >> 10 & 3);
        out.precision = static_cast<Precision>(control >> 8 & 3);
        out.masked = control & kFloatAll;
        out.flagged = status & kFloatAll;
        return out;
    }
    // FNINIT; the registers keep what they hold.
    void initialise() {
        control = kInitialControl;
        status = opcode = instruction_selector = data_selector = 0;
        top = occupied = 0;
        instruction_offset = data_offset = 0;
    }

    void serialize(Archive& ar) {
        ar.field("registers", registers);
        ar.field("control", control);
        ar.field("status", status);
        ar.field("top", top);
        ar.field("occupied", occupied);
        ar.field("opcode", opcode);
        ar.field("instruction_selector", instruction_selector);
        ar.field("instruction_offset", instruction_offset);
        ar.field("data_selector", data_selector);
        ar.field("data_offset", data_offset);
        if (ar.loading() &&
            (top > 7 || (status & ~kStatusBits) != 0 || (control & ~(kControlBits | kControlFixed)) != 0))
            ar.fail("the x87 holds impossible values");
    }
};

} // namespace forkscope
