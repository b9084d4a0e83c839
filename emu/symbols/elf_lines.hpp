// Owns: what DWARF says about the addresses of an ELF image, flattened by libdw: lines, and functions inlined there.
// Callers: ElfImage only. Promises: reads a bounded number of rows and entries; what libdw refuses is left out.
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

// One inlined call.
struct InlineSite {
    std::string name; // of the function inlined
    u32 file = 0;     // where it is called: index into LineTable::files
    u32 line = 0;
    u32 around = ~u32{0}; // the inlined call that it is in; ~0 = none
};

// From `start` to the next row's start the innermost inlined call is `site`; ~0 = none.
struct InlineRow {
    u32 start = 0;
    u32 site = ~u32{0};
};

struct LineTable {
    std::vector<LineRow> rows; // sorted by address
    std::vector<std::string> files;
    std::vector<InlineRow> inlines; // sorted by address
    std::vector<InlineSite> sites;

    // `elf` must have been validated.
    void read(std::span<const u8> elf);
    const LineRow* find(u32 address) const;
    const InlineSite* inlined_at(u32 address) const; // nullptr: none
    const InlineSite* around(const InlineSite& site) const {
        return site.around < sites.size() ? &sites[site.around] : nullptr;
    }
};

} // namespace forkscope
