// Owns: one x86 ELF file in memory: loaded segments, symbols, source lines (DWARF, through libdw).
// Callers: Symbolizer, the debugger's faces. Promises: any bytes are accepted without harm: an Error says what is
// wrong; damaged debug information only means fewer names, and notes() says so.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/shared/shared_bytes.hpp"
#include "emu/base/types.hpp"
#include "emu/symbols/elf_file.hpp"

namespace forkscope {

class DebugInfo;
struct LineTable;

struct Symbol {
    std::string_view name; // in the image's bytes
    u32 start = 0;
    u32 size = 0; // bytes; 0 = the file does not say
    bool function = false;
};

struct SourceLine {
    std::string file; // with the compiler's directory, as DWARF has it
    u32 line = 0;
    bool included = false; // the file is a header's, not the unit's own
};

// A function that the compiler inlined, and the line that calls it.
struct InlinedCall {
    std::string function;
    SourceLine call;
};

// A part of the file that is loaded into memory.
struct ElfSegment {
    u32 start = 0;
    u32 memory_bytes = 0;
    std::span<const u8> data; // the first bytes; the rest is zero
    bool executable = false;
    bool writable = false;
};

// Which files are taken, and where they lie.
struct ElfPlacement {
    ElfClasses classes = ElfClasses::Only32;
    std::optional<u32> base; // of the lowest loaded byte; nothing: where it is linked
};

class ElfImage {
  public:
    // Shares the bytes.
    static Result<std::unique_ptr<ElfImage>> of(std::string name, SharedBytes bytes,
                                                const ElfPlacement& placement = {});
    static Result<std::unique_ptr<ElfImage>> from_bytes(std::string name, std::span<const u8> bytes) {
        return of(std::move(name), SharedBytes::copy_of(bytes));
    }
    ~ElfImage();

    const std::string& name() const { return name_; }
    u32 entry() const { return entry_; }
    u64 hash() const { return hash_; } // XXH3 of the file
    const std::vector<ElfSegment>& segments() const { return segments_; }
    const std::vector<Symbol>& symbols() const { return symbols_; } // sorted by address
    const std::vector<std::string>& notes() const { return notes_; }

    u32 lowest() const; // address of the first loaded byte
    bool covers(u32 address) const;
    // The symbol that holds the address, or nullptr.
    const Symbol* symbol_at(u32 address) const;
    const Symbol* symbol_named(std::string_view symbol) const;
    // The line that the instruction at the address comes from. The first call reads all line tables.
    std::optional<SourceLine> line_at(u32 address) const;
    // The function that the compiler inlined there (the innermost one); empty if none.
    const std::string& inlined_at(u32 address) const;
    // All functions inlined there, innermost first.
    std::vector<InlinedCall> inlined_calls(u32 address) const;
    // The lowest address that comes from the line of a file whose path ends in `file`.
    std::optional<u32> address_of_line(std::string_view file, u32 line) const;
    // The first address of each run of code that comes from the line. `file`: the end of a path, whole names only.
    std::vector<u32> places_of_line(std::string_view file, u32 line) const;
    // Where a function begins: as a function, and the first address of each run of its code inlined elsewhere. Whoever
    // enters it passes one of them first.
    std::vector<u32> places_of(std::string_view function) const;

    // All of it; see line_places.hpp.
    const LineTable& line_table() const;
    // Functions, variables, types, frames. Empty where the file has no debug information.
    const DebugInfo& debug() const;
    bool has_debug_information() const { return debug_usable_ && !debug_section(".debug_info").empty(); }
    bool wide() const { return file_.wide(); } // a 64-bit file

  private:
    ElfImage() = default;
    void place(std::optional<u32> base);
    std::optional<u32> placed(u64 address) const;
    void read_sections();
    bool debug_section_is_sound(const ElfSection& section);
    u64 most_unpacked() const;
    void read_symbols(std::span<const u8> table, std::span<const u8> names);
    void finish_symbols();
    std::span<const u8> debug_section(std::string_view section_name) const;

    std::string name_;
    SharedBytes bytes_;
    ElfFile file_;  // of bytes_
    u64 slide_ = 0; // from where it is linked to where it lies
    u32 entry_ = 0;
    u64 hash_ = 0;
    std::vector<ElfSegment> segments_;
    std::vector<Symbol> symbols_;
    std::vector<u32> by_name_; // indices into symbols_
    std::vector<std::string> notes_;
    u64 symbol_bytes_ = 0, name_bytes_ = 0; // of tables read so far; of their names
    u64 unpacked_bytes_ = 0;                // what packed sections say that they unpack to
    bool debug_usable_ = false;
    mutable std::unique_ptr<LineTable> lines_;
    mutable std::vector<std::vector<u8>> unpacked_; // sections that debug_ looks at
    mutable std::unique_ptr<DebugInfo> debug_;
};

} // namespace forkscope
