// Owns: what DWARF says about the addresses of an ELF image, flattened by libdw: lines, and functions inlined there.
// Callers: ElfImage only. Promises: reads a bounded number of rows and entries; whatever libdw refuses is left out.
#pragma once

#include <map>
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

// From `start` to the next row's start the innermost inlined function is `name`; empty = none.
struct InlineRow {
    u32 start = 0;
    std::string name;
};

struct LineTable {
    std::vector<LineRow> rows; // sorted by address
    std::vector<std::string> files;
    std::vector<InlineRow> inlines; // sorted by address

    // `elf` must have been validated.
    void read(std::span<const u8> elf);
    const LineRow* find(u32 address) const;
    const std::string& inlined_at(u32 address) const;
};

} // namespace forkscope
