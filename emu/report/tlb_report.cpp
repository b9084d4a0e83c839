#include "emu/report/tlb_report.hpp"

#include "emu/base/log.hpp"
#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope {

namespace {

using enum Column::Align;

std::string occupancy(const TlbView& tlb) {
    std::string text;
    for (u32 array = 0; array < Tlb::kArrays; ++array)
        if (tlb.places[array] != 0)
            text += fmt::format("{} {} of {}, ", tlb_array_name(static_cast<TlbArray>(array)), tlb.valid[array],
                                tlb.places[array]);
    return text + fmt::format("{} stale{}", tlb.stale, tlb.paging ? "" : "; paging is off");
}

Object entry_data(const TlbRow& row, const TlbView& tlb, const AddressName& name) {
    const u64 entry = row.entry.entry;
    Object data;
    data.text("side", tlb_array_name(row.array)).number("set", row.set).number("way", row.way);
    data.word("linear", row.entry.tag).word("frame", entry & kPteFrame);
    data.text("rights", rights_text(static_cast<u32>(entry)));
    data.flag("no_execute", (entry & kPteNoExecute) != 0).flag("large", (entry & kPteLarge) != 0);
    data.flag("global", (entry & kPteGlobal) != 0).flag("dirty", (entry & kPteDirty) != 0);
    data.number("replacement", row.plru).word("filled_by", row.entry.filled_by);
    data.text("filled_in", name(row.entry.filled_by)).number("filled_at", row.entry.filled_at);
    data.add("hits", tlb.counts_hits ? Cell::number(row.entry.hits) : Cell());
    data.flag("agrees", row.agrees).text("verdict", row.verdict);
    return data;
}

// The same with letters for what is so.
Object entry_letters(Object data, const TlbRow& row) {
    const u64 entry = row.entry.entry;
    data.text("letters", rights_text(static_cast<u32>(entry)) + ((entry & kPteNoExecute) != 0 ? "n" : "") +
                             ((entry & kPteLarge) != 0 ? "L" : ""));
    data.text("G", (entry & kPteGlobal) != 0 ? "G" : "-").text("D", (entry & kPteDirty) != 0 ? "D" : "-");
    data.text("page", fmt::format("{:05x}", (entry & kPteFrame) >> kPageShift)).address("tag", row.entry.tag);
    data.text("lru", fmt::format("{:03b}", row.plru));
    return data;
}

} // namespace

Document tlb_document(const TlbView& tlb, const AddressName& name) {
    Document document;
    document.data.flag("paging", tlb.paging).number("stale", tlb.stale);
    Rows arrays;
    for (u32 array = 0; array < Tlb::kArrays; ++array)
        if (tlb.places[array] != 0)
            arrays.emplace_back()
                .text("side", tlb_array_name(static_cast<TlbArray>(array)))
                .number("entries", tlb.places[array])
                .number("valid", tlb.valid[array]);
    document.data.rows("arrays", std::move(arrays));
    Rows entries;
    Rows letters;
    for (const TlbRow& row : tlb.rows)
        letters.push_back(entry_letters(entries.emplace_back(entry_data(row, tlb, name)), row));
    document.data.rows("entries", std::move(entries));
    document.shown.text("occupancy", occupancy(tlb)).rows("rows", std::move(letters));
    Section& section = document.section("");
    section.blocks.push_back(Line{{}, "TLB: {occupancy}", Line::Place::Margin});
    section.blocks.push_back(
        Table{.rows = "rows",
              .columns = {{.key = "side", .title = "side", .width = 4},
                          {.key = "set", .title = "set", .width = 5, .align = Right, .lead = " "},
                          {.key = "way", .title = "way", .width = 3, .align = Right, .lead = " "},
                          {.key = "tag", .title = "linear", .width = 8, .lead = " "},
                          {.key = "page", .title = "frame", .width = 6, .align = Right, .lead = " "},
                          {.key = "letters", .title = "rights", .width = 6, .lead = " "},
                          {.key = "G", .title = "G", .lead = " "},
                          {.key = "D", .title = "D", .lead = " "},
                          {.key = "lru", .title = "lru", .lead = " "},
                          {.key = "hits", .title = "hits", .width = 10, .lead = "  "},
                          {.key = "verdict", .title = "agrees", .width = 24, .lead = " "},
                          {.key = "filled_at", .title = "filled at cycle,", .lead = " "},
                          {.key = "filled_in", .title = "by", .lead = " "}},
              .indent = ""});
    return document;
}

} // namespace forkscope
