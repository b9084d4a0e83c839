#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

static void draw_row(const StackView::Row& row, Colour colour, int columns, Touch& touch) {
    TextLine line(touch);
    line.put(0, colour, row.text, static_cast<std::size_t>(std::max(1, columns)));
    if (line.end(row.subject) && letter_count(row.text) > static_cast<std::size_t>(std::max(1, columns)))
        ImGui::SetTooltip("%s", row.text.c_str());
}

void draw_stack(const StackView& stack, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, fmt::format("{} calls, variables of row {}", stack.rows.size(), stack.chosen));
    begin_rows();
    const int columns = columns_left();
    for (std::size_t i = 0; i < stack.rows.size(); ++i)
        draw_row(stack.rows[i], i == stack.chosen ? kTitle : kText, columns, touch);
    if (!stack.end.empty())
        dim_line(touch, "no more: " + stack.end);
    if (!stack.variables.empty())
        dim_line(touch, fmt::format("arguments and variables of row {}", stack.chosen));
    for (const StackView::Row& row : stack.variables)
        draw_row(row, kText, columns, touch);
    dim_line(touch, stack.printed.empty() ? "'show print *current_process' shows a value here" : "values asked for");
    for (const StackView::Row& row : stack.printed)
        draw_row(row, kAccent, columns, touch);
    ImGui::EndChild();
}

} // namespace forkscope::ui
