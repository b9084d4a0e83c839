// How the face draws itself.
#include <algorithm>

#include <fmt/format.h>

#include "emu/report/report_text.hpp"
#include "emu/terminal/face.hpp"

namespace forkscope::terminal {

Line Face::status() const {
    constexpr std::string_view kBeats[] = {"|", "/", "-", "\\"};
    Timeline& timeline = *session_.timeline();
    const Position position = timeline.position();
    Line line;
    if (!under_way_.empty())
        line.add(fmt::format(" {} {}", kBeats[beats_ % std::size(kBeats)], under_way_), Style::Status)
            .add("  ", Style::Status);
    line.add(fmt::format(" {}  instruction {}", session_.place(), position.instructions), Style::Status);
    if (position.deliveries != 0)
        line.add(fmt::format("+{}", position.deliveries), Style::Status);
    if (timeline.in_past())
        line.add(
            fmt::format("  PAST, {} before the present", grouped(timeline.end().instructions - position.instructions)),
            Style::Status);
    else
        line.add("  present", Style::Status);
    if (timeline.branches().size() > 1)
        line.add(fmt::format("  branch {} of {}", timeline.present().id, timeline.branches().size()), Style::Status);
    return line;
}

void Face::draw_slot(Canvas& canvas, const Slot& slot) {
    const PanelText text = text_of(slot.shown);
    const bool focused = focus_.panel() == slot.shown;
    const Rect& rect = slot.rect;
    canvas.fill({rect.row, rect.column, 1, rect.columns}, "─", Style::Dim);
    int column = 1;
    const auto put = [&](std::string_view words, Style style) {
        column += canvas.put(rect.row, rect.column + column, rect.columns - column, words, style);
    };
    for (const PanelId panel : slot.panels) {
        put(" ", Style::Dim);
        put(panel_title(panel), panel != slot.shown ? Style::Dim : focused ? Style::Focused : Style::Title);
    }
    put(" ", Style::Dim);
    if (!text.note.empty())
        put(" " + text.note + " ", Style::Dim);
    const Rect inside = slot.inside();
    const auto rows = static_cast<std::size_t>(std::max(0, inside.rows));
    PanelPlace& place = place_of(slot.shown);
    if (place.follows && text.current)
        place.top = *text.current > rows / 2 ? *text.current - rows / 2 : 0;
    place.top = std::min(place.top, text.lines.empty() ? 0 : text.lines.size() - 1);
    for (std::size_t i = 0; i < rows && place.top + i < text.lines.size(); ++i) {
        const int row = inside.row + static_cast<int>(i);
        canvas.put(row, inside.column, inside.columns, text.lines[place.top + i]);
        if (text.current == place.top + i)
            canvas.restyle({row, inside.column, 1, inside.columns}, Style::Current);
        if (place.cursor == place.top + i)
            canvas.restyle({row, inside.column, 1, inside.columns}, focused ? Style::Focused : Style::Title);
    }
}

Canvas Face::picture() {
    const Screen::Size size = screen_.size();
    Canvas canvas(std::max(1, size.rows), std::max(1, size.columns));
    const Layout layout = this->layout();
    if (layout.slots.empty()) {
        canvas.put(0, 0, size.columns, fmt::format("the stepper needs {} x {} characters", kLeastColumns, kLeastRows),
                   Style::Bad);
        canvas.put(1, 0, size.columns, fmt::format("here are {} x {}; q quits", size.columns, size.rows), Style::Dim);
        return canvas;
    }
    if (zoom_ == Zoom::All)
        canvas.fill({0, layout.slots.front().rect.columns, layout.status_row, 1}, "│", Style::Dim);
    for (const Slot& slot : layout.slots)
        draw_slot(canvas, slot);
    canvas.put(layout.status_row, 0, size.columns, status());
    canvas.restyle({layout.status_row, 0, 1, size.columns}, Style::Status);
    if (line_.typing())
        canvas.put(layout.command_row, 0, size.columns, line_.prompt() + line_.text());
    else
        canvas.put(
            layout.command_row, 0, size.columns,
            "s b step  l L line  n N over  t T stop  f F fault  Up Down Enter what is it  : command  ? help  q quit"
            " ? help",
            Style::Dim);
    return canvas;
}

void Face::show() {
    Screen::Cursor cursor;
    const Layout layout = this->layout();
    if (line_.typing() && !layout.slots.empty()) {
        const std::size_t column = line_.prompt().size() + line_.cursor();
        cursor = {layout.command_row, std::min(static_cast<int>(column), screen_.size().columns - 1)};
    }
    screen_.show(picture(), cursor);
}

} // namespace forkscope::terminal
