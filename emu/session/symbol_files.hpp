// Owns: what --symbols gives: ELF files whose names hold besides the kernel's own.
// Callers: Session. Promises: an Error says which file, what is wrong and what to give; no other file is opened than
// those that the person names.
#pragma once

#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/files/chunk_file.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// "FILE" or "FILE@BASE". A name with an @ of its own is a file's if there is such a file.
struct SymbolFile {
    std::string path;
    std::optional<u32> base;
};
Result<SymbolFile> parse_symbol_file(const std::string& text);

// Adds each and says where its names lie. A flat kernel is laid out as the first of them.
Result<void> add_symbol_files(Symbolizer& symbols, const std::vector<std::string>& files);

// "xxh3:…" of the file, "" where it cannot be read: recordings keep it.
std::string symbol_file_sum(const std::string& text);
// Warns about files that differ from those of a recording.
void compare_symbol_files(const std::vector<std::string>& files, const FileHeader& recorded);

} // namespace forkscope
