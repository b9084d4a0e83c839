// Owns: what a stepper asks of an image's lines: a line's addresses, a function's bounds, where its prologue ends.
// Callers: stepper, breakpoints, faces. Promises: an address without lines has none; all results are sorted.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/symbols/dwarf/debug_info.hpp"
#include "emu/symbols/elf_image.hpp"

namespace forkscope {

// All addresses of the line that the address comes from, within its function: what stepping by lines leaves.
std::vector<AddressRange> ranges_of_line_at(const ElfImage& image, u32 address);

// Whether a statement begins there: a stepper that comes to another line stops at such an address.
bool statement_begins(const ElfImage& image, u32 address);

// Where to stop for a line: once for each function and each inlined call that has code of it.
struct LinePlaces {
    std::string file;
    u32 line = 0; // the next one that has code, if the one asked for has none
    std::vector<u32> addresses;
};
// `file` is a path or the end of one. Without addresses if no line at or behind it has code.
LinePlaces places_of_line(const ElfImage& image, std::string_view file, u32 line);

// All addresses of the function around an address, its .cold part, too; of a bare symbol its bytes.
std::vector<AddressRange> function_ranges(const ElfImage& image, u32 address);

// Where a function's arguments can be read: its first address, or behind the prologue that stores them.
u32 behind_prologue(const ElfImage& image, u32 function);

} // namespace forkscope
