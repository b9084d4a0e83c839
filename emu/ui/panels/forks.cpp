#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr int kForkColumns = 31;
constexpr int kWhenColumn = 75; // of the stops

void draw_fork_row(const ForkRow& fork, bool shown, Touch& touch) {
    TextLine line(touch);
    line.put(0, shown ? kTitle : kText, fmt::format("{:>3}  {} → {}", fork.number, fork.parent, fork.child));
    line.right(kForkColumns - 1, fork.in_progress ? kChanged : kDim,
               fork.in_progress ? "runs" : grouped(fork.cow_faults));
    if (line.end(fork.subject()))
        ImGui::SetTooltip("%s copy-on-write faults%s%s", grouped(fork.cow_faults).c_str(),
                          fork.finding.empty() ? "" : "\n", fork.finding.c_str());
}

void draw_stop(const StopsView& shown, std::size_t number, int columns, Touch& touch) {
    const ForkStop& stop = shown.stops[number];
    const bool running = number + 1 == shown.stops.size() && !shown.left;
    const Cycles end = std::max(stop.end_cycle, stop.begin_cycle);
    const Cycles whole = std::max<Cycles>(1, shown.end - shown.begin);
    TextLine line(touch);
    const ImVec2 start = ImGui::GetCursorScreenPos();
    const ForkStopName name = fork_stop_name(stop.id);
    line.right(2, running ? kChanged : kText, name.number);
    line.put(3, running ? kChanged : kText, name.name, 24);
    line.right(36, kText, grouped(stop.spent.cycles)).right(45, kText, grouped(end - stop.begin_cycle));
    line.right(51, kText, grouped(stop.counts.pte_writes));
    line.right(58, kText, grouped(stop.counts.frames_allocated));
    line.right(65, kText, grouped(stop.counts.frames_shared));
    line.right(73, kText, grouped(stop.counts.flushes));
    const float left = start.x + kWhenColumn * kLetter;
    const float width = start.x + static_cast<float>(columns) * kLetter - left;
    if (width > 20) {
        const auto place = [&](Cycles cycle) {
            return left +
                   width * static_cast<float>(static_cast<double>(cycle - shown.begin) / static_cast<double>(whole));
        };
        ImDrawList& draw = *ImGui::GetWindowDrawList();
        draw.AddRectFilled({left, start.y + 3}, {left + width, start.y + 12}, kAbsent);
        const float from = place(stop.begin_cycle);
        draw.AddRectFilled({from, start.y + 3}, {std::max(from + 1, place(end)), start.y + 12},
                           running ? kChanged : kAccent);
    }
    if (line.end(shown.subject(number)))
        ImGui::SetTooltip("%s", fmt::format("stop {}, {}\n{} instructions, {} frames copied, {} translations dropped",
                                            name.number, name.name, grouped(stop.spent.instructions),
                                            grouped(stop.counts.frames_copied), grouped(stop.counts.entries_dropped))
                                    .c_str());
}

} // namespace

void draw_forks(const ForksView& forks, const Rect& rect, const Fonts& fonts, Touch& touch) {
    const StopsView& shown = forks.shown;
    Panel panel(touch, rect, fonts,
                fmt::format("{}{}",
                            forks.count == 0
                                ? std::string("none yet")
                                : fmt::format("{} so far; stops of fork {}", grouped(forks.count), shown.fork),
                            forks.since_snapshot
                                ? " since the place that was opened; `forks` follows those before in a recording"
                                : ""));
    const ImVec2 start = ImGui::GetCursorScreenPos();
    const float list_width = kForkColumns * kLetter + ImGui::GetStyle().ScrollbarSize;
    ImGui::BeginChild("list", {list_width, 0});
    dim_line(touch, "  #  parent → child       cow");
    begin_rows();
    for (const ForkRow& fork : forks.rows)
        draw_fork_row(fork, fork.number == shown.fork, touch);
    ImGui::EndChild();
    ImGui::EndChild();
    ImGui::SetCursorScreenPos({start.x + list_width + kLetter, start.y});
    ImGui::BeginChild("stops");
    const int columns = row_columns();
    TextLine head(touch);
    head.put(0, kDim, " stop").right(36, kDim, "own").right(45, kDim, "elapsed").right(51, kDim, "ptes");
    head.right(58, kDim, "frames").right(65, kDim, "shared").right(73, kDim, "flushes");
    head.put(kWhenColumn, kDim, "when", static_cast<std::size_t>(std::max(1, columns - kWhenColumn)));
    head.end();
    for (std::size_t i = 0; i < shown.stops.size(); ++i)
        draw_stop(shown, i, columns, touch);
    if (shown.fork != 0 && shown.stops.empty())
        dim_line(touch, "the guest does not state its stops");
    ImGui::EndChild();
}

} // namespace forkscope::ui
