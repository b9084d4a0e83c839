#include "emu/base/log.hpp"
#include "emu/ui/panels.hpp"

namespace forkscope::ui {

static const char* side_name(TlbSide side) {
    constexpr std::array<const char*, 3> kNames = {"D4K", "D4M", "I"};
    return kNames[static_cast<std::size_t>(side)];
}

// The three bits of the set's tree: root, lower half, upper half.
static std::string plru_text(u32 bits) { return fmt::format("{}{}{}", bits & 1, bits >> 1 & 1, bits >> 2 & 1); }

static void draw_row(const TlbRow& row, int columns) {
    const u32 entry = row.entry.entry;
    const Colour colour = row.agrees ? kText : kBad;
    TextLine line;
    line.put(0, kDim, side_name(row.side)).right(6, kDim, fmt::format("{}", row.set));
    line.put(7, kDim, fmt::format("{}", row.way));
    line.put(9, colour, fmt::format("{:08x}", row.entry.tag));
    line.put(18, colour, fmt::format("{:05x}", entry >> kPageShift));
    line.put(24, colour, rights_text(entry));
    line.put(28, colour, (entry & kPteGlobal) != 0 ? "G" : "·").put(30, colour, (entry & kPteDirty) != 0 ? "D" : "·");
    line.put(32, kDim, plru_text(row.plru));
    line.put(36, row.agrees ? kGood : kBad, row.verdict, static_cast<std::size_t>(std::max(1, columns - 36)));
    if (line.end())
        ImGui::SetTooltip(
            "%s TLB, set %u, way %u\nlinear %08x  entry %08x%s\nfilled at cycle %s by the instruction at %08x",
            side_name(row.side), row.set, row.way, row.entry.tag, entry,
            (entry & kPteLarge) != 0 ? "  of a 4 MB page" : "", grouped(row.entry.filled_at).c_str(),
            row.entry.filled_by);
}

void draw_tlb(const TlbView& tlb, const Rect& rect, const Fonts& fonts) {
    const std::string note =
        !tlb.paging ? "paging is off"
                    : fmt::format("D4K {} of {}, D4M {} of {}, I {} of {}; {} stale", tlb.valid[0], tlb.places[0],
                                  tlb.valid[1], tlb.places[1], tlb.valid[2], tlb.places[2], tlb.stale);
    Panel panel("TLB", rect, fonts, note);
    const int columns = columns_left();
    dim_line("    set w linear   frame rwk G D lru page table agrees?");
    begin_rows();
    for (const TlbRow& row : tlb.rows)
        draw_row(row, columns);
    if (tlb.rows.empty())
        dim_line("empty");
    ImGui::EndChild();
}

} // namespace forkscope::ui
