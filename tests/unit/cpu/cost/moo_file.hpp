// Owns: the reader of MOO files, captures of single instructions on real processors (tests/data/README.md).
// Callers: tests. Promises: any bytes are accepted; what does not fit ends the list.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope::test {

// RG32's order.
enum MooRegister : u8 {
    kMooCr0,
    kMooCr3,
    kMooEax,
    kMooEbx,
    kMooEcx,
    kMooEdx,
    kMooEsi,
    kMooEdi,
    kMooEbp,
    kMooEsp,
    kMooCs,
    kMooDs,
    kMooEs,
    kMooFs,
    kMooGs,
    kMooSs,
    kMooEip,
    kMooEflags,
    kMooDr6,
    kMooDr7,
    kMooRegisters
};

struct MooByte {
    u32 address = 0;
    u8 value = 0;
};

// One clock of the bus: T1 and T2 are a cycle's two clocks, the idle bus is in none.
struct MooClock {
    enum Status : u8 { kFetch = 4, kHalt = 5, kRead = 6, kWrite = 7 };
    u32 address = 0;
    u8 status = 0;
    u8 t_state = 0;
    bool starts(Status what) const { return t_state == 1 && status == what; }
};

struct MooTest {
    u32 number = 0;
    std::string name;
    std::vector<u8> bytes;
    std::array<u32, kMooRegisters> before{};
    std::array<u32, kMooRegisters> after{}; // all of them
    std::vector<MooByte> memory_before;
    std::vector<MooByte> memory_after; // what changed
    std::vector<MooClock> clocks;      // from the first code fetch to HALT
    std::optional<u8> exception;
};

std::vector<MooTest> read_moo_file(const std::string& path);

} // namespace forkscope::test
