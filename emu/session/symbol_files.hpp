// Owns: what --symbols gives: ELF files whose names hold besides the kernel's own.
// Callers: Session. Promises: an Error says which file, what is wrong and what to give; no other file is opened than
// those that the person names.
#pragma once

#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/session/recording/recording_format.hpp"
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

// For a recording, which keeps them: at most 64 MB of them in all; of larger ones it is said that it does not.
Result<std::vector<RecordedNames::SymbolFile>> read_symbol_files(const std::vector<std::string>& files);
// Those that a recording keeps.
Result<void> add_recorded_symbols(Symbolizer& symbols, std::vector<RecordedNames::SymbolFile> files);

} // namespace forkscope
