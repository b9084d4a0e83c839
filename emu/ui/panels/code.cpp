#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

static void draw_line(const CodeLine& code, const Fonts& fonts, int columns, Touch& touch) {
    TextLine line(touch);
    const auto room = [&](int from) { return static_cast<std::size_t>(std::max(0, columns - from)); };
    switch (code.kind) {
    case CodeLine::Kind::Symbol:
        ImGui::PushFont(fonts.bold);
        line.put(0, kAccent, code.text, room(0));
        ImGui::PopFont();
        break;
    case CodeLine::Kind::Source: {
        line.put(2, kDim, code.note, room(2));
        const int column = 2 + static_cast<int>(letter_count(code.note)) + 2;
        line.put(column, kSource, code.text, room(column));
        break;
    }
    case CodeLine::Kind::Instruction: {
        if (code.current)
            line.background(kCurrentLine);
        line.put(0, code.current ? kChanged : kDim, code.current ? "▶" : " ");
        line.put(2, kDim, fmt::format("{:08x}", code.address));
        line.put(12, code.current ? kTitle : kText, code.text, room(12));
        const int column = std::max(42, 12 + static_cast<int>(letter_count(code.text)) + 2);
        if (!code.note.empty() && column < columns)
            line.put(column, kAccent, "→ " + code.note, room(column));
        break;
    }
    }
    if (line.end(code.subject) && code.kind == CodeLine::Kind::Instruction)
        ImGui::SetTooltip("%08x  %s\n%s%s%s", code.address, code.bytes.c_str(), code.text.c_str(),
                          code.note.empty() ? "" : "  → ", code.note.c_str());
}

void draw_code(const CodeView& code, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, code.place);
    begin_rows();
    const int columns = columns_left();
    if (code.current < code.lines.size())
        touch.follow(code.lines[code.current].address, code.current);
    for (const CodeLine& line : code.lines)
        draw_line(line, fonts, columns, touch);
    ImGui::EndChild();
}

} // namespace forkscope::ui
