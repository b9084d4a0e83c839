#include "emu/session/symbol_files.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "emu/base/archive.hpp"
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

Result<void> add_symbol_files(Symbolizer& symbols, const std::vector<std::string>& files) {
    for (const std::string& text : files) {
        const Result<SymbolFile> file = parse_symbol_file(text);
        if (!file)
            return file.error();
        auto bytes = read_file(file->path, "the symbols", kMostBytes);
        if (!bytes)
            return bytes.error();
        auto image = ElfImage::from_bytes(file->path, bytes.value(), {ElfClasses::Both, file->base});
        if (!image)
            return Error{"--symbols: " + image.error().message, image.error().code};
        for (const std::string& note : (*image)->notes())
            log_warning_once("symbols-" + text + note, fmt::format("--symbols {}: {}", text, note));
        if ((*image)->segments().empty())
            return Error{fmt::format("--symbols {}: nothing of it lies below 4 GB; give a base: FILE@0x100000", text)};
        if ((*image)->symbols().empty())
            return Error{fmt::format("--symbols {}: it has no symbols; give the file as it was linked", text)};
        tell(summary(**image));
        if (symbols.kernel() == nullptr && symbols.images_for(0).empty())
            symbols.set_layout(GuestLayout::of_kernel(**image));
        symbols.add_symbols(std::move(image).value());
    }
    return {};
}

std::string symbol_file_sum(const std::string& text) {
    const Result<SymbolFile> file = parse_symbol_file(text);
    const auto bytes = file.ok() ? read_file(file->path, "the symbols", kMostBytes) : Error{""};
    return bytes.ok() ? fmt::format("xxh3:{:016x}", checksum(bytes.value())) : "";
}

void compare_symbol_files(const std::vector<std::string>& files, const FileHeader& recorded) {
    std::vector<std::string> sums;
    for (const auto& [key, value] : recorded.fields)
        if (key.starts_with("symbols."))
            sums.push_back(value);
    for (const std::string& file : files)
        if (!sums.empty() && std::find(sums.begin(), sums.end(), symbol_file_sum(file)) == sums.end())
            tell(fmt::format("--symbols {}: it is none of the files that the recording was made with", file));
}

} // namespace forkscope
