// Owns: ElfMaker, 32-bit x86 ELF files with whatever sections and segments a test wants, true or lying.
// Callers: tests of images from anybody. Promises: what is given is written as it is; only places in the file are
// filled in where they were left open.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <elf.h>

#include "emu/base/types.hpp"

namespace forkscope::fuzz {

class ElfMaker {
  public:
    // Each adds one and returns its number. A section without bytes may name a place of another by its offset.
    u32 add_section(const std::string& name, u32 type, std::vector<u8> bytes, Elf32_Shdr fields = {});
    u32 add_segment(std::vector<u8> bytes, Elf32_Phdr fields = {});
    // Another head over the bytes of a section or a segment that is there.
    u32 repeat_section(u32 number);
    void repeat_segment(u32 number, u32 address);

    std::vector<Elf32_Shdr>& sections() { return sections_; }
    std::vector<Elf32_Phdr>& segments() { return segments_; }
    Elf32_Ehdr& head() { return head_; }
    std::vector<u8> take();

  private:
    u32 place(const std::vector<u8>& bytes);

    Elf32_Ehdr head_{};
    std::vector<u8> bytes_ = std::vector<u8>(sizeof(Elf32_Ehdr)); // the head's place
    std::vector<Elf32_Shdr> sections_ = std::vector<Elf32_Shdr>(1);
    std::vector<Elf32_Phdr> segments_;
    std::string names_ = std::string(1, '\0');
};

// A multiboot header and an endless loop behind it, for 1 MB.
std::vector<u8> multiboot_code();
// A symbol table of functions, each of the given name's offset.
std::vector<u8> symbol_table(u32 count, u32 name_step);
// `count` zero bytes as a zlib stream, one 150th of their size.
std::vector<u8> packed_zeros(u32 count);

// DWARF 4 of one unit a line table: units name the tables at these offsets.
struct Dwarf {
    std::vector<u8> info, abbreviations;
};
Dwarf units_naming(const std::vector<u32>& line_tables);
// A line table: folders, files in the last of them, then `program`.
std::vector<u8> line_table(const std::vector<std::string>& folders, u32 files, const std::vector<u8>& program);

// An archive's entry with a right checksum; its size may be another than that of its bytes.
std::vector<u8> tar_entry(const std::string& name, char type, u64 size, const std::vector<u8>& bytes);

} // namespace forkscope::fuzz
