// The latency tables, and the row of each form, found once.
#include "cpu/cost/latencies.hpp"

#include <vector>

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {

constexpr Latency cell(LatencySource source, u16 reg, u16 mem, u16 step = 0, LatencyRule rule = LatencyRule::Fixed) {
    return Latency{reg, mem, step, rule, source};
}
constexpr Latency cell(LatencySource source, u16 both) { return cell(source, both, both); }

constexpr u16 middle(int low, int high) { return static_cast<u16>((low + high) / 2); }

constexpr LateCost late(Late who, CostPath path = {}) { return {who, path, path}; }
constexpr LateCost late(Late who, CostPath path, CostPath other) { return {who, path, other}; }

#define NOGROUP kNoGroup
#define ANYGROUP kAnyGroup
#define ABSENT                                                                                                         \
    Latency { 0, 0, 0, LatencyRule::Absent, LatencySource::Manual }
#define MANUAL(...) cell(LatencySource::Manual, __VA_ARGS__)
#define PUBLISHED(...) cell(LatencySource::Published, __VA_ARGS__)
#define ESTIMATE(...) cell(LatencySource::Estimate, __VA_ARGS__)
#define LATE(who, ...) late(Late::who __VA_OPT__(, ) __VA_ARGS__)
#define LATENCY(map, first, last, group, i386, i486, pentium, pairing, ...)                                            \
    LatencyRow{map, first, last, group, i386, i486, pentium, Pairing::pairing, LateCost{__VA_ARGS__}},

using enum LatencyRule;
using enum CostPath;

constexpr LatencyRow kRows[] = {
#include "cpu/cost/latencies.def"
};

#undef LATENCY
#undef LATE
#undef ESTIMATE
#undef PUBLISHED
#undef MANUAL
#undef ABSENT
#undef ANYGROUP
#undef NOGROUP

constexpr LatencySource source_of(char letter) {
    return letter == 'M' ? LatencySource::Manual : letter == 'P' ? LatencySource::Published : LatencySource::Estimate;
}

constexpr PathLatency kPaths[] = {
#define COST_PATH(name, i386, i486, pentium, sources, text)                                                            \
    PathLatency{i386, i486, pentium, {source_of(#sources[0]), source_of(#sources[1]), source_of(#sources[2])}, text},
#include "cpu/cost/paths.def"
#undef COST_PATH
};

constexpr u8 kEstimatedLatencies[] = {
#define COST_CLASS(name, flat, p6, text) p6,
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

bool covers(const LatencyRow& row, const Form& form) {
    return row.map == form.map && form.opcode >= row.first && form.opcode <= row.last &&
           (row.group == kAnyGroup || row.group == form.group);
}

std::vector<u16> rows_by_form() {
    std::vector<u16> rows(form_count());
    for (u16 form = 0; form < form_count(); ++form) {
        u16 row = 0;
        while (row < std::size(kRows) && !covers(kRows[row], form_at(form)))
            ++row;
        EMU_ASSERT(row < std::size(kRows), "no latencies for {}", form_at(form).mnemonic);
        rows[form] = row;
    }
    return rows;
}

} // namespace

const LatencyRow& latency_row(u16 form) {
    static const std::vector<u16> rows = rows_by_form();
    return kRows[rows[form < rows.size() ? form : 0]];
}

std::span<const LatencyRow> latency_rows() { return kRows; }

const PathLatency& path_latency(CostPath path) { return kPaths[static_cast<u8>(path)]; }

std::span<const PathLatency> path_latencies() { return kPaths; }

u8 estimated_latency(CostClass cost) { return kEstimatedLatencies[static_cast<u8>(cost)]; }

} // namespace forkscope
