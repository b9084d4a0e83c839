#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_events(const EventsView& events, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, "what happened last, newest first");
    begin_rows();
    const int columns = row_columns();
    for (const EventRow& row : events.rows) {
        TextLine line(touch);
        line.right(13, kDim, grouped(row.event.instructions));
        line.put(14, kText, row.text, static_cast<std::size_t>(std::max(1, columns - 14)));
        if (line.end(row.subject()))
            ImGui::SetTooltip("%s\nby %s", row.text.c_str(), row.place.c_str());
    }
    if (events.rows.empty())
        dim_line(touch, "none are remembered here");
    ImGui::EndChild();
}

} // namespace forkscope::ui
