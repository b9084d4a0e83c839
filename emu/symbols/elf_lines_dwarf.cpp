// LineTable::read from DWARF, by libdw.
#include "emu/symbols/elf_lines.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <libelf.h>

#include "emu/symbols/line_program.hpp"

namespace forkscope {

namespace {

constexpr int kMostUnits = 1 << 18;
constexpr u64 kMostEntries = 8u << 20; // of all units: damaged siblings may run in circles
constexpr u32 kDeepest = 128;
constexpr int kMostRanges = 4096; // of one entry
constexpr std::size_t kMostName = 4096;
constexpr u64 kMostAttributes = u64{1} << 30; // looked at, of all entries

// What a part of the table takes, with what sorting it takes for a while.
constexpr u64 kRowBytes = 3 * sizeof(LineRow), kNameBytes = 128, kSiteBytes = 2 * sizeof(InlineSite), kRangeBytes = 96;
constexpr u64 kUnitBytes = 1024; // in libdw

// One function inlined at one range of addresses.
struct InlineRange {
    u32 start = 0;
    u32 end = 0;
    u32 depth = 0;
    u32 site = LineTable::kNoSite;
};

class DwarfReader {
  public:
    DwarfReader(LineTable& table, const DebugSections& sections, Budget& memory, u64 slide)
        : table_(table), sections_(sections), memory_(memory), slide_(slide),
          line_work_(4 * sections.line.size() + 4096) {}

    void read_unit(Dwarf_Die* unit) {
        memory_.take(kUnitBytes);
        unit_folder_ = text_of(unit, DW_AT_comp_dir);
        Dwarf_Attribute attribute;
        Dwarf_Word offset = 0;
        program_.reset();
        unit_files_.clear();
        if (dwarf_formudata(dwarf_attr(unit, DW_AT_stmt_list, &attribute), &offset) == 0)
            program_.emplace(sections_, offset, memory_, line_work_);
        // Units may share a table: type units do.
        if (program_ && read_tables_.insert(offset).second) {
            sequence_ = table_.rows.size();
            program_->for_each_row([this](const LineProgram::Row& row) { return add_row(row); });
        }
        read_children(unit, 0, LineTable::kNoSite);
        note_own_file(unit);
    }
    bool spent() const { return memory_.spent() || line_work_.spent() || attributes_.spent(); }
    void finish();

  private:
    bool add_row(const LineProgram::Row& row) {
        if (!memory_.take(kRowBytes))
            return false;
        const u64 address = row.address + slide_;
        if (address > ~u32{0})
            return true;
        // Rows at the address where their sequence ends hold nothing; sorted, they would hold what lies behind.
        while (row.end && table_.rows.size() > sequence_ && table_.rows.back().address == address)
            table_.rows.pop_back();
        table_.rows.push_back(
            {static_cast<u32>(address), row.line, file_number(row.file), row.end, row.statement, row.prologue_end});
        sequence_ = row.end ? table_.rows.size() : sequence_;
        return true;
    }

    // Of a unit's file; numbers beyond its table are file "".
    u32 file_number(u64 number) {
        if (const auto known = unit_files_.find(number); known != unit_files_.end())
            return known->second;
        const std::string path = program_ && program_->sound() ? program_->path(number, unit_folder_) : "";
        return unit_files_[number] = index_of(path, files_, table_.files);
    }

    // A unit that names none of its files says nothing of headers: then all are its own.
    void note_own_file(Dwarf_Die* unit) {
        const std::string name(text_of(unit, DW_AT_name));
        const std::string in_folder = std::string(unit_folder_) + "/" + name; // a file's folder may be left relative
        const auto is_own = [&](u32 file) { return table_.files[file] == name || table_.files[file] == in_folder; };
        const bool named =
            std::any_of(unit_files_.begin(), unit_files_.end(), [&](const auto& file) { return is_own(file.second); });
        own_.resize(table_.files.size());
        for (const auto& [number, file] : unit_files_)
            if (!named || is_own(file))
                own_[file] = true;
    }

    u32 index_of(const std::string& name, std::map<std::string, u32>& indices, std::vector<std::string>& names) {
        const auto [place, fresh] = indices.try_emplace(name, static_cast<u32>(names.size()));
        if (fresh) {
            memory_.take(kNameBytes + 2 * name.size());
            names.push_back(name);
        }
        return place->second;
    }

    static std::string_view text_of(Dwarf_Die* die, unsigned attribute_name) {
        Dwarf_Attribute attribute;
        const char* text = dwarf_formstring(dwarf_attr_integrate(die, attribute_name, &attribute));
        return text == nullptr ? std::string_view() : std::string_view(text, ::strnlen(text, kMostName));
    }

    // Every look at an entry goes through its attributes, and an abbreviation may have any number of them.
    bool take_entry(Dwarf_Die* die) {
        constexpr u64 kLooks = 6; // the walk to the next entry, and those below
        std::size_t count = 0;
        const auto [known, fresh] = attribute_counts_.try_emplace(die->abbrev, 0);
        if (fresh && dwarf_getattrcnt(die->abbrev, &count) == 0)
            known->second = count;
        return ++entries_ <= kMostEntries && attributes_.take(kLooks * (known->second + 1));
    }

    void read_children(Dwarf_Die* parent, u32 depth, u32 around) {
        Dwarf_Die die;
        if (depth > kDeepest || spent() || dwarf_child(parent, &die) != 0)
            return;
        do {
            const int tag = dwarf_tag(&die);
            if (tag == DW_TAG_invalid || !take_entry(&die))
                return;
            const u32 site = tag == DW_TAG_inlined_subroutine ? add_inline(&die, depth, around) : around;
            if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
                tag == DW_TAG_namespace)
                read_children(&die, depth + 1, site);
        } while (!spent() && dwarf_siblingof(&die, &die) == 0);
    }

