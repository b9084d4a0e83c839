#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

std::string walk_text(const WalkView& walk) { return rights_text(walk.present ? kPtePresent | walk.rights : 0); }

std::string walk_details(const WalkView& walk) {
    std::string text = fmt::format("directory entry {:08x}", walk.directory_entry);
    if (!walk.large && walk.table_entry_address.value != 0)
        text += fmt::format(", table entry {:08x}", walk.table_entry);
    return text + (walk.present ? fmt::format(", frame {:08x} {}", walk.frame, walk_text(walk)) : ", absent");
}

std::string access_text(const FaultRecord& fault) {
    return fmt::format("{} {} of {} page", (fault.error_code & kFaultUser) != 0 ? "user" : "supervisor",
                       fault.is_write() ? "write" : "read",
                       (fault.error_code & kFaultProtection) != 0 ? "a protected" : "an absent");
}

void show_details(const FaultRow& shown) {
    const FaultRecord& fault = *shown.record;
    std::string text = fmt::format("fault {}: {:08x}, error {} ({})\nby {}\nbefore: {}\nafter:  {}\n", fault.number,
                                   fault.address, fault.error_code, access_text(fault), shown.place.text(),
                                   walk_details(fault.before), walk_details(fault.after));
    text += fmt::format("{} frames taken, {} entries written, {} flushes; {} own cycles, {} elapsed",
                        fault.frames_taken.size(), fault.pte_writes, fault.flushes, grouped(fault.spent.cycles),
                        grouped(fault.end_cycle - fault.begin_cycle));
    for (const std::string& finding : fault.findings)
        text += "\n" + finding;
    ImGui::SetTooltip("%s", text.c_str());
}

void draw_row(const FaultRow& shown, int columns, Touch& touch) {
    const FaultRecord& fault = *shown.record;
    const int last = columns - 18; // of the column for the place
    TextLine line(touch);
    line.put(0, kText, fmt::format("{:08x}", fault.address));
    line.put(9, colour_of(fault.fault_class), fault_class_name(fault.fault_class), 11);
    line.right(24, kText, fault.pid != 0 ? fmt::format("{}", fault.pid) : "-");
    const std::string place = shown.place.known() ? shown.place.symbol : fmt::format("{:08x}", fault.eip);
    line.put(25, kText, place, static_cast<std::size_t>(std::max(4, last - 26)));
    line.right(columns - 11, kText, grouped(fault.spent.cycles));
    line.put(columns - 10, kDim, walk_text(fault.before)).put(columns - 6, kDim, "→");
    line.put(columns - 4, kText, walk_text(fault.after));
    if (line.end(shown.subject()))
        show_details(shown);
}

} // namespace

void draw_faults(const FaultsView& faults, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts,
                fmt::format("{} on either side of a fork, newest first{}", grouped(faults.count),
                            faults.trimmed ? "; older lists dropped to bound memory" : ""));
    const int columns = row_columns();
    TextLine head(touch);
    head.put(0, kDim, "address  class       pid by").right(columns - 11, kDim, "own");
    head.put(columns - 10, kDim, "was   now");
    head.end();
    begin_rows();
    for (const FaultRow& row : faults.rows)
        draw_row(row, columns, touch);
    if (faults.rows.empty())
        dim_line(touch, faults.trimmed ? "list dropped to bound memory" : "none yet");
    ImGui::EndChild();
}

} // namespace forkscope::ui
