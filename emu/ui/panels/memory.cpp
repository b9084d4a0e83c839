#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_memory(const MemoryView& memory, const Rect& rect, const Fonts& fonts, Touch& touch) {
    constexpr int kBytesColumn = 9, kWordLetters = 13, kLettersColumn = kBytesColumn + 4 * kWordLetters;
    Panel panel(touch, rect, fonts, memory.place + "; 'show memory ADDRESS', 'show physical ADDRESS'");
    begin_rows();
    if (memory.chosen < memory.rows.size())
        touch.follow(memory.rows[memory.chosen].address, memory.chosen);
    const int columns = columns_left();
    for (std::size_t i = 0; i < memory.rows.size(); ++i) {
        const MemoryRow& row = memory.rows[i];
        const ImVec2 start = ImGui::GetCursorScreenPos();
        TextLine line(touch);
        line.put(0, i == memory.chosen ? kChanged : kDim, fmt::format("{:08x}", row.address));
        line.put(kBytesColumn, kText, row.bytes, static_cast<std::size_t>(std::max(1, columns - kBytesColumn)));
        if (columns >= kLettersColumn + static_cast<int>(row.letters.size()))
            line.put(kLettersColumn, kAccent, row.letters);
        line.end();
        for (std::size_t word = 0; word < row.words.size(); ++word) {
            const auto column = static_cast<std::size_t>(kWordLetters) * word;
            const float x = start.x + static_cast<float>(kBytesColumn + column) * kLetter;
            touch_part(touch, row.words[word],
                       fmt::format("{:08x} {}", row.address + 4 * word, row.bytes.substr(column, 11)), {x - 2, start.y},
                       {x + 11 * kLetter + 2, start.y + kLine});
        }
    }
    ImGui::EndChild();
}

} // namespace forkscope::ui
