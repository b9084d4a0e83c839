#include "emu/symbols/elf_image.hpp"

#include <algorithm>
#include <cstring>

#include <elf.h>

#include "emu/base/archive.hpp"
#include "emu/base/log.hpp"
#include "emu/symbols/elf_lines.hpp"

namespace forkscope {

namespace {

// The file is not trusted. What its debug sections unpack to together, besides twice its size:
constexpr u64 kMostUnpacked = u64{32} << 20;
constexpr std::size_t kMostSymbols = 1u << 20;
constexpr u64 kMostNameBytes = u64{64} << 20; // names may overlap; besides twice the file's size
constexpr std::size_t kMostName = 4096;

template <class T> T at(std::span<const u8> bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

bool inside(std::span<const u8> bytes, u64 offset, u64 size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
}

std::string_view string_at(std::span<const u8> names, u32 offset) {
    if (offset >= names.size())
        return {};
    const auto* start = reinterpret_cast<const char*>(names.data()) + offset;
    return {start, ::strnlen(start, std::min<std::size_t>(names.size() - offset, kMostName))};
}

Error refuse(const std::string& name, const std::string& why) { return Error{fmt::format("{}: {}", name, why)}; }

} // namespace

struct ElfImage::Lines : LineTable {};

ElfImage::~ElfImage() = default;

Result<std::unique_ptr<ElfImage>> ElfImage::from_bytes(std::string name, std::span<const u8> bytes) {
    std::unique_ptr<ElfImage> image(new ElfImage);
    image->name_ = std::move(name);
    image->bytes_.assign(bytes.begin(), bytes.end());
    image->hash_ = checksum(bytes);
    if (Result<void> header = image->read_header(); !header)
        return header.error();
    image->read_sections();
    image->finish_symbols();
    return image;
}

Result<void> ElfImage::read_header() {
    if (bytes_.size() < sizeof(Elf32_Ehdr) || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0)
        return refuse(name_, "not an ELF file; give a 32-bit x86 ELF image");
    if (bytes_[EI_CLASS] != ELFCLASS32)
        return refuse(name_, "a 64-bit ELF file; Forkscope reads 32-bit x86 images (build with -m32)");
    const auto head = at<Elf32_Ehdr>(bytes_, 0);
    if (bytes_[EI_DATA] != ELFDATA2LSB || head.e_machine != EM_386)
        return refuse(name_, "an ELF file for another processor; Forkscope reads 32-bit x86 images");
    if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
        return refuse(name_, "an ELF file that is not linked; give the linked image, not an object file");
    if (head.e_phnum != 0 && (head.e_phentsize != sizeof(Elf32_Phdr) ||
                              !inside(bytes_, head.e_phoff, u64{head.e_phnum} * sizeof(Elf32_Phdr))))
        return refuse(name_, "cut off: the program headers lie beyond the end of the file");
    entry_ = head.e_entry;
    for (u32 i = 0; i < head.e_phnum; ++i) {
        const auto part = at<Elf32_Phdr>(bytes_, head.e_phoff + i * sizeof(Elf32_Phdr));
        if (part.p_type != PT_LOAD || part.p_memsz == 0)
            continue;
        if (!inside(bytes_, part.p_offset, part.p_filesz) || part.p_filesz > part.p_memsz ||
            u64{part.p_vaddr} + part.p_memsz > u64{1} << 32)
            return refuse(name_, fmt::format("cut off or damaged: segment {} does not lie in the file", i));
        segments_.push_back({part.p_vaddr, part.p_memsz, std::span(bytes_).subspan(part.p_offset, part.p_filesz),
                             (part.p_flags & PF_X) != 0, (part.p_flags & PF_W) != 0});
    }
    return {};
}

void ElfImage::read_sections() {
    const auto head = at<Elf32_Ehdr>(bytes_, 0);
    if (head.e_shoff == 0 || head.e_shnum == 0) {
        notes_.push_back("no section headers: no symbols and no source lines");
        return;
    }
    if (head.e_shentsize != sizeof(Elf32_Shdr) ||
        !inside(bytes_, head.e_shoff, u64{head.e_shnum} * sizeof(Elf32_Shdr))) {
        notes_.push_back("the section headers lie beyond the end of the file: no symbols and no source lines");
        return;
    }
    const auto section = [&](u32 i) { return at<Elf32_Shdr>(bytes_, head.e_shoff + i * sizeof(Elf32_Shdr)); };
    const auto bytes_of = [&](const Elf32_Shdr& part) {
        const bool there = part.sh_type != SHT_NOBITS && inside(bytes_, part.sh_offset, part.sh_size);
        return there ? std::span<const u8>(bytes_).subspan(part.sh_offset, part.sh_size) : std::span<const u8>();
    };
    const auto section_names = head.e_shstrndx < head.e_shnum ? bytes_of(section(head.e_shstrndx)) : bytes_of({});
    debug_usable_ = !section_names.empty();
    for (u32 i = 0; i < head.e_shnum; ++i) {
        const Elf32_Shdr part = section(i);
        if (part.sh_type == SHT_NULL || part.sh_type == SHT_NOBITS)
            continue;
        if (!inside(bytes_, part.sh_offset, part.sh_size) ||
            !debug_section_is_sound(bytes_of(part), (part.sh_flags & SHF_COMPRESSED) != 0,
                                    string_at(section_names, part.sh_name))) {
            notes_.push_back(
                fmt::format("section {} is damaged, too large, or names another file: no source lines", i));
            debug_usable_ = false;
            continue;
        }
        if (part.sh_type != SHT_SYMTAB || part.sh_link >= head.e_shnum)
            continue;
        if (const Elf32_Shdr names = section(part.sh_link); names.sh_type == SHT_STRTAB)
            read_symbols(part.sh_offset, part.sh_size, bytes_of(names));
    }
}

// Sections that libdw unpacks, by ELF's header or GNU's older one, and the one that makes it open another file.
bool ElfImage::debug_section_is_sound(std::span<const u8> bytes, bool packed, std::string_view section_name) {
    if (section_name == ".gnu_debugaltlink")
        return false;
    constexpr std::size_t kOldHead = 12; // "ZLIB" and the size, its highest byte first
    if (packed) {
        if (bytes.size() < sizeof(Elf32_Chdr))
            return false;
        unpacked_bytes_ += at<Elf32_Chdr>(bytes, 0).ch_size;
    } else if (bytes.size() >= kOldHead && std::memcmp(bytes.data(), "ZLIB", 4) == 0) {
        u64 size = 0;
        for (std::size_t i = 4; i < kOldHead; ++i)
            size = size << 8 | bytes[i];
        unpacked_bytes_ = size > kMostUnpacked + 2 * bytes_.size() ? size : unpacked_bytes_ + size;
    }
    return unpacked_bytes_ <= kMostUnpacked + 2 * bytes_.size();
}

// Tables may overlap, and many may name the same strings: together they are as large as the file at most.
void ElfImage::read_symbols(u32 table_offset, u32 table_size, std::span<const u8> names) {
    const u32 count = table_size / sizeof(Elf32_Sym);
    symbol_bytes_ += table_size;
    if (symbol_bytes_ > bytes_.size()) {
        notes_.push_back("symbol tables lie over each other: some symbols are left out");
        return;
    }
    symbols_.reserve(std::min(symbols_.size() + count, kMostSymbols));
    for (u32 i = 0; i < count; ++i) {
        const auto entry = at<Elf32_Sym>(bytes_, table_offset + i * sizeof(Elf32_Sym));
        const unsigned type = ELF32_ST_TYPE(entry.st_info);
        const bool in_section = entry.st_shndx != SHN_UNDEF && entry.st_shndx < SHN_LORESERVE;
        if (!in_section || (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
            continue;
        const std::string_view symbol = string_at(names, entry.st_name);
        if (symbol.empty() || symbol.substr(0, 2) == ".L")
            continue;
        name_bytes_ += symbol.size();
        if (symbols_.size() >= kMostSymbols || name_bytes_ > kMostNameBytes + 2 * bytes_.size()) {
            notes_.push_back("more symbols than the file's size makes likely: some are left out");
            return;
        }
        symbols_.push_back({symbol, entry.st_value, entry.st_size, type == STT_FUNC});
    }
}

void ElfImage::finish_symbols() {
    // The best name of an address comes last: functions and names with a size win over bare labels.
    std::stable_sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
        if (a.start != b.start)
            return a.start < b.start;
        return a.function != b.function ? b.function : a.size < b.size;
    });
    by_name_.resize(symbols_.size());
    for (u32 i = 0; i < by_name_.size(); ++i)
        by_name_[i] = i;
    std::stable_sort(by_name_.begin(), by_name_.end(),
                     [this](u32 a, u32 b) { return symbols_[a].name < symbols_[b].name; });
    if (symbols_.empty())
        notes_.push_back("no symbols (.symtab): the file was stripped");
}

u32 ElfImage::lowest() const {
    u32 lowest = ~u32{0};
    for (const ElfSegment& segment : segments_)
        lowest = std::min(lowest, segment.start);
    return lowest;
}

bool ElfImage::covers(u32 address) const {
    return std::any_of(segments_.begin(), segments_.end(), [&](const ElfSegment& segment) {
        return address >= segment.start && address - segment.start < segment.memory_bytes;
    });
}

const Symbol* ElfImage::symbol_at(u32 address) const {
    auto after = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                  [](u32 value, const Symbol& symbol) { return value < symbol.start; });
    // A label inside a function does not end the function: look a few names back for one that holds the address.
    for (int step = 0; step < 16 && after != symbols_.begin(); ++step) {
        --after;
        if (after->size != 0 ? address - after->start < after->size : step == 0 && covers(address))
            return &*after;
    }
    return nullptr;
}

const Symbol* ElfImage::symbol_named(std::string_view symbol) const {
    const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), symbol,
                                        [this](u32 i, std::string_view name) { return symbols_[i].name < name; });
    return found != by_name_.end() && symbols_[*found].name == symbol ? &symbols_[*found] : nullptr;
}

