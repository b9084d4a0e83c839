#include "emu/session/symbol_files.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "emu/base/log.hpp"
#include "emu/files/read_file.hpp"
#include "emu/symbols/dwarf/debug_info.hpp"
#include "emu/symbols/elf_lines.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostBytes = u64{1} << 30; // vmlinux has half of that

// "0x100000", "1048576".
std::optional<u32> number_in(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    text.remove_prefix(hexadecimal ? 2 : 0);
    u32 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value)
                                                                                     : std::nullopt;
}

// "vmlinux: 31000 symbols at 0xc1000000 to 0xc1afffff, with types".
std::string summary(const ElfImage& image) {
    u32 highest = 0;
    for (const ElfSegment& segment : image.segments())
        highest = std::max(highest, segment.start + (segment.memory_bytes - 1));
    return fmt::format("{}: {} symbols at 0x{:08x} to 0x{:08x}{}", image.name(), image.symbols().size(), image.lowest(),
                       highest, image.has_debug_information() ? "" : ", without lines and types");
}

} // namespace

Result<SymbolFile> parse_symbol_file(const std::string& text) {
    const std::size_t mark = text.rfind('@');
    std::error_code error;
    if (mark == std::string::npos || std::filesystem::exists(text, error))
        return SymbolFile{text, {}};
    const std::optional<u32> base = number_in(std::string_view(text).substr(mark + 1));
    if (!base || mark == 0)
        return Error{fmt::format("--symbols '{}': BASE is a number, FILE@0x100000", text), ExitCode::Usage};
    return SymbolFile{text.substr(0, mark), base};
}

namespace {

Result<void> add_symbol_file(Symbolizer& symbols, const std::string& text, const std::string& name,
                             std::optional<u32> base, SharedBytes bytes) {
    auto image = ElfImage::of(name, std::move(bytes), {ElfClasses::Both, base});
    if (!image)
        return Error{"--symbols: " + image.error().message, image.error().code};
    for (const std::string& note : (*image)->notes())
        log_warning_once("symbols-" + text + note, fmt::format("--symbols {}: {}", text, note));
    if ((*image)->segments().empty())
        return Error{fmt::format("--symbols {}: nothing of it lies below 4 GB; give a base: FILE@0x100000", text)};
    if ((*image)->symbols().empty())
        return Error{fmt::format("--symbols {}: it has no symbols; give the file as it was linked", text)};
    tell(summary(**image));
    symbols.add_symbols(std::move(image).value());
    return {};
}

} // namespace

Result<void> add_symbol_files(Symbolizer& symbols, const std::vector<std::string>& files) {
    for (const std::string& text : files) {
        const Result<SymbolFile> file = parse_symbol_file(text);
        if (!file)
            return file.error();
        auto bytes = read_file(file->path, "the symbols", kMostBytes);
        if (!bytes)
            return bytes.error();
        if (auto added = add_symbol_file(symbols, text, file->path, file->base, std::move(bytes).value()); !added.ok())
            return added;
    }
    return {};
}

Result<std::vector<RecordedNames::SymbolFile>> read_symbol_files(const std::vector<std::string>& files) {
    std::vector<RecordedNames::SymbolFile> kept;
    u64 room = recording_layout::kMostNameBytes;
    for (const std::string& text : files) {
        const Result<SymbolFile> file = parse_symbol_file(text);
        if (!file)
            return file.error();
        auto bytes = read_file(file->path, "the symbols", kMostBytes);
        if (!bytes)
            return bytes.error();
        if (bytes->size() > room) {
            tell(fmt::format("--symbols {}: the recording keeps {} MB of symbols at most, and not this file; give it "
                             "again to `step` and `fork`",
                             text, recording_layout::kMostNameBytes >> 20));
            continue;
        }
        room -= bytes->size();
        kept.push_back({text, file->base, std::move(bytes).value()});
    }
    return kept;
}

Result<void> add_recorded_symbols(Symbolizer& symbols, std::vector<RecordedNames::SymbolFile> files) {
    for (RecordedNames::SymbolFile& file : files)
        if (auto added = add_symbol_file(symbols, file.file, file.file, file.base, std::move(file.bytes)); !added.ok())
            return added;
    return {};
}

} // namespace forkscope
