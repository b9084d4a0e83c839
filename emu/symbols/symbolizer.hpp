// Owns: names for addresses: the kernel's image in every address space, programs' images in the spaces bound to them.
// Callers: tracer, reports, window, terminal, GDB. Promises: never touches the machine; an unknown address is an
// answer without a symbol, never an error; opens no file: who has source text gives a reader of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/checkpoint_part.hpp"
#include "emu/symbols/elf_image.hpp"

namespace forkscope {

struct Location {
    u32 address = 0;
    std::string symbol; // empty: unknown
    u32 offset = 0;     // from the symbol's start
    std::string file;   // empty: unknown
    u32 line = 0;
    bool included = false; // the file is a header, not the unit's own
    std::string inlined;   // the function inlined there; empty: none
    std::string image;

    bool known() const { return !symbol.empty(); }
    // "dup_proc+0x1c", or the address in hexadecimal.
    std::string name() const;
    // The same with " (fork.c:120)" where the line is known, and with "set_pte in " where that was inlined there.
    std::string text() const;
    // "fork.c:120", or empty.
    std::string source() const;
};

class Symbolizer {
  public:
    using SourceReader = std::function<std::optional<std::string>(const std::string& path)>;

    void add_kernel(std::unique_ptr<ElfImage> image);
    // Names that a person gives besides: they hold in every space, and go before the kernel's own.
    void add_symbols(std::unique_ptr<ElfImage> image);
    void add_program(const std::string& name, std::unique_ptr<ElfImage> image);
    // Adds every 32-bit x86 ELF program of an initrd, named by its path. Returns how many. An Error: not a tar archive.
    Result<u32> add_programs_of_initrd(std::span<const u8> initrd);

    // Says that the address space (CR3's directory) runs the program. False if there is no such program.
    bool bind(u32 address_space, std::string_view name);
    void unbind(u32 address_space) { bound_.erase(address_space); }
    // A forked space runs what its parent runs.
    void bind_like(u32 address_space, u32 parent);
    std::string program_of(u32 address_space) const; // empty: unknown
    // Fills `bytes` with what lies at a linear address of a space, or returns false where a part is absent.
    using MemoryReader = std::function<bool(u32 address_space, u32 address, std::span<u8> bytes)>;
    // Finds the program whose file bytes are in memory at `address` of the space, and binds it. Looks only.
    bool identify(const MemoryReader& read, u32 address_space, u32 address);

    // Which space runs which program: what a checkpoint needs to hold.
    struct State {
        std::map<u32, std::string> programs;
        void serialize(Archive& ar);
        auto held() const { return std::tie(programs); }
    };
    State state() const;
    void restore(const State* state);
    CheckpointPart checkpoint_part() { return forkscope::checkpoint_part("programs", 1, *this); }

    Location lookup(u32 address_space, u32 address) const;
    // In a program by name, whatever the spaces run now; empty: the kernel. Asked again, it remembers.
    const Location& lookup_in(std::string_view program, u32 address) const;
    // The place and all calls around it that the compiler inlined, innermost first; `symbol` names the function at
    // each. `program` may be empty: the kernel.
    std::vector<Location> inline_chain(std::string_view program, u32 address) const;
    std::vector<Location> inline_chain_in(u32 address_space, u32 address) const;
    // "name" in the kernel, else in the space's program; "program:name" in that program.
    std::optional<u32> address_of(std::string_view name, u32 address_space = 0) const;
    // Where "name" in the kernel or "program:name" begins, inlined calls included.
    std::vector<u32> places_of(std::string_view name) const;
    // Where a line's code begins, each run of it: in the kernel, or in the program named.
    std::vector<u32> places_of_line(std::string_view program, std::string_view file, u32 line) const;
    // "file.c:120" in the kernel, else in the space's program.
    std::optional<u32> address_of_line(std::string_view file, u32 line, u32 address_space = 0) const;

    void set_source_reader(SourceReader reader) { source_reader_ = std::move(reader); }
    // The text of a source file, or of one line of it (from 1) without its line break.
    const std::string* source_text(const std::string& path) const;
    std::optional<std::string> source_line(const std::string& path, u32 line) const;

    // The image that an address of a space is in; nullptr: unknown.
    const ElfImage* image_at(u32 address_space, u32 address) const;
    // All images whose names can be meant in a space: the given one first, if there is one.
    std::vector<const ElfImage*> images_for(u32 address_space, const ElfImage* first = nullptr) const;
    const ElfImage* kernel() const { return kernel_.get(); }
    const ElfImage* program(std::string_view name) const;
    // All programs known, by their paths.
    const std::map<std::string, std::unique_ptr<ElfImage>, std::less<>>& programs() const { return programs_; }

  private:
    const ElfImage* kernel_at(u32 address) const; // or what was given for it
    // In a program, or by no name the kernel.
    const ElfImage* covering(std::string_view program, u32 address) const;

    static Location locate(const ElfImage* image, u32 address);
    static std::vector<Location> chain_of(const ElfImage* image, u32 address);

    std::unique_ptr<ElfImage> kernel_;
    std::vector<std::unique_ptr<ElfImage>> given_; // besides
    std::map<std::string, std::unique_ptr<ElfImage>, std::less<>> programs_;
    std::map<u32, const ElfImage*> bound_;
    SourceReader source_reader_;
    mutable std::map<std::string, std::optional<std::string>> sources_;
    mutable std::map<std::pair<const ElfImage*, u32>, Location> places_; // of lookup_in
};

// What a person types for an address: a number in C's notation, or a symbol of the kernel or of the space's program.
std::optional<u32> address_of(std::string_view word, const Symbolizer& symbols, u32 space);

} // namespace forkscope
