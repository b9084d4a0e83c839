// Owns: where a variable is: DWARF location expressions and location lists (DWARF 5 standard, 2.5, 2.6 and 7.7.3).
// Callers: locals, unwinding. Promises: any bytes are accepted; an expression takes a bounded number of steps; what it
// does not say, or says by an operation that needs more than registers and memory, is Absent, never a wrong place.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "emu/symbols/dwarf/entries.hpp"

namespace forkscope {

// Fills `bytes` from a linear address, or returns false where a part is absent.
using PeekMemory = std::function<bool(u32 address, std::span<u8> bytes)>;

// By DWARF's numbers for i386: eax, ecx, edx, ebx, esp, ebp, esi, edi, eip, eflags. Unknown: not to be had any more.
struct FrameRegisters {
    enum : u32 { Eax, Ecx, Edx, Ebx, Esp, Ebp, Esi, Edi, Eip, Eflags, Count };
    std::array<std::optional<u32>, Count> values;

    // Of any number that a file has.
    std::optional<u32> operator[](u32 number) const { return number < Count ? values[number] : std::nullopt; }
};

// What expressions may ask for.
struct LocationScene {
    const FrameRegisters* registers = nullptr;
    const PeekMemory* memory = nullptr;
    std::function<std::optional<u32>()> frame_address; // DW_OP_call_frame_cfa
    std::function<std::optional<u32>()> frame_base;    // DW_OP_fbreg
    // What an expression had for a value when the function was entered: as its caller says.
    std::function<std::optional<u64>(std::span<const u8> expression)> entry_value;
    const DwarfEntries* entries = nullptr;
    const DwarfUnit* unit = nullptr;
    u64 slide = 0; // of the addresses that expressions have in them
};

struct LocationPiece {
    enum class Where { Absent, Memory, Register, Bytes };
    Where where = Where::Absent;
    u32 address = 0;
    u32 number = 0;            // of the register
    std::array<u8, 8> value{}; // of Bytes, the lowest first
    std::span<const u8> block; // of Bytes, where it is not empty
    u64 bytes = 0;             // 0: all that the variable has
};

// Where a variable's parts lie, in order; empty: nowhere.
std::vector<LocationPiece> locate(std::span<const u8> expression, const LocationScene& scene);

// The value of an expression that calculates one, starting with `first` on its stack if there is one.
std::optional<u64> calculate(std::span<const u8> expression, const LocationScene& scene,
                             std::optional<u64> first = std::nullopt);

// The expression that an attribute has for an address; empty: the variable is nowhere there.
std::span<const u8> expression_at(const DwarfEntries& entries, const DwarfAttribute& attribute, u64 file_address);

} // namespace forkscope
