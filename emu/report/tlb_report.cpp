#include "emu/report/tlb_report.hpp"

#include "emu/base/log.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/report/json_writer.hpp"

namespace forkscope {

namespace {

std::string frame_text(const TlbEntry& entry) { return fmt::format("{:05x}", (entry.entry & kPteFrame) >> kPageShift); }

std::string occupancy(const TlbView& report) {
    std::string text;
    for (u32 side = 0; side < Tlb::kSides; ++side)
        if (report.places[side] != 0)
            text += fmt::format("{} {} of {}, ", tlb_side_name(static_cast<TlbSide>(side)), report.valid[side],
                                report.places[side]);
    return text + fmt::format("{} stale", report.stale);
}

} // namespace

std::string tlb_report_text(const TlbView& report, const AddressName& name) {
    std::string text = fmt::format("TLB: {}{}\n", occupancy(report), report.paging ? "" : "; paging is off");
    text += "side   set way linear    frame rights G D lru  hits       agrees                   filled at cycle, by\n";
    for (const TlbRow& row : report.rows) {
        const auto flags = static_cast<u32>(row.entry.entry);
        const std::string rights = rights_text(flags) + ((row.entry.entry & kPteNoExecute) != 0 ? "n" : "") +
                                   ((flags & kPteLarge) != 0 ? "L" : "");
        text += fmt::format("{:4} {:>5} {:>3} {:08x} {:>6} {:6} {} {} {:03b}  {:<10} {:24} {} {}\n",
                            tlb_side_name(row.side), row.set, row.way, row.entry.tag, frame_text(row.entry), rights,
                            (flags & kPteGlobal) != 0 ? 'G' : '-', (flags & kPteDirty) != 0 ? 'D' : '-', row.plru,
                            report.counts_hits ? fmt::format("{}", row.entry.hits) : "-", row.verdict,
                            row.entry.filled_at, name(row.entry.filled_by));
    }
    return text;
}

std::string tlb_report_json(const TlbView& report, const AddressName& name) {
    JsonWriter json;
    json.begin_object().boolean("paging", report.paging).number("stale", report.stale);
    json.begin_array("arrays");
    for (u32 side = 0; side < Tlb::kSides; ++side)
        if (report.places[side] != 0)
            json.begin_row()
                .text("side", tlb_side_name(static_cast<TlbSide>(side)))
                .number("entries", report.places[side])
                .number("valid", report.valid[side])
                .end_row();
    json.end_array().begin_array("entries");
    for (const TlbRow& row : report.rows) {
        const u64 entry = row.entry.entry;
        json.begin_row()
            .text("side", tlb_side_name(row.side))
            .number("set", row.set)
            .number("way", row.way)
            .hex("linear", row.entry.tag)
            .hex("frame", entry & kPteFrame)
            .text("rights", rights_text(static_cast<u32>(entry)))
            .boolean("no_execute", (entry & kPteNoExecute) != 0)
            .boolean("large", (entry & kPteLarge) != 0)
            .boolean("global", (entry & kPteGlobal) != 0)
            .boolean("dirty", (entry & kPteDirty) != 0)
            .number("replacement", row.plru)
            .hex("filled_by", row.entry.filled_by)
            .text("filled_in", name(row.entry.filled_by))
            .number("filled_at", row.entry.filled_at);
        report.counts_hits ? json.number("hits", row.entry.hits) : json.null("hits");
        json.boolean("agrees", row.agrees).text("verdict", row.verdict).end_row();
    }
    return json.end_array().end_object().take();
}

} // namespace forkscope
