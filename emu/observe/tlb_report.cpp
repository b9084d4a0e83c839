#include "emu/observe/tlb_report.hpp"

#include <algorithm>
#include <tuple>

#include "emu/base/log.hpp"
#include "emu/observe/json_writer.hpp"
#include "emu/observe/page_table_view.hpp"

namespace forkscope {

namespace {

// What the page tables of the present space say of an entry: "" where the two agree. An accessed or dirty bit that the
// TLB does not have yet is no disagreement: hardware walks again before it matters.
std::string disagreement(const Mmu& mmu, TlbSide side, const TlbEntry& entry) {
    const Walk walk =
        mmu.peek_walk_in(mmu.control().cr3, LinearAddress(entry.tag), Privilege::Supervisor, AccessKind::Read);
    if (!walk.ok)
        return "absent now";
    const u64 mask = kPteFrame & ~u64{mmu.tlb().page_mask(side)};
    if (((entry.entry ^ walk.physical.value) & mask) != 0)
        return fmt::format("frame {:05x} now", (walk.physical.value & mask) >> kPageShift);
    const u32 had = static_cast<u32>(entry.entry);
    if ((had & ~walk.rights & kPteUser) != 0)
        return "kernel-only now";
    if ((had & ~walk.rights & kPteWritable) != 0)
        return "read-only now";
    if (walk.no_execute != ((entry.entry & kPteNoExecute) != 0))
        return walk.no_execute ? "not to be executed now" : "may be executed now";
    if ((walk.rights & ~had & (kPteWritable | kPteUser)) != 0)
        return "more rights now";
    if ((had & kPteDirty) != 0 && !walk.dirty)
        return "D is clear now";
    return {};
}

std::string frame_text(const TlbEntry& entry) { return fmt::format("{:05x}", (entry.entry & kPteFrame) >> kPageShift); }

std::string occupancy(const TlbReport& report) {
    std::string text;
    for (u32 side = 0; side < Tlb::kSides; ++side)
        if (report.places[side] != 0)
            text += fmt::format("{} {} of {}, ", tlb_side_name(static_cast<TlbSide>(side)), report.valid[side],
                                report.places[side]);
    return text + fmt::format("{} stale", report.stale);
}

} // namespace

TlbReport tlb_report(const Mmu& mmu) {
    TlbReport report;
    const Tlb& tlb = mmu.tlb();
    report.paging = mmu.control().paging();
    report.counts_hits = mmu.count_hits();
    for (u32 number = 0; number < Tlb::kSides; ++number) {
        const auto side = static_cast<TlbSide>(number);
        report.places[number] = tlb.geometry(side).sets * tlb.geometry(side).ways;
        tlb.for_each_valid(side, [&](const TlbPlace& place) {
            TlbRow row{side, place.set, place.way, tlb.entry(place), tlb.plru(side, place.set), true, "yes"};
            ++report.valid[number];
            if (const std::string text = disagreement(mmu, side, row.entry); !text.empty()) {
                row.agrees = false;
                row.verdict = "no: " + text;
                ++report.stale;
            }
            report.rows.push_back(std::move(row));
        });
    }
    std::sort(report.rows.begin(), report.rows.end(), [](const TlbRow& a, const TlbRow& b) {
        return std::tie(a.agrees, a.side, a.set, a.way) < std::tie(b.agrees, b.side, b.set, b.way);
    });
    return report;
}

const char* tlb_side_name(TlbSide side) {
    constexpr std::array<const char*, Tlb::kSides> kNames = {"D4K", "D4M", "I4K", "I4M"};
    return kNames[static_cast<std::size_t>(side)];
}

std::string tlb_report_text(const TlbReport& report, const AddressName& name) {
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

std::string tlb_report_json(const TlbReport& report, const AddressName& name) {
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
