// Owns: the registers as gdb numbers them, what each is, how it is read and which of the machine's it is.
// Callers: GdbStub and the target description. Promises: numbers 0 to 31 are gdb's own of i386; a register that the
// processor's model lacks is in no list; reading changes nothing.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cpu/register_number.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope {

// A feature of the target description; the order is that of the numbers.
enum class RegisterFeature : u8 { Core, Sse, System };

struct GdbRegister {
    std::string_view name;
    u8 bits = 32;
    std::string_view type;  // "int32", or one that the description defines
    std::string_view group; // "": as gdb sorts it
    RegisterFeature feature{};
    Vector128 (*read)(const Machine& machine, u8 index) = nullptr;
    u8 index = 0;
    // None: it is only read. Of more than 64 bits the first of two.
    std::optional<RegisterNumber> written_as = {};
};

inline constexpr u32 kGdbEsp = 4, kGdbEbp = 5, kGdbEip = 8, kGdbEflags = 9;
inline constexpr u32 kGdbGeneral = 16; // EAX to GS
inline constexpr u32 kGdbFloatControl = 24;
inline constexpr u32 kGdbCoreCount = 32; // and st0 to fop: what a `g` packet holds

// By number.
std::vector<GdbRegister> gdb_registers(const Model& model);
// Little-endian, as wide as the register.
std::vector<u8> register_bytes(const GdbRegister& row, Vector128 value);

} // namespace forkscope
