#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_source(const SourceView& source, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, source.file);
    if (source.line == 0)
        return dim_line(touch, "no source line is known here");
    if (source.lines.empty())
        return dim_line(touch, fmt::format("{} is not here; give its folder with --source DIR", source.file));
    begin_rows();
    touch.follow(source.line ^ u64{std::hash<std::string>{}(source.file)} << 32, source.line - source.first);
    const int columns = columns_left();
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        const u32 number = source.first + static_cast<u32>(i);
        const bool current = number == source.line;
        std::string text = source.lines[i];
        for (std::size_t tab = text.find('\t'); tab != std::string::npos; tab = text.find('\t'))
            text.replace(tab, 1, 8 - tab % 8, ' ');
        TextLine line(touch);
        if (current)
            line.background(kCurrentLine);
        line.put(0, current ? kChanged : kDim, current ? "▶" : " ").right(6, kDim, fmt::format("{}", number));
        line.put(8, current ? kTitle : kSource, text, static_cast<std::size_t>(std::max(1, columns - 8)));
        line.end(source.subject(i));
    }
    ImGui::EndChild();
}

} // namespace forkscope::ui
