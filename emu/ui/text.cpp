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

TextLine::TextLine(Touch& touch) : touch_(touch), start_(ImGui::GetCursorScreenPos()) {}

TextLine& TextLine::put(int column, Colour colour, std::string_view text, std::size_t most) {
    const std::string shown = fitted(text, most);
    const auto letters = letter_count(text_);
    if (static_cast<std::size_t>(std::max(0, column)) > letters)
        text_.append(static_cast<std::size_t>(column) - letters, ' ');
    text_ += text;
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

bool TextLine::end(const Subject& subject, float height) {
    const float width = std::max(1.0f, ImGui::GetContentRegionAvail().x);
    ImGui::Dummy({width, height});
    const bool hovered = ImGui::IsItemHovered();
    touch_.row(subject, text_, start_, {start_.x + width, start_.y + height}, hovered);
    return hovered;
}

bool touch_part(Touch& touch, const Subject& subject, const std::string& text, ImVec2 from, ImVec2 to) {
    const bool hovered = ImGui::IsWindowHovered() && ImGui::IsMouseHoveringRect(from, to);
    touch.row(subject, text, from, to, hovered);
    return hovered;
}

int columns_left() { return static_cast<int>(ImGui::GetContentRegionAvail().x / kLetter); }

int row_columns() {
    return static_cast<int>((ImGui::GetContentRegionAvail().x - ImGui::GetStyle().ScrollbarSize) / kLetter);
}

void dim_line(Touch& touch, std::string_view text, const Subject& subject) {
    TextLine line(touch);
    line.put(0, kDim, text, static_cast<std::size_t>(std::max(1, columns_left())));
    line.end(subject);
}

void begin_rows() {
    const float lines = std::max(1.0f, std::floor(ImGui::GetContentRegionAvail().y / kLine));
    ImGui::BeginChild("rows", {0, lines * kLine});
}

namespace {

// The titles of all panels of a slot; one that is clicked comes to the front. Returns where they end, in letters.
std::size_t draw_titles(Touch& touch, const Rect& rect, const Fonts& fonts) {
    const PanelSlot slot = kPanelPlaces[static_cast<std::size_t>(touch.panel())].slot;
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    std::size_t column = 0;
    for (const PanelPlace& place : kPanelPlaces) {
        if (place.slot != slot)
            continue;
        const bool front = place.id == touch.panel();
        const float x = rect.x + kPadding + static_cast<float>(column) * kLetter;
        const std::size_t letters = letter_count(place.title);
        draw.AddText(front ? fonts.bold : fonts.regular, kFontSize, {x, rect.y + 5}, front ? kTitle : kDim,
                     place.title);
        const ImVec2 from{x - 2, rect.y + 2}, to{x + static_cast<float>(letters) * kLetter + 2, rect.y + 22};
        const bool hovered = ImGui::IsWindowHovered() && ImGui::IsMouseHoveringRect(from, to);
        if (hovered && !front)
            draw.AddRectFilled({from.x, to.y - 2}, to, kDim);
        if (hovered && ImGui::IsMouseClicked(ImGuiMouseButton_Left))
            touch.bring_to_front(place.id);
        column += letters + 2;
    }
    return column;
}

} // namespace

Panel::Panel(Touch& touch, const Rect& rect, const Fonts& fonts, std::string_view note) {
    ImGui::SetCursorScreenPos({rect.x, rect.y});
    ImGui::PushID(static_cast<int>(touch.panel()));
    ImGui::BeginChild("panel", {rect.width, rect.height}, false, ImGuiWindowFlags_NoScrollbar);
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const ImVec2 end{rect.x + rect.width, rect.y + rect.height};
    draw.AddRectFilled({rect.x, rect.y}, end, kPanel);
    draw.AddRectFilled({rect.x, rect.y}, {end.x, rect.y + 1}, kBorder);
    draw.AddRectFilled({rect.x, end.y - 1}, end, kBorder);
    draw.AddRectFilled({rect.x, rect.y}, {rect.x + 1, end.y}, kBorder);
    draw.AddRectFilled({end.x - 1, rect.y}, end, kBorder);
    const std::size_t titles = draw_titles(touch, rect, fonts);
    const auto room = static_cast<std::size_t>(std::max(0.0f, (rect.width - 2 * kPadding) / kLetter));
    if (room > titles)
        draw.AddText({rect.x + kPadding + static_cast<float>(titles) * kLetter, rect.y + 5}, kDim,
                     fitted(note, room - titles).c_str());
    ImGui::SetCursorScreenPos({rect.x + kPadding, rect.y + 25});
    ImGui::BeginChild("body", {rect.width - 2 * kPadding, rect.height - 25 - 4});
}

Panel::~Panel() {
    ImGui::EndChild();
    ImGui::EndChild();
    ImGui::PopID();
}

} // namespace forkscope::ui
