// The clock tables, and the row of each form, found once.
#include "cpu/cost/latencies.hpp"

#include <vector>

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {

constexpr ClockCell cell(ClockSource source, u16 reg, u16 mem, u16 step = 0, ClockRule rule = ClockRule::Fixed) {
    return ClockCell{reg, mem, step, rule, source};
}
constexpr ClockCell cell(ClockSource source, u16 both) { return cell(source, both, both); }

constexpr u16 middle(int low, int high) { return static_cast<u16>((low + high) / 2); }

#define NOGROUP -1
#define ANYGROUP kAnyGroup
#define ABSENT                                                                                                         \
    ClockCell { 0, 0, 0, ClockRule::Absent, ClockSource::Manual }
#define MANUAL(...) cell(ClockSource::Manual, __VA_ARGS__)
#define PUBLISHED(...) cell(ClockSource::Published, __VA_ARGS__)
#define ESTIMATE(...) cell(ClockSource::Estimate, __VA_ARGS__)
#define CLOCKS(map, first, last, group, i386, i486, pentium, pairing)                                                  \
    ClockRow{map, first, last, group, i386, i486, pentium, Pairing::pairing},

using enum ClockRule;

constexpr ClockRow kRows[] = {
#include "cpu/cost/latencies.def"
};

#undef CLOCKS
#undef ESTIMATE
#undef PUBLISHED
#undef MANUAL
#undef ABSENT
#undef ANYGROUP
#undef NOGROUP

constexpr ClockSource source_of(char letter) {
    return letter == 'M' ? ClockSource::Manual : letter == 'P' ? ClockSource::Published : ClockSource::Estimate;
}

constexpr PathClocks kPaths[] = {
#define CLOCK_PATH(name, i386, i486, pentium, sources, text)                                                           \
    PathClocks{i386, i486, pentium, {source_of(#sources[0]), source_of(#sources[1]), source_of(#sources[2])}, text},
#include "cpu/cost/paths.def"
#undef CLOCK_PATH
};

constexpr std::string_view kPathNames[] = {
#define CLOCK_PATH(name, i386, i486, pentium, sources, text) #name,
#include "cpu/cost/paths.def"
#undef CLOCK_PATH
};

constexpr u8 kEstimatedClocks[] = {
#define COST_CLASS(name, flat, p6, text) p6,
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

bool covers(const ClockRow& row, const Form& form) {
    return row.map == form.map && form.opcode >= row.first && form.opcode <= row.last &&
           (row.group == kAnyGroup || row.group == form.group);
}

std::vector<u16> rows_by_form() {
    std::vector<u16> rows(form_count());
    for (u16 form = 0; form < form_count(); ++form) {
        u16 row = 0;
        while (row < std::size(kRows) && !covers(kRows[row], form_at(form)))
            ++row;
        EMU_ASSERT(row < std::size(kRows), "no clocks for {}", form_at(form).mnemonic);
        rows[form] = row;
    }
    return rows;
}

} // namespace

const ClockRow& clock_row(u16 form) {
    static const std::vector<u16> rows = rows_by_form();
    return kRows[rows[form < rows.size() ? form : 0]];
}

std::span<const ClockRow> clock_rows() { return kRows; }

const PathClocks& path_clocks(ClockPath path) { return kPaths[static_cast<u8>(path)]; }

std::span<const PathClocks> all_path_clocks() { return kPaths; }

std::string_view path_name(ClockPath path) { return kPathNames[static_cast<u8>(path)]; }

u8 estimated_clock(CostClass cost) { return kEstimatedClocks[static_cast<u8>(cost)]; }

} // namespace forkscope