    u32 number_of(Dwarf_Die* die, unsigned name) {
        Dwarf_Attribute attribute;
        Dwarf_Word value = 0;
        const bool there = dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0;
        return there && value <= 0x7FFFFFFF ? static_cast<u32>(value) : 0;
    }

    u32 add_inline(Dwarf_Die* die, u32 depth, u32 around) {
        const std::string_view name = text_of(die, DW_AT_name);
        if (name.data() == nullptr || !memory_.take(kSiteBytes))
            return around;
        const auto site = static_cast<u32>(table_.sites.size());
        table_.sites.push_back({index_of(std::string(name), names_, table_.names),
                                file_number(number_of(die, DW_AT_call_file)), number_of(die, DW_AT_call_line), around});
        Dwarf_Addr base = 0;
        Dwarf_Addr start = 0;
        Dwarf_Addr end = 0;
        std::ptrdiff_t offset = 0;
        for (int i = 0; i < kMostRanges && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0; ++i)
            if (start < end && end + slide_ <= ~u32{0} && start + slide_ < end + slide_ && memory_.take(kRangeBytes))
                inlines_.push_back({static_cast<u32>(start + slide_), static_cast<u32>(end + slide_), depth, site});
        return site;
    }

    LineTable& table_;
    DebugSections sections_;
    Budget& memory_;
    u64 slide_;
    Budget line_work_;
    Budget attributes_{kMostAttributes};
    std::map<std::string, u32> files_, names_; // indices in the table
    std::string_view unit_folder_;             // of the unit being read, as are the next two
    std::optional<LineProgram> program_;
    std::map<u64, u32> unit_files_;
    std::vector<bool> own_; // files of the table that are some unit's own
    std::set<u64> read_tables_;
    std::size_t sequence_ = 0; // the row that it begins with
    std::unordered_map<const Dwarf_Abbrev*, std::size_t> attribute_counts_;
    u64 entries_ = 0;
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
    for (u32 file = 0; file < table_.files.size(); ++file)
        table_.included.push_back(file < own_.size() && !own_[file]);
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

std::span<const u8> section_named(Elf* file, std::string_view name) {
    std::size_t names = 0;
    if (elf_getshdrstrndx(file, &names) != 0)
        return {};
    for (Elf_Scn* section = elf_nextscn(file, nullptr); section != nullptr; section = elf_nextscn(file, section)) {
        GElf_Shdr storage;
        const GElf_Shdr* head = gelf_getshdr(section, &storage);
        if (head == nullptr)
            continue;
        std::string_view its = "";
        if (const char* text = elf_strptr(file, names, head->sh_name); text != nullptr)
            its = text;
        // ".zdebug_line": packed in GNU's older way. libdw has unpacked both.
        const bool same = its == name || (its.starts_with(".z") && its.substr(2) == name.substr(1));
        if (const Elf_Data* data = same ? elf_getdata(section, nullptr) : nullptr; data != nullptr)
            return {static_cast<const u8*>(data->d_buf), data->d_buf == nullptr ? 0 : data->d_size};
    }
    return {};
}

} // namespace

void LineTable::read(std::span<const u8> elf, u64 slide) {
    constexpr u64 kSlack = u64{40} << 20;
    Budget memory(kSlack + 2 * elf.size());
    elf_version(EV_CURRENT);
    // libelf asks for writable bytes but, where nothing is updated, only reads them.
    Elf* file = elf_memory(const_cast<char*>(reinterpret_cast<const char*>(elf.data())), elf.size());
    if (file == nullptr)
        return;
    if (Dwarf* dwarf = dwarf_begin_elf(file, DWARF_C_READ, nullptr); dwarf != nullptr) {
        const DebugSections sections{section_named(file, ".debug_line"), section_named(file, ".debug_line_str"),
                                     section_named(file, ".debug_str")};
        memory.take(sections.line.size() + sections.line_strings.size() + sections.strings.size());
        DwarfReader reader(*this, sections, memory, slide);
        Dwarf_CU* unit = nullptr;
        Dwarf_Half version = 0;
        u8 type = 0;
        Dwarf_Die die;
        // Without a place for the split unit's entry: libdw would open the file that the skeleton names.
        for (int i = 0; i < kMostUnits && !reader.spent() &&
                        dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, nullptr) == 0;
             ++i)
            reader.read_unit(&die);
        complete = !reader.spent();
        reader.finish();
        dwarf_end(dwarf);
    }
    elf_end(file);
}

std::vector<u8> unpack_section(std::span<const u8> elf, std::size_t number) {
    std::vector<u8> out;
    std::vector<u8> copy(elf.begin(), elf.end()); // libelf changes the section's head where it is
    elf_version(EV_CURRENT);
    Elf* file = elf_memory(reinterpret_cast<char*>(copy.data()), copy.size());
    if (file == nullptr)
        return out;
    if (Elf_Scn* section = elf_getscn(file, number); section != nullptr) {
        GElf_Shdr head;
        const bool by_elf = gelf_getshdr(section, &head) != nullptr && (head.sh_flags & SHF_COMPRESSED) != 0;
        const int unpacked = by_elf ? elf_compress(section, 0, 0) : elf_compress_gnu(section, 0, 0);
        const Elf_Data* data = unpacked < 0 ? nullptr : elf_getdata(section, nullptr);
        if (data != nullptr && data->d_buf != nullptr)
            out.assign(static_cast<const u8*>(data->d_buf), static_cast<const u8*>(data->d_buf) + data->d_size);
    }
    elf_end(file);
    return out;
}

} // namespace forkscope
