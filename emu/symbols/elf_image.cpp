#include "emu/symbols/elf_image.hpp"

#include <algorithm>
#include <cstring>

#include <elf.h>

#include "emu/base/archive.hpp"
#include "emu/base/log.hpp"
#include "emu/symbols/dwarf/byte_reader.hpp"
#include "emu/symbols/dwarf/debug_info.hpp"
#include "emu/symbols/elf_lines.hpp"

namespace forkscope {

namespace {

// The file is not trusted. What its debug sections unpack to together, besides twice its size:
constexpr u64 kMostUnpacked = u64{32} << 20;
constexpr std::size_t kMostSymbols = 1u << 20;
constexpr u64 kMostNameBytes = u64{64} << 20; // names may overlap; besides twice the file's size
constexpr std::size_t kMostName = 4096;

} // namespace

ElfImage::~ElfImage() = default;

Result<std::unique_ptr<ElfImage>> ElfImage::of(std::string name, SharedBytes bytes, const ElfPlacement& placement) {
    std::unique_ptr<ElfImage> image(new ElfImage);
    image->name_ = std::move(name);
    image->bytes_ = std::move(bytes);
    image->hash_ = checksum(image->bytes_);
    Result<ElfFile> file = ElfFile::read(image->name_, image->bytes_, placement.classes);
    if (!file)
        return file.error();
    image->file_ = std::move(file).value();
    image->place(placement.base);
    image->read_sections();
    image->finish_symbols();
    return image;
}

// Where the segments lie. What a wide file has beyond 32 bits does not exist here.
void ElfImage::place(std::optional<u32> base) {
    u64 lowest = ~u64{0};
    for (const ElfPart& part : file_.parts())
        lowest = std::min(lowest, part.address);
    slide_ = base && lowest != ~u64{0} ? *base - lowest : 0;
    entry_ = static_cast<u32>(file_.entry() + slide_);
    u32 beyond = 0;
    for (const ElfPart& part : file_.parts()) {
        const u64 start = part.address + slide_;
        const bool fits =
            start <= ~u32{0} && part.memory_bytes <= (u64{1} << 32) - start && part.memory_bytes <= ~u32{0};
        beyond += !fits;
        if (fits)
            segments_.push_back({static_cast<u32>(start), static_cast<u32>(part.memory_bytes), part.data,
                                 part.executable, part.writable});
    }
    if (beyond != 0)
        notes_.push_back(fmt::format("{} segments lie beyond 4 GB: give a base (--symbols FILE@BASE)", beyond));
}

std::optional<u32> ElfImage::placed(u64 address) const {
    const u64 here = address + slide_;
    return here <= ~u32{0} ? std::optional(static_cast<u32>(here)) : std::nullopt;
}

void ElfImage::read_sections() {
    if (!file_.trouble().empty()) {
        notes_.push_back(file_.trouble());
        return;
    }
    debug_usable_ = file_.names_sections();
    const std::vector<ElfSection>& sections = file_.sections();
    for (std::size_t i = 0; i < sections.size(); ++i) {
        const ElfSection& part = sections[i];
        if (part.type == SHT_NULL || part.type == SHT_NOBITS)
            continue;
        if (!part.inside || !debug_section_is_sound(part)) {
            notes_.push_back(
                fmt::format("section {} is damaged, too large, or names another file: no source lines", i));
            debug_usable_ = false;
            continue;
        }
        if (part.type == SHT_SYMTAB && part.link < sections.size() && sections[part.link].type == SHT_STRTAB)
            read_symbols(part.bytes, sections[part.link].bytes);
    }
}

// Sections that libdw unpacks, by ELF's header or GNU's older one, and the one that makes it open another file.
bool ElfImage::debug_section_is_sound(const ElfSection& section) {
    if (section.name == ".gnu_debugaltlink")
        return false;
    constexpr std::size_t kOldHead = 12; // "ZLIB" and the size, its highest byte first
    const std::span<const u8> bytes = section.bytes;
    if (section.packed) {
        ByteReader head(bytes); // Elf32_Chdr or Elf64_Chdr
        head.skip(file_.wide() ? 8 : 4);
        const u64 size = head.fixed(file_.wide() ? 8 : 4);
        head.skip(file_.wide() ? 8 : 4);
        if (head.broken())
            return false;
        unpacked_bytes_ = size > most_unpacked() ? size : unpacked_bytes_ + size;
    } else if (bytes.size() >= kOldHead && std::memcmp(bytes.data(), "ZLIB", 4) == 0) {
        u64 size = 0;
        for (std::size_t i = 4; i < kOldHead; ++i)
            size = size << 8 | bytes[i];
        unpacked_bytes_ = size > most_unpacked() ? size : unpacked_bytes_ + size;
    }
    return unpacked_bytes_ <= most_unpacked();
}

u64 ElfImage::most_unpacked() const { return kMostUnpacked + 2 * bytes_.size(); }

// Tables may overlap, and many may name the same strings: together they are as large as the file at most.
void ElfImage::read_symbols(std::span<const u8> table, std::span<const u8> names) {
    const u64 count = table.size() / file_.symbol_bytes();
    symbol_bytes_ += table.size();
    if (symbol_bytes_ > bytes_.size()) {
        notes_.push_back("symbol tables lie over each other: some symbols are left out");
        return;
    }
    symbols_.reserve(std::min<u64>(symbols_.size() + count, kMostSymbols));
    for (u64 i = 0; i < count; ++i) {
        const ElfSymbol entry = file_.symbol(table, i);
        const bool in_section = entry.section != SHN_UNDEF && entry.section < SHN_LORESERVE;
        if (!in_section || (entry.type != STT_FUNC && entry.type != STT_OBJECT && entry.type != STT_NOTYPE))
            continue;
        const std::string_view symbol = text_in(names, entry.name, kMostName);
        const std::optional<u32> start = placed(entry.value);
        if (symbol.empty() || symbol.substr(0, 2) == ".L" || !start)
            continue;
        name_bytes_ += symbol.size();
        if (symbols_.size() >= kMostSymbols || name_bytes_ > kMostNameBytes + 2 * bytes_.size()) {
            notes_.push_back("more symbols than the file's size makes likely: some are left out");
            return;
        }
        symbols_.push_back(
            {symbol, *start, static_cast<u32>(std::min<u64>(entry.size, ~u32{0})), entry.type == STT_FUNC});
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

const LineTable& ElfImage::line_table() const {
    if (!lines_) {
        lines_ = std::make_unique<LineTable>();
        if (debug_usable_)
            lines_->read(bytes_, slide_);
        if (!lines_->complete)
            log_warning_once("lines-of-" + name_,
                             fmt::format("{}: more debug information than its size makes likely: not all source "
                                         "lines are known",
                                         name_));
    }
    return *lines_;
}

std::span<const u8> ElfImage::debug_section(std::string_view section_name) const {
    const std::vector<ElfSection>& sections = file_.sections();
    for (std::size_t i = 0; i < sections.size(); ++i) {
        const std::string_view its = sections[i].name;
        // ".zdebug_line": packed in GNU's older way.
        const bool older = its.starts_with(".z") && its.substr(2) == section_name.substr(1);
        if (sections[i].type == SHT_NOBITS || (its != section_name && !older))
            continue;
        if (!sections[i].packed && !older)
            return sections[i].bytes;
        return unpacked_.emplace_back(unpack_section(bytes_, i));
    }
    return {};
}

const DebugInfo& ElfImage::debug() const {
    if (debug_)
        return *debug_;
    DwarfSections found;
    found.address_bytes = wide() ? 8 : 4;
    if (debug_usable_) {
        found.info = debug_section(".debug_info");
        found.abbreviations = debug_section(".debug_abbrev");
        found.strings = debug_section(".debug_str");
        found.line_strings = debug_section(".debug_line_str");
        found.string_offsets = debug_section(".debug_str_offsets");
        found.addresses = debug_section(".debug_addr");
        found.ranges = debug_section(".debug_ranges");
        found.range_lists = debug_section(".debug_rnglists");
        found.locations = debug_section(".debug_loc");
        found.location_lists = debug_section(".debug_loclists");
        found.frames = debug_section(".debug_frame");
        found.eh_frames = debug_section(".eh_frame");
        for (const ElfSection& section : file_.sections())
            if (section.name == ".eh_frame")
                found.eh_frames_address = section.address;
    }
    debug_ = std::make_unique<DebugInfo>(found, slide_);
    return *debug_;
}

std::optional<SourceLine> ElfImage::line_at(u32 address) const {
    const LineRow* row = line_table().find(address);
    if (row == nullptr || row->line == 0)
        return std::nullopt;
    return SourceLine{line_table().files[row->file], row->line, line_table().is_included(row->file)};
}

const std::string& ElfImage::inlined_at(u32 address) const {
    static const std::string none;
    const InlineSite* site = line_table().inlined_at(address);
    return site == nullptr ? none : line_table().names[site->name];
}

std::vector<InlinedCall> ElfImage::inlined_calls(u32 address) const {
    std::vector<InlinedCall> calls;
    const LineTable& table = line_table();
    // A site lies within an earlier one, so that this ends.
    for (const InlineSite* site = table.inlined_at(address); site != nullptr; site = table.around(*site))
        calls.push_back(
            {table.names[site->name], {table.files[site->file], site->line, table.is_included(site->file)}});
    return calls;
}

std::optional<u32> ElfImage::address_of_line(std::string_view file, u32 line) const {
    for (const LineRow& row : line_table().rows) {
        const std::string& path = line_table().files[row.file];
        if (row.line == line && !row.end && path.size() >= file.size() &&
            path.compare(path.size() - file.size(), file.size(), file) == 0)
            return row.address;
    }
    return std::nullopt;
}

std::vector<u32> ElfImage::places_of_line(std::string_view file, u32 line) const {
    std::vector<bool> meant;
    for (const std::string& path : line_table().files)
        meant.push_back(path == file || (!file.empty() && path.ends_with("/" + std::string(file))));
    std::vector<u32> places;
    bool within = false;
    for (const LineRow& row : line_table().rows) {
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
    for (const InlineRow& row : line_table().inlines) {
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
