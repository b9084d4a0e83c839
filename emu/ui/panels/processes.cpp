#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_processes(const ProcessesView& processes, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, fmt::format("{} address spaces", processes.rows.size()));
    dim_line(touch, "  pid directory by fork program");
    begin_rows();
    const int columns = row_columns();
    for (const ProcessRow& row : processes.rows) {
        TextLine line(touch);
        line.put(0, kChanged, row.loaded ? "▶" : "").right(5, kText, row.pid != 0 ? fmt::format("{}", row.pid) : "-");
        line.put(6, row.followed ? kChanged : kText, fmt::format("{:08x}", row.space));
        line.right(23, kDim, row.fork != 0 ? fmt::format("{}", row.fork) : "-");
        line.put(24, kAccent, row.program, static_cast<std::size_t>(std::max(1, columns - 24)));
        line.end(row.subject());
    }
    if (processes.rows.empty())
        dim_line(touch, "none are known yet");
    ImGui::EndChild();
}

} // namespace forkscope::ui
