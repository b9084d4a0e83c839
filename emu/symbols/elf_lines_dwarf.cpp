// LineTable::read from DWARF, by libdw.
#include "emu/symbols/elf_lines.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

namespace forkscope {

namespace {

constexpr std::size_t kMostRows = 16u << 20;
constexpr int kMostUnits = 1 << 18;
constexpr u64 kMostEntries = 8u << 20; // of all units: damaged siblings may run in circles
constexpr u32 kDeepest = 128;
constexpr int kMostRanges = 4096; // of one entry

// One function inlined at one range of addresses.
struct InlineRange {
    u32 start = 0;
    u32 end = 0;
    u32 depth = 0;
    u32 site = LineTable::kNoSite;
};

class DwarfReader {
  public:
    explicit DwarfReader(LineTable& table) : table_(table) {}

    void read_unit(Dwarf_Die* unit) {
        Dwarf_Lines* lines = nullptr;
        std::size_t count = 0;
        if (dwarf_getsrclines(unit, &lines, &count) == 0)
            for (std::size_t i = 0; i < count && table_.rows.size() < kMostRows; ++i)
                add_line(dwarf_onesrcline(lines, i));
        source_files_ = nullptr;
        std::size_t file_count = 0;
        if (dwarf_getsrcfiles(unit, &source_files_, &file_count) != 0)
            source_files_ = nullptr;
        read_children(unit, 0, LineTable::kNoSite);
    }
    void finish();

  private:
    void add_line(Dwarf_Line* line) {
        Dwarf_Addr address = 0;
        int number = 0;
        bool end = false;
        if (line == nullptr || dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0 ||
            dwarf_lineendsequence(line, &end) != 0 || address > 0xFFFFFFFFu || number < 0)
            return;
        const char* source = dwarf_linesrc(line, nullptr, nullptr);
        table_.rows.push_back(
            {static_cast<u32>(address), static_cast<u32>(number), file_number(source == nullptr ? "" : source), end});
    }

    u32 file_number(const char* source) {
        // libdw hands out the same string for the same file, so most look-ups end at the pointer.
        if (source == last_source_)
            return last_number_;
        const auto [place, fresh] = numbers_.try_emplace(source, static_cast<u32>(table_.files.size()));
        if (fresh)
            table_.files.emplace_back(source);
        last_source_ = source;
        return last_number_ = place->second;
    }

    void read_children(Dwarf_Die* parent, u32 depth, u32 around) {
        Dwarf_Die die;
        if (depth > kDeepest || entries_ > kMostEntries || dwarf_child(parent, &die) != 0)
            return;
        do {
            ++entries_;
            const int tag = dwarf_tag(&die);
            const u32 site = tag == DW_TAG_inlined_subroutine ? add_inline(&die, depth, around) : around;
            if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
                tag == DW_TAG_namespace)
                read_children(&die, depth + 1, site);
        } while (entries_ <= kMostEntries && dwarf_siblingof(&die, &die) == 0);
    }

    u32 number_of(Dwarf_Die* die, unsigned name) {
        Dwarf_Attribute attribute;
        Dwarf_Word value = 0;
        const bool there = dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0;
        return there && value < kMostRows ? static_cast<u32>(value) : 0;
    }

    u32 add_inline(Dwarf_Die* die, u32 depth, u32 around) {
        Dwarf_Attribute attribute;
        const char* name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
        if (name == nullptr)
            return around;
        const char* source = source_files_ == nullptr
                                 ? nullptr
                                 : dwarf_filesrc(source_files_, number_of(die, DW_AT_call_file), nullptr, nullptr);
        const auto site = static_cast<u32>(table_.sites.size());
        table_.sites.push_back(
            {name, file_number(source == nullptr ? "" : source), number_of(die, DW_AT_call_line), around});
        Dwarf_Addr base = 0;
        Dwarf_Addr start = 0;
        Dwarf_Addr end = 0;
        std::ptrdiff_t offset = 0;
        for (int i = 0; i < kMostRanges && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0; ++i)
            if (start < end && end <= 0xFFFFFFFFu)
                inlines_.push_back({static_cast<u32>(start), static_cast<u32>(end), depth, site});
        return site;
    }

    LineTable& table_;
    std::map<std::string, u32> numbers_;
    const char* last_source_ = nullptr;
    u32 last_number_ = 0;
    u64 entries_ = 0;
    Dwarf_Files* source_files_ = nullptr; // of the unit being read
    std::vector<InlineRange> inlines_;
};

// A sweep over all starts and ends; between two of them the deepest range that is open holds.
void DwarfReader::finish() {
    // Where a sequence ends at the address at which another begins, the beginning is what holds.
    std::stable_sort(table_.rows.begin(), table_.rows.end(), [](const LineRow& a, const LineRow& b) {
        return a.address != b.address ? a.address < b.address : a.end > b.end;
    });
    struct Edge {
        u32 address;
        bool opens;
        u32 range;
    };
    std::vector<Edge> edges;
    for (u32 i = 0; i < inlines_.size(); ++i) {
        edges.push_back({inlines_[i].start, true, i});
        edges.push_back({inlines_[i].end, false, i});
    }
    std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.address < b.address; });
    std::set<std::pair<u32, u32>> open; // depth, range
    for (std::size_t i = 0; i < edges.size(); ++i) {
        const std::pair<u32, u32> key{inlines_[edges[i].range].depth, edges[i].range};
        if (edges[i].opens)
            open.insert(key);
        else
            open.erase(key);
        if (i + 1 == edges.size() || edges[i + 1].address != edges[i].address)
            table_.inlines.push_back(
                {edges[i].address, open.empty() ? LineTable::kNoSite : inlines_[open.rbegin()->second].site});
    }
}

} // namespace

void LineTable::read(std::span<const u8> elf) {
    elf_version(EV_CURRENT);
    // libelf asks for writable bytes but, where nothing is updated, only reads them.
    Elf* file = elf_memory(const_cast<char*>(reinterpret_cast<const char*>(elf.data())), elf.size());
    if (file == nullptr)
        return;
    if (Dwarf* dwarf = dwarf_begin_elf(file, DWARF_C_READ, nullptr); dwarf != nullptr) {
        DwarfReader reader(*this);
        Dwarf_CU* unit = nullptr;
        Dwarf_Half version = 0;
        u8 type = 0;
        Dwarf_Die die;
        Dwarf_Die sub_die;
        for (int i = 0; i < kMostUnits && dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, &sub_die) == 0;
             ++i)
            reader.read_unit(&die);
        reader.finish();
        dwarf_end(dwarf);
    }
    elf_end(file);
}

} // namespace forkscope
