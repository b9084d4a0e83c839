// Owns: the line table of an ELF image, flattened from DWARF by libdw.
// Callers: ElfImage only. Promises: reads at most a bounded number of rows; whatever libdw refuses is left out.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

struct LineRow {
    u32 address = 0;
    u32 line = 0;
    u32 file = 0;     // index into LineTable::files
    bool end = false; // the first address after a sequence
};

struct LineTable {
    std::vector<LineRow> rows; // sorted by address
    std::vector<std::string> files;

    // `elf` must have been validated.
    void read(std::span<const u8> elf);
    const LineRow* find(u32 address) const;
};

} // namespace forkscope
