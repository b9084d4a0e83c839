#include "emu/symbols/elf_file.hpp"

#include <cstring>

#include <elf.h>
#include <fmt/format.h>

#include "emu/symbols/dwarf/byte_reader.hpp"

namespace forkscope {

namespace {

struct Class32 {
    using Head = Elf32_Ehdr;
    using Part = Elf32_Phdr;
    using Section = Elf32_Shdr;
    static constexpr u64 kHighest = u64{1} << 32;
};

struct Class64 {
    using Head = Elf64_Ehdr;
    using Part = Elf64_Phdr;
    using Section = Elf64_Shdr;
    static constexpr u64 kHighest = ~u64{0};
};

template <class T> T at(std::span<const u8> bytes, u64 offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

bool inside(std::span<const u8> bytes, u64 offset, u64 size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
}

Error refuse(const std::string& name, const std::string& why) { return Error{fmt::format("{}: {}", name, why)}; }

} // namespace

Result<ElfFile> ElfFile::read(const std::string& name, std::span<const u8> bytes, ElfClasses classes) {
    if (bytes.size() < sizeof(Elf32_Ehdr) || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
        return refuse(name, "not an ELF file; give a 32-bit x86 ELF image");
    ElfFile file;
    file.wide_ = bytes[EI_CLASS] == ELFCLASS64;
    if (file.wide_ && classes == ElfClasses::Only32)
        return refuse(name, "a 64-bit ELF file; Forkscope reads 32-bit x86 images (build with -m32)");
    if (file.wide_ && bytes.size() < sizeof(Elf64_Ehdr))
        return refuse(name, "cut off: shorter than its header");
    // The fields up to the machine lie at the same places in both.
    const auto head = at<Elf32_Ehdr>(bytes, 0);
    if (bytes[EI_DATA] != ELFDATA2LSB || head.e_machine != (file.wide_ ? EM_X86_64 : EM_386))
        return refuse(name, "an ELF file for another processor; Forkscope reads 32-bit x86 images");
    if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
        return refuse(name, "an ELF file that is not linked; give the linked image, not an object file");
    Result<void> parts = file.wide_ ? file.read_parts<Class64>(name, bytes) : file.read_parts<Class32>(name, bytes);
    if (!parts)
        return parts.error();
    file.wide_ ? file.read_sections<Class64>(bytes) : file.read_sections<Class32>(bytes);
    return file;
}

template <class Class> Result<void> ElfFile::read_parts(const std::string& name, std::span<const u8> bytes) {
    using Part = typename Class::Part;
    const auto head = at<typename Class::Head>(bytes, 0);
    if (head.e_phnum != 0 &&
        (head.e_phentsize != sizeof(Part) || !inside(bytes, head.e_phoff, u64{head.e_phnum} * sizeof(Part))))
        return refuse(name, "cut off: the program headers lie beyond the end of the file");
    entry_ = head.e_entry;
    for (u32 i = 0; i < head.e_phnum; ++i) {
        const auto part = at<Part>(bytes, head.e_phoff + i * sizeof(Part));
        if (part.p_type != PT_LOAD || part.p_memsz == 0)
            continue;
        if (!inside(bytes, part.p_offset, part.p_filesz) || part.p_filesz > part.p_memsz ||
            part.p_memsz > Class::kHighest - part.p_vaddr)
            return refuse(name, fmt::format("cut off or damaged: segment {} does not lie in the file", i));
        parts_.push_back({part.p_vaddr, part.p_memsz, bytes.subspan(part.p_offset, part.p_filesz),
                          (part.p_flags & PF_X) != 0, (part.p_flags & PF_W) != 0});
    }
    return {};
}

template <class Class> void ElfFile::read_sections(std::span<const u8> bytes) {
    using Section = typename Class::Section;
    const auto head = at<typename Class::Head>(bytes, 0);
    if (head.e_shoff == 0 || head.e_shnum == 0) {
        trouble_ = "no section headers: no symbols and no source lines";
        return;
    }
    if (head.e_shentsize != sizeof(Section) || !inside(bytes, head.e_shoff, u64{head.e_shnum} * sizeof(Section))) {
        trouble_ = "the section headers lie beyond the end of the file: no symbols and no source lines";
        return;
    }
    const auto section = [&](u32 i) { return at<Section>(bytes, head.e_shoff + i * sizeof(Section)); };
    const auto bytes_of = [&](const Section& part) {
        const bool there = part.sh_type != SHT_NOBITS && inside(bytes, part.sh_offset, part.sh_size);
        return there ? bytes.subspan(part.sh_offset, part.sh_size) : std::span<const u8>();
    };
    const auto names = head.e_shstrndx < head.e_shnum ? bytes_of(section(head.e_shstrndx)) : std::span<const u8>();
    names_sections_ = !names.empty();
    for (u32 i = 0; i < head.e_shnum; ++i) {
        const Section part = section(i);
        sections_.push_back({text_in(names, part.sh_name), part.sh_type, part.sh_link, part.sh_addr, part.sh_size,
                             bytes_of(part), inside(bytes, part.sh_offset, part.sh_size),
                             (part.sh_flags & SHF_COMPRESSED) != 0});
    }
}

u64 ElfFile::symbol_bytes() const { return wide_ ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym); }

ElfSymbol ElfFile::symbol(std::span<const u8> table, u64 number) const {
    const auto plain = [](const auto& entry) {
        return ElfSymbol{entry.st_value, entry.st_size, entry.st_name, entry.st_shndx,
                         static_cast<u8>(ELF32_ST_TYPE(entry.st_info))};
    };
    return wide_ ? plain(at<Elf64_Sym>(table, number * sizeof(Elf64_Sym)))
                 : plain(at<Elf32_Sym>(table, number * sizeof(Elf32_Sym)));
}

} // namespace forkscope
