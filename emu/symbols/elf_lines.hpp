// Owns: what DWARF says about the addresses of an ELF image, flattened: lines, and functions inlined there.
// Callers: ElfImage, and line_tables_main.cpp, which packs tables for targets without libdw. Promises: memory
// and time bounded by the file's size; what libdw refuses is left out.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

struct LineRow {
    u32 address = 0;
    u32 line = 0;
    u32 file = 0;              // index into LineTable::files
    bool end = false;          // the first address after a sequence
    bool statement = true;     // a good place to stop at
    bool prologue_end = false; // behind the function's prologue
};

// One inlined call.
struct InlineSite {
    u32 name = 0; // of the function inlined: index into LineTable::names
    u32 file = 0; // where it is called: index into LineTable::files
    u32 line = 0;
    u32 around = ~u32{0}; // the inlined call that it is in; LineTable::kNoSite: none
};

// From `start` to the next row's start the innermost inlined call is `site`; LineTable::kNoSite: none.
struct InlineRow {
    u32 start = 0;
    u32 site = ~u32{0};
};

class Archive;

struct LineTable {
    static constexpr u32 kNoSite = ~u32{0};

    std::vector<LineRow> rows; // sorted by address
    std::vector<std::string> files;
    std::vector<u32> included;      // 1: of no unit its own file, but a header of some; by number, absent as 0
    std::vector<InlineRow> inlines; // sorted by address
    std::vector<InlineSite> sites;
    std::vector<std::string> names;
    bool complete = true; // false: there was more than the file's size makes likely

    // `elf` must have been validated. By libdw (elf_lines_dwarf.cpp), or in a build of the core alone by the file's
    // hash from the tables that the build made (elf_lines_packed.cpp); without the one and the other the table stays
    // empty.
    // Addresses are moved by `slide`; what then lies beyond 4 GB is left out.
    void read(std::span<const u8> elf, u64 slide = 0);
    void serialize(Archive& ar);
    bool is_included(u32 file) const { return file < included.size() && included[file] != 0; }
    const LineRow* find(u32 address) const;
    // Of several lines at one address the last at which one may stop: what debuggers show.
    const LineRow* find_statement(u32 address) const;
    const InlineSite* inlined_at(u32 address) const; // nullptr: none
    const InlineSite* around(const InlineSite& site) const {
        return site.around < sites.size() ? &sites[site.around] : nullptr;
    }
};

// A section of an ELF file that is packed, unpacked by libelf; without it, or where it cannot be, nothing.
std::vector<u8> unpack_section(std::span<const u8> elf, std::size_t number);

} // namespace forkscope