const ElfImage::Lines& ElfImage::lines() const {
    if (!lines_) {
        lines_ = std::make_unique<Lines>();
        if (debug_usable_)
            lines_->read(bytes_);
        if (!lines_->complete)
            log_warning_once("lines-of-" + name_,
                             fmt::format("{}: more debug information than its size makes likely: not all source "
                                         "lines are known",
                                         name_));
    }
    return *lines_;
}

std::optional<SourceLine> ElfImage::line_at(u32 address) const {
    const LineRow* row = lines().find(address);
    if (row == nullptr || row->line == 0)
        return std::nullopt;
    return SourceLine{lines().files[row->file], row->line};
}

const std::string& ElfImage::inlined_at(u32 address) const {
    static const std::string none;
    const InlineSite* site = lines().inlined_at(address);
    return site == nullptr ? none : lines().names[site->name];
}

std::vector<InlinedCall> ElfImage::inlined_calls(u32 address) const {
    std::vector<InlinedCall> calls;
    const LineTable& table = lines();
    // A site lies within an earlier one, so that this ends.
    for (const InlineSite* site = table.inlined_at(address); site != nullptr; site = table.around(*site))
        calls.push_back({table.names[site->name], {table.files[site->file], site->line}});
    return calls;
}

std::optional<u32> ElfImage::address_of_line(std::string_view file, u32 line) const {
    for (const LineRow& row : lines().rows) {
        const std::string& path = lines().files[row.file];
        if (row.line == line && !row.end && path.size() >= file.size() &&
            path.compare(path.size() - file.size(), file.size(), file) == 0)
            return row.address;
    }
    return std::nullopt;
}

std::vector<u32> ElfImage::places_of_line(std::string_view file, u32 line) const {
    std::vector<bool> meant;
    for (const std::string& path : lines().files)
        meant.push_back(path == file || (!file.empty() && path.ends_with("/" + std::string(file))));
    std::vector<u32> places;
    bool within = false;
    for (const LineRow& row : lines().rows) {
        const bool here = !row.end && row.line == line && meant[row.file];
        if (here && !within && (places.empty() || places.back() != row.address))
            places.push_back(row.address);
        within = here;
    }
    return places;
}

std::vector<u32> ElfImage::places_of(std::string_view function) const {
    std::vector<u32> places;
    if (const Symbol* symbol = symbol_named(function))
        places.push_back(symbol->start);
    // Two calls that lie side by side differ in the line that calls.
    SourceLine within;
    for (const InlineRow& row : lines().inlines) {
        SourceLine here;
        for (InlinedCall& call : inlined_calls(row.start))
            if (call.function == function)
                here = std::move(call.call);
        if (!here.file.empty() && (here.file != within.file || here.line != within.line))
            places.push_back(row.start);
        within = std::move(here);
    }
    return places;
}

} // namespace forkscope
