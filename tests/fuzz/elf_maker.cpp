#include "elf_maker.hpp"

#include <cstring>

#include <fmt/format.h>

namespace forkscope::fuzz {

namespace {

template <class T> void put(std::vector<u8>& out, const T& value) {
    const auto* bytes = reinterpret_cast<const u8*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
}

void put_text(std::vector<u8>& out, const std::string& text) {
    out.insert(out.end(), text.begin(), text.end());
    out.push_back(0);
}

void put_leb(std::vector<u8>& out, u64 value) {
    for (; value >= 0x80; value >>= 7)
        out.push_back(static_cast<u8>(value | 0x80));
    out.push_back(static_cast<u8>(value));
}

} // namespace

u32 ElfMaker::place(const std::vector<u8>& bytes) {
    bytes_.resize((bytes_.size() + 15) & ~std::size_t{15});
    const auto at = static_cast<u32>(bytes_.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return at;
}

u32 ElfMaker::add_section(const std::string& name, u32 type, std::vector<u8> bytes, Elf32_Shdr fields) {
    fields.sh_type = type;
    fields.sh_name = static_cast<u32>(names_.size());
    names_ += name + '\0';
    if (!bytes.empty()) {
        fields.sh_offset = place(bytes);
        fields.sh_size = static_cast<u32>(bytes.size());
    }
    sections_.push_back(fields);
    return static_cast<u32>(sections_.size() - 1);
}

u32 ElfMaker::add_segment(std::vector<u8> bytes, Elf32_Phdr fields) {
    fields.p_type = PT_LOAD;
    fields.p_offset = place(bytes);
    fields.p_filesz = static_cast<u32>(bytes.size());
    fields.p_memsz = std::max(fields.p_memsz, fields.p_filesz);
    fields.p_paddr = fields.p_vaddr;
    segments_.push_back(fields);
    return static_cast<u32>(segments_.size() - 1);
}

u32 ElfMaker::repeat_section(u32 number) {
    sections_.push_back(sections_[number]);
    return static_cast<u32>(sections_.size() - 1);
}

void ElfMaker::repeat_segment(u32 number, u32 address) {
    segments_.push_back(segments_[number]);
    segments_.back().p_vaddr = segments_.back().p_paddr = address;
}

std::vector<u8> ElfMaker::take() {
    const u32 names = add_section(".shstrtab", SHT_STRTAB, {});
    sections_[names].sh_offset = place({names_.begin(), names_.end()});
    sections_[names].sh_size = static_cast<u32>(names_.size());
    std::vector<u8> tables;
    for (const Elf32_Phdr& segment : segments_)
        put(tables, segment);
    for (const Elf32_Shdr& section : sections_)
        put(tables, section);
    std::memcpy(head_.e_ident, ELFMAG, SELFMAG);
    head_.e_ident[EI_CLASS] = ELFCLASS32;
    head_.e_ident[EI_DATA] = ELFDATA2LSB;
    head_.e_ident[EI_VERSION] = head_.e_version = EV_CURRENT;
    head_.e_type = ET_EXEC;
    head_.e_machine = EM_386;
    head_.e_ehsize = sizeof head_;
    head_.e_phoff = place(tables);
    head_.e_phentsize = sizeof(Elf32_Phdr);
    head_.e_phnum = static_cast<u16>(segments_.size());
    head_.e_shoff = head_.e_phoff + static_cast<u32>(segments_.size() * sizeof(Elf32_Phdr));
    head_.e_shentsize = sizeof(Elf32_Shdr);
    head_.e_shnum = static_cast<u16>(sections_.size());
    head_.e_shstrndx = static_cast<u16>(names);
    std::memcpy(bytes_.data(), &head_, sizeof head_);
    return std::move(bytes_);
}

std::vector<u8> multiboot_code() {
    std::vector<u8> bytes;
    for (const u32 word : {0x1BADB002u, 0u, 0u - 0x1BADB002u, 0x9090FEEBu})
        put(bytes, word);
    return bytes;
}

std::vector<u8> symbol_table(u32 count, u32 name_step) {
    std::vector<u8> bytes;
    for (u32 i = 0; i < count; ++i) {
        Elf32_Sym symbol{};
        symbol.st_name = 1 + i * name_step;
        symbol.st_value = 0x100000 + i;
        symbol.st_size = 1;
        symbol.st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC);
        symbol.st_shndx = 1;
        put(bytes, symbol);
    }
    return bytes;
}

// RFC 1950 and 1951: one block of fixed codes, a zero and then copies of 258 bytes at distance 1.
std::vector<u8> packed_zeros(u32 count) {
    std::vector<u8> bytes = {0x78, 0x9C};
    u64 bits = 0;
    u32 held = 0;
    const auto put_bits = [&](u32 value, u32 size) { // the lowest bit first
        bits |= u64{value} << held;
        for (held += size; held >= 8; held -= 8, bits >>= 8)
            bytes.push_back(static_cast<u8>(bits));
    };
    const auto put_zero = [&] { put_bits(0x0C, 8); }; // literal 0: 00110000, its highest bit first
    put_bits(3, 3);                                   // the last block, of fixed codes
    put_zero();
    u32 left = count - 1;
    for (; left >= 258; left -= 258) {
        put_bits(0xA3, 8); // length 258: 11000101, its highest bit first
        put_bits(0, 5);    // distance 1
    }
    for (; left != 0; --left)
        put_zero();
    put_bits(0, 7); // the end
    put_bits(0, 7);
    for (const u32 part : {count % 65521, 1u}) { // Adler-32 of zeros
        bytes.push_back(static_cast<u8>(part >> 8));
        bytes.push_back(static_cast<u8>(part));
    }
    return bytes;
}

Dwarf units_naming(const std::vector<u32>& line_tables) {
    constexpr u8 kCompileUnit = 0x11, kLineTable = 0x10, kSectionOffset = 0x17;
    Dwarf dwarf;
    dwarf.abbreviations = {1, kCompileUnit, 0, kLineTable, kSectionOffset, 0, 0, 0};
    for (const u32 offset : line_tables) {
        put(dwarf.info, u32{12}); // bytes that follow
        put(dwarf.info, u16{4});
        put(dwarf.info, u32{0}); // of the abbreviations
        put(dwarf.info, u8{4});  // bytes of an address
        put(dwarf.info, u8{1});
        put(dwarf.info, offset);
    }
    return dwarf;
}

std::vector<u8> line_table(const std::vector<std::string>& folders, u32 files, const std::vector<u8>& program) {
    std::vector<u8> header = {1, 1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
    for (const std::string& folder : folders)
        put_text(header, folder);
    header.push_back(0);
    for (u32 i = 0; i < files; ++i) {
        put_text(header, fmt::format("{:x}", i));
        put_leb(header, folders.size());
        put_leb(header, 0);
        put_leb(header, 0);
    }
    header.push_back(0);
    std::vector<u8> table;
    put(table, static_cast<u32>(2 + 4 + header.size() + program.size()));
    put(table, u16{4});
    put(table, static_cast<u32>(header.size()));
    table.insert(table.end(), header.begin(), header.end());
    table.insert(table.end(), program.begin(), program.end());
    return table;
}

std::vector<u8> tar_entry(const std::string& name, char type, u64 size, const std::vector<u8>& bytes) {
    std::vector<u8> block(512);
    const auto write = [&block](std::size_t at, const std::string& text) {
        std::memcpy(&block[at], text.data(), text.size());
    };
    write(0, name.substr(0, 100));
    write(100, "0000644");
    if (size < u64{1} << 33) {
        write(124, fmt::format("{:011o}", size));
    } else { // base 256
        block[124] = 0x80;
        for (std::size_t i = 0; i < 8; ++i)
            block[135 - i] = static_cast<u8>(size >> 8 * i);
    }
    block[156] = static_cast<u8>(type);
    write(257, std::string("ustar\00000", 8));
    write(148, "        ");
    u32 sum = 0;
    for (const u8 byte : block)
        sum += byte;
    write(148, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    block.insert(block.end(), bytes.begin(), bytes.end());
    block.resize((block.size() + 511) & ~std::size_t{511});
    return block;
}

} // namespace forkscope::fuzz
