#include "emu/symbols/line_places.hpp"

#include <algorithm>
#include <set>

#include "emu/symbols/dwarf/constants.hpp"
#include "emu/symbols/elf_lines.hpp"

namespace forkscope {

namespace {

constexpr u32 kLongestPrologue = 256; // bytes

// A path, or the end of one that begins at a folder's name.
bool ends_in(std::string_view path, std::string_view file) {
    return path.ends_with(file) &&
           (path.size() == file.size() || file.empty() || file[0] == '/' || path[path.size() - file.size() - 1] == '/');
}

// Rows with the first address of each; what a row covers ends at the next one's address.
std::vector<LineRow>::const_iterator first_row_at(const std::vector<LineRow>& rows, u32 address) {
    return std::lower_bound(rows.begin(), rows.end(), address,
                            [](const LineRow& row, u32 value) { return row.address < value; });
}

void add_range(std::vector<AddressRange>& ranges, u32 start, u32 end) {
    if (start >= end)
        return;
    if (!ranges.empty() && ranges.back().end == start)
        ranges.back().end = end;
    else
        ranges.push_back({start, end});
}

// The parameter is stored in the function's own frame: its prologue does that.
bool stored_by_prologue(const DwarfEntries& entries, const DwarfEntry& parameter) {
    const std::optional<DwarfAttribute> location = entries.attribute(parameter, dw::kLocation);
    constexpr u8 kFbreg = 0x91;
    if (!location || location->block.empty() || location->block[0] != kFbreg)
        return false;
    ByteReader in(location->block, 1);
    return in.signed_leb() < 0;
}

} // namespace

std::vector<AddressRange> ranges_of_line_at(const ElfImage& image, u32 address) {
    std::vector<AddressRange> ranges;
    const LineTable& table = image.line_table();
    const LineRow* row = table.find_statement(address);
    if (row == nullptr || row->line == 0)
        return ranges;
    std::vector<AddressRange> bounds = function_ranges(image, address);
    if (bounds.empty())
        bounds.push_back({row->address, ~u32{0}});
    const std::vector<LineRow>& rows = table.rows;
    for (const AddressRange& bound : bounds) {
        // The row that holds the bound's first address may begin before it. Of several at one address one holds.
        u32 start = bound.start;
        while (start < bound.end) {
            const auto next = std::upper_bound(rows.begin(), rows.end(), start,
                                               [](u32 value, const LineRow& other) { return value < other.address; });
            const u32 end = next == rows.end() ? bound.end : std::min(next->address, bound.end);
            const LineRow* here = table.find_statement(start);
            if (here != nullptr && here->line == row->line && here->file == row->file)
                add_range(ranges, start, end);
            start = end;
        }
    }
    return ranges;
}

bool statement_begins(const ElfImage& image, u32 address) {
    const std::vector<LineRow>& rows = image.line_table().rows;
    for (auto at = first_row_at(rows, address); at != rows.end() && at->address == address; ++at)
        if (!at->end && at->statement && at->line != 0)
            return true;
    return false;
}

LinePlaces places_of_line(const ElfImage& image, std::string_view file, u32 line) {
    LinePlaces places;
    const LineTable& table = image.line_table();
    std::vector<bool> wanted(table.files.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
        wanted[i] = ends_in(table.files[i], file);
    const auto counts = [&](const LineRow& row) {
        return !row.end && row.statement && row.line != 0 && wanted[row.file];
    };
    for (const LineRow& row : table.rows)
        if (row.line >= line && (places.line == 0 || row.line < places.line) && counts(row)) {
            places.line = row.line;
            places.file = table.files[row.file];
        }
    std::set<std::pair<u64, const InlineSite*>> taken; // functions, and calls inlined in them
    for (const LineRow& row : table.rows) {
        if (row.line != places.line || !counts(row))
            continue;
        u64 function = image.debug().function_at(row.address);
        if (const Symbol* symbol = function == 0 ? image.symbol_at(row.address) : nullptr; symbol != nullptr)
            function = symbol->start;
        if (taken.emplace(function, table.inlined_at(row.address)).second)
            places.addresses.push_back(row.address);
    }
    return places;
}

std::vector<AddressRange> function_ranges(const ElfImage& image, u32 address) {
    const DebugInfo& debug = image.debug();
    if (const u64 function = debug.function_at(address); function != 0) {
        std::vector<AddressRange> ranges = debug.ranges_of(function);
        std::sort(ranges.begin(), ranges.end(),
                  [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
        return ranges;
    }
    const Symbol* symbol = image.symbol_at(address);
    if (symbol == nullptr || symbol->size == 0)
        return {};
    return {{symbol->start, symbol->start + symbol->size}};
}

// Optimizing compilers say for each instruction where an argument is, and arguments on the stack lie there before the
// first. Only what the prologue stores has to be waited for: until the second line begins, as debuggers do.
u32 behind_prologue(const ElfImage& image, u32 function) {
    const std::vector<AddressRange> ranges = function_ranges(image, function);
    const auto here = std::find_if(ranges.begin(), ranges.end(),
                                   [function](const AddressRange& range) { return range.holds(function); });
    if (here == ranges.end())
        return function;
    const u32 end = std::min(here->end, function + std::min(kLongestPrologue, ~u32{0} - function));
    const std::vector<LineRow>& rows = image.line_table().rows;
    u32 second = function;
    for (auto at = first_row_at(rows, function); at != rows.end() && at->address < end && !at->end; ++at) {
        if (at->prologue_end)
            return at->address;
        if (second == function && at->statement && at->line != 0)
            second = at->address;
    }
    const DwarfEntries& entries = image.debug().entries();
    DwarfEntry entry;
    bool stores = false;
    if (entries.read(image.debug().function_at(function), entry))
        entries.for_children(entry, [&](const DwarfEntry& child) {
            stores = stores || (child.tag == dw::kFormalParameter && stored_by_prologue(entries, child));
            return !stores;
        });
    return stores ? second : function;
}

} // namespace forkscope
