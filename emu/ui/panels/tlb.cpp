#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

// The three bits of the set's tree: root, lower half, upper half.
static std::string plru_text(u32 bits) { return fmt::format("{}{}{}", bits & 1, bits >> 1 & 1, bits >> 2 & 1); }

static void draw_row(const TlbRow& row, int columns, Touch& touch) {
    const u64 entry = row.entry.entry;
    const Colour colour = row.agrees ? kText : kBad;
    TextLine line(touch);
    line.put(0, kDim, tlb_array_name(row.array)).right(6, kDim, fmt::format("{}", row.set));
    line.put(7, kDim, fmt::format("{}", row.way));
    line.put(9, colour, fmt::format("{:08x}", row.entry.tag));
    line.put(18, colour, fmt::format("{:05x}", (entry & kPteFrame) >> kPageShift));
    line.put(24, colour, rights_text(static_cast<u32>(entry)));
    line.put(28, colour, (entry & kPteGlobal) != 0 ? "G" : "·").put(30, colour, (entry & kPteDirty) != 0 ? "D" : "·");
    line.put(32, kDim, plru_text(row.plru));
    line.put(36, row.agrees ? kGood : kBad, row.verdict, static_cast<std::size_t>(std::max(1, columns - 36)));
    if (line.end(TranslationSubject{row, touch.space()}))
        ImGui::SetTooltip(
            "%s TLB, set %u, way %u\nlinear %08x  entry %08llx%s\nfilled at cycle %s by the instruction at %08x",
            tlb_array_name(row.array), row.set, row.way, row.entry.tag, static_cast<unsigned long long>(entry),
            (entry & kPteLarge) != 0 ? "  of a 4 MB page" : "", grouped(row.entry.filled_at).c_str(),
            row.entry.filled_by);
}

// "D4K 12 of 64, I 3 of 32; ", of the arrays that this processor has.
static std::string occupancy(const TlbView& tlb) {
    std::string text;
    for (std::size_t array = 0; array < tlb.places.size(); ++array)
        if (tlb.places[array] != 0)
            text += fmt::format("{} {} of {}, ", tlb_array_name(static_cast<TlbArray>(array)), tlb.valid[array],
                                tlb.places[array]);
    return text;
}

void draw_tlb(const TlbView& tlb, const Rect& rect, const Fonts& fonts, Touch& touch) {
    const std::string note = !tlb.paging ? "paging is off" : fmt::format("{}{} stale", occupancy(tlb), tlb.stale);
    Panel panel(touch, rect, fonts, note);
    const int columns = row_columns();
    dim_line(touch, "    set w linear   frame rwk G D lru page table agrees?");
    begin_rows();
    for (const TlbRow& row : tlb.rows)
        draw_row(row, columns, touch);
    if (tlb.rows.empty())
        dim_line(touch, "empty");
    ImGui::EndChild();
}

} // namespace forkscope::ui
