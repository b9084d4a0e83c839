#include "emu/observe/elf_lines.hpp"

#include <algorithm>
#include <map>

#include <elfutils/libdw.h>
#include <libelf.h>

namespace forkscope {

namespace {

constexpr std::size_t kMostRows = 16u << 20;
constexpr int kMostUnits = 1 << 18;

class LineReader {
  public:
    explicit LineReader(LineTable& table) : table_(table) {}

    void read_unit(Dwarf_Die* unit) {
        Dwarf_Lines* lines = nullptr;
        std::size_t count = 0;
        if (dwarf_getsrclines(unit, &lines, &count) != 0)
            return;
        for (std::size_t i = 0; i < count && table_.rows.size() < kMostRows; ++i)
            add(dwarf_onesrcline(lines, i));
    }

  private:
    void add(Dwarf_Line* line) {
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

    LineTable& table_;
    std::map<std::string, u32> numbers_;
    const char* last_source_ = nullptr;
    u32 last_number_ = 0;
};

} // namespace

void LineTable::read(std::span<const u8> elf) {
    elf_version(EV_CURRENT);
    // libelf asks for writable bytes but, where nothing is updated, only reads them.
    Elf* file = elf_memory(const_cast<char*>(reinterpret_cast<const char*>(elf.data())), elf.size());
    if (file == nullptr)
        return;
    if (Dwarf* dwarf = dwarf_begin_elf(file, DWARF_C_READ, nullptr); dwarf != nullptr) {
        LineReader reader(*this);
        Dwarf_CU* unit = nullptr;
        Dwarf_Half version = 0;
        u8 type = 0;
        Dwarf_Die die;
        Dwarf_Die sub_die;
        for (int i = 0; i < kMostUnits && dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, &sub_die) == 0; ++i)
            reader.read_unit(&die);
        dwarf_end(dwarf);
    }
    elf_end(file);
    // Where a sequence ends at the address at which another begins, the beginning is what holds.
    std::stable_sort(rows.begin(), rows.end(), [](const LineRow& a, const LineRow& b) {
        return a.address != b.address ? a.address < b.address : a.end > b.end;
    });
}

const LineRow* LineTable::find(u32 address) const {
    const auto after = std::upper_bound(rows.begin(), rows.end(), address,
                                        [](u32 value, const LineRow& row) { return value < row.address; });
    return after == rows.begin() || std::prev(after)->end ? nullptr : &*std::prev(after);
}

} // namespace forkscope
