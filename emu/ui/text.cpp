#include "emu/ui/text.hpp"

#include <algorithm>
#include <cmath>

#include "emu/base/log.hpp"

namespace forkscope::ui {

static bool begins_letter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::size_t letter_count(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_letter));
}

std::string fitted(std::string_view text, std::size_t letters) {
    if (letter_count(text) <= letters)
        return std::string(text);
    if (letters == 0)
        return {};
    std::size_t seen = 0;
    std::size_t at = 0;
    for (; at < text.size(); ++at)
        if (begins_letter(text[at]) && seen++ == letters - 1)
            break;
    return fmt::format("{}…", text.substr(0, at));
}

TextLine::TextLine() : start_(ImGui::GetCursorScreenPos()) {}

TextLine& TextLine::put(int column, Colour colour, std::string_view text, std::size_t most) {
    const std::string shown = fitted(text, most);
    ImGui::GetWindowDrawList()->AddText({start_.x + static_cast<float>(column) * kLetter, start_.y}, colour,
                                        shown.data(), shown.data() + shown.size());
    return *this;
}

TextLine& TextLine::right(int last_column, Colour colour, std::string_view text) {
    return put(last_column - static_cast<int>(letter_count(text)), colour, text);
}

void TextLine::background(Colour colour) {
    const float width = ImGui::GetContentRegionAvail().x;
    ImGui::GetWindowDrawList()->AddRectFilled(start_, {start_.x + width, start_.y + kLine}, colour);
}

bool TextLine::end(float height) {
    ImGui::Dummy({std::max(1.0f, ImGui::GetContentRegionAvail().x), height});
    return ImGui::IsItemHovered();
}

int columns_left() { return static_cast<int>(ImGui::GetContentRegionAvail().x / kLetter); }

int row_columns() {
    return static_cast<int>((ImGui::GetContentRegionAvail().x - ImGui::GetStyle().ScrollbarSize) / kLetter);
}

void dim_line(std::string_view text) {
    TextLine line;
    line.put(0, kDim, text, static_cast<std::size_t>(std::max(1, columns_left())));
    line.end();
}

void begin_rows() {
    const float lines = std::max(1.0f, std::floor(ImGui::GetContentRegionAvail().y / kLine));
    ImGui::BeginChild("rows", {0, lines * kLine});
}

Panel::Panel(const char* title, const Rect& rect, const Fonts& fonts, std::string_view note) {
    ImGui::SetCursorScreenPos({rect.x, rect.y});
    ImGui::BeginChild(title, {rect.width, rect.height}, false, ImGuiWindowFlags_NoScrollbar);
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const ImVec2 end{rect.x + rect.width, rect.y + rect.height};
    draw.AddRectFilled({rect.x, rect.y}, end, kPanel);
    draw.AddRectFilled({rect.x, rect.y}, {end.x, rect.y + 1}, kBorder);
    draw.AddRectFilled({rect.x, end.y - 1}, end, kBorder);
    draw.AddRectFilled({rect.x, rect.y}, {rect.x + 1, end.y}, kBorder);
    draw.AddRectFilled({end.x - 1, rect.y}, end, kBorder);
    draw.AddText(fonts.bold, kFontSize, {rect.x + kPadding, rect.y + 5}, kTitle, title);
    const auto title_letters = letter_count(title) + 2;
    const auto room = static_cast<std::size_t>(std::max(0.0f, (rect.width - 2 * kPadding) / kLetter));
    if (room > title_letters) {
        const std::string shown = fitted(note, room - title_letters);
        draw.AddText({rect.x + kPadding + static_cast<float>(title_letters) * kLetter, rect.y + 5}, kDim,
                     shown.c_str());
    }
    ImGui::SetCursorScreenPos({rect.x + kPadding, rect.y + 25});
    ImGui::BeginChild("body", {rect.width - 2 * kPadding, rect.height - 25 - 4});
}

Panel::~Panel() {
    ImGui::EndChild();
    ImGui::EndChild();
}

} // namespace forkscope::ui
