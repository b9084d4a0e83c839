#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

// A row with a button behind it, which removes what it is about.
void draw_row(const std::string& text, Colour colour, const Subject& subject, const std::string& remove, Touch& touch) {
    ImGui::PushID(text.c_str());
    const float width = ImGui::GetContentRegionAvail().x;
    const ImVec2 start = ImGui::GetCursorScreenPos();
    const auto letters = static_cast<std::size_t>(std::max(1, columns_left() - 5));
    if (!remove.empty()) {
        ImGui::SetCursorScreenPos({start.x + width - 4 * kLetter, start.y});
        if (ImGui::SmallButton("x"))
            touch.ask(say(remove));
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("%s", remove.c_str());
        ImGui::SetCursorScreenPos(start);
    }
    ImGui::GetWindowDrawList()->AddText(start, colour, fitted(text, letters).c_str());
    touch_part(touch, subject, text, start, {start.x + width - 5 * kLetter, start.y + kLine});
    ImGui::Dummy({1, kLine});
    ImGui::PopID();
}

} // namespace

void draw_points(const PointsView& points, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, "also bookmarks and branches");
    const auto button = [&](const char* text, const char* words, const char* help) {
        if (ImGui::SmallButton(text))
            touch.ask({.kind = Command::Kind::Ask, .words = words});
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("%s", help);
        ImGui::SameLine(0, kLetter);
    };
    button("+ breakpoint", "break ", "break EXPR: a place, an event or a state (forkscope help conditions)");
    button("+ bookmark", "mark ", "mark NAME: this moment");
    ImGui::NewLine();
    begin_rows();
    for (const BreakpointSubject& one : points.breakpoints)
        draw_row(fmt::format("{:>3}  {}  met {} times{}", one.number, one.condition, grouped(one.met),
                             one.ignore != 0 ? fmt::format(", {} ignored", one.ignore) : ""),
                 kText, one, fmt::format("delete {}", one.number), touch);
    for (const BookmarkSubject& mark : points.bookmarks)
        draw_row(fmt::format("  *  {}: instruction {}, branch {}", mark.name, grouped(mark.position.instructions),
                             mark.branch),
                 kAccent, mark, fmt::format("delete {}", mark.name), touch);
    for (const BranchSubject& branch : points.branches)
        draw_row(fmt::format("     branch {}: {} to {}{}", branch.id, grouped(branch.from), grouped(branch.end),
                             branch.id == points.branch ? ", this one"
                             : branch.parent != 0       ? fmt::format(", off branch {}", branch.parent)
                                                        : ""),
                 branch.id == points.branch ? kGood : kDim, branch,
                 branch.id == points.branch ? "" : fmt::format("drop {}", branch.id), touch);
    ImGui::EndChild();
}

} // namespace forkscope::ui
