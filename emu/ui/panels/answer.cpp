#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_answer(const AnswerView& answer, const Rect& rect, const Fonts& fonts, Touch& touch) {
    constexpr double kSettled = 0.6; // seconds: longer than a double click, whose second half may fall here
    Panel panel(touch, rect, fonts);
    begin_rows();
    const int columns = row_columns();
    const auto put = [&](Colour colour, const std::string& text) {
        TextLine line(touch);
        line.put(0, colour, text, static_cast<std::size_t>(std::max(1, columns)));
        if (line.end() && letter_count(text) > static_cast<std::size_t>(std::max(1, columns)))
            ImGui::SetTooltip("%s", text.c_str());
    };
    if (answer.title.empty())
        dim_line(touch, "a click on a row, a cell or a register says here what it is");
    else
        put(kTitle, answer.title);
    for (const std::string& line : answer.lines)
        put(kText, line);
    for (const Inspection::Offer& offer : answer.offers) {
        ImGui::PushID(offer.command.c_str());
        if (ImGui::SmallButton(offer.what.c_str()) && ImGui::GetTime() > touch.clicked_at() + kSettled)
            touch.ask(say(offer.command));
        ImGui::PopID();
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("%s", offer.command.c_str());
    }
    ImGui::EndChild();
}

} // namespace forkscope::ui
