// Owns: ElfFile, the headers of an x86 ELF file of either class, brought into one form.
// Callers: ElfImage. Promises: any bytes are accepted: an Error says what is wrong with the head; a section that does
// not lie in the file has no bytes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

enum class ElfClasses { Only32, Both };

struct ElfSection {
    std::string_view name;
    u32 type = 0;
    u32 link = 0;
    u64 address = 0, size = 0;
    std::span<const u8> bytes;
    bool inside = false; // the file
    bool packed = false; // by ELF's own header
};

struct ElfPart {
    u64 address = 0, memory_bytes = 0;
    std::span<const u8> data;
    bool executable = false, writable = false;
};

struct ElfSymbol {
    u64 value = 0, size = 0;
    u32 name = 0;
    u16 section = 0;
    u8 type = 0;
};

class ElfFile {
  public:
    static Result<ElfFile> read(const std::string& name, std::span<const u8> bytes, ElfClasses classes);

    bool wide() const { return wide_; } // 64 bit
    u64 entry() const { return entry_; }
    const std::vector<ElfPart>& parts() const { return parts_; }
    const std::vector<ElfSection>& sections() const { return sections_; }
    // Why there are no sections; empty: there are.
    const std::string& trouble() const { return trouble_; }
    bool names_sections() const { return names_sections_; }

    u64 symbol_bytes() const;
    ElfSymbol symbol(std::span<const u8> table, u64 number) const;

  private:
    template <class Class> Result<void> read_parts(const std::string& name, std::span<const u8> bytes);
    template <class Class> void read_sections(std::span<const u8> bytes);

    bool wide_ = false;
    bool names_sections_ = false;
    u64 entry_ = 0;
    std::vector<ElfPart> parts_;
    std::vector<ElfSection> sections_;
    std::string trouble_;
};

} // namespace forkscope
