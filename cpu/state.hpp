// Owns: CpuState, the registers and nothing else.
// Callers: Cpu and its handlers write it; debuggers and windows read it. Promises: plain data; serialises by name;
// flags are hashed packed, so that lazy and eager engines agree.
#pragma once

#include <array>
#include <cstring>

#include "cpu/decode/instruction.hpp"
#include "cpu/execute/flags.hpp"
#include "cpu/numbers/simd_float.hpp"
#include "cpu/numbers/simd_vector.hpp"
#include "cpu/protection/descriptors.hpp"
#include "cpu/x87_state.hpp"
#include "emu/base/archive.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

struct TableRegister {
    u32 base = 0;
    u16 limit = 0xFFFF;
    void serialize(Archive& ar) {
        ar.field("base", base);
        ar.field("limit", limit);
    }
};

struct CpuState {
    // 16 general registers from the start (long mode), and one slot that always reads zero for absent base and index.
    std::array<u64, 17> gpr{};
    u32 eip = 0;
    u32 system_flags = kFlagFixed; // EFLAGS without the arithmetic six
    LazyFlags flags;
    std::array<SegmentCache, kSegmentCount> segments{};
    SegmentCache ldtr, tr;
    TableRegister gdtr, idtr;
    u32 cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;
    std::array<u32, 8> dr{};
    u8 cpl = 0;
    u64 tsc_offset = 0;            // TSC = cycles + offset
    std::array<u64, 3> sysenter{}; // MSRs 174H..176H
    X87State x87;                  // holds MM0 to MM7 too
    std::array<Vector128, 8> xmm{};
    u32 mxcsr = kMxcsrReset;
    std::array<u64, 7> model_registers{}; // other MSRs, by the model's table
    std::array<u32, 8> test_registers{};

    template <class T> T reg(u8 number) const {
        static_assert(sizeof(T) <= 4);
        if constexpr (sizeof(T) == 1)
            return static_cast<T>(gpr[number & 3] >> ((number & 4) << 1));
        else
            return static_cast<T>(gpr[number]);
    }
    // 32-bit writes clear the upper half, 8- and 16-bit writes keep the rest, as on x86-64.
    template <class T> void set_reg(u8 number, T value) {
        if constexpr (sizeof(T) == 4) {
            gpr[number] = value;
        } else if constexpr (sizeof(T) == 2) {
            std::memcpy(&gpr[number], &value, 2);
        } else {
            auto* bytes = reinterpret_cast<unsigned char*>(&gpr[number & 3]);
            bytes[(number >> 2) & 1] = static_cast<unsigned char>(value);
        }
    }

    u32 linear_eip() const { return segments[kCs].base + eip; }
    u32 linear_esp() const { return segments[kSs].base + (segments[kSs].big ? esp() : esp() & 0xFFFF); }
    CodeMode code_mode() const { return {segments[kCs].big}; }
    u32 esp() const { return static_cast<u32>(gpr[kEsp]); }
    u32 eflags() const { return system_flags | flags.pack(); }
    void set_eflags(u32 value) {
        flags.unpack(value);
        system_flags = (value & ~u32{kFlagsArithmetic}) | kFlagFixed;
    }
    bool flag(u32 bit) const { return (system_flags & bit) != 0; } // system flags only
    u32 iopl() const { return (system_flags >> 12) & 3; }
    bool protected_mode() const { return (cr0 & kCr0Pe) != 0; }
    bool virtual_8086() const { return (system_flags & kFlagVm) != 0; }

    void serialize(Archive& ar);
};

} // namespace forkscope
