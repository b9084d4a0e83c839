#include "emu/terminal/canvas.hpp"

#include <algorithm>

#include "emu/base/text/printable.hpp"

namespace forkscope::terminal {

namespace {

u32 code_point(std::string_view character) {
    const auto byte = [&](std::size_t i) { return static_cast<u32>(static_cast<u8>(character[i])); };
    if (character.size() == 2)
        return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    if (character.size() == 3)
        return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return character.size() == 1 ? byte(0) : 0x110000;
}

// Scripts, arrows, signs, lines and blocks (all of code page 437): every terminal gives them one column.
bool takes_one_column(u32 code) {
    return (code >= 0x20 && code < 0x7F) || (code >= 0xA0 && code < 0x300 && code != 0xAD) ||
           (code >= 0x370 && code < 0x483) || (code >= 0x2010 && code < 0x2028) || (code >= 0x2030 && code < 0x205F) ||
           (code >= 0x2070 && code < 0x20D0) || (code >= 0x2190 && code < 0x231A) ||
           (code >= 0x2320 && code < 0x2329) || (code >= 0x2500 && code < 0x25FD) ||
           (code >= 0x2638 && code < 0x2648) || (code >= 0x2660 && code < 0x2670);
}

} // namespace

std::string Line::text() const {
    std::string text;
    for (const Part& part : parts_)
        text += part.text;
    return text;
}

std::vector<std::string> cells_of(std::string_view text) {
    constexpr std::size_t kTab = 8;
    std::vector<std::string> cells;
    std::string spread;
    for (const char c : text) { // as wide as tabs are, where nothing before them is wider than a byte
        if (c == '\t')
            spread.append(kTab - spread.size() % kTab, ' ');
        else
            spread += c;
    }
    const std::string safe = printable_line(spread);
    for (std::size_t at = 0; at < safe.size();) {
        const std::size_t length = std::max<std::size_t>(1, utf8_length(safe, at));
        std::string character = safe.substr(at, length);
        cells.push_back(takes_one_column(code_point(character)) ? std::move(character) : "?");
        at += length;
    }
    return cells;
}

Canvas::Cell* Canvas::cell(int row, int column) {
    if (row < 0 || row >= rows_ || column < 0 || column >= columns_)
        return nullptr;
    return &cells_[static_cast<std::size_t>(row * columns_ + column)];
}

int Canvas::put(int row, int column, int width, std::string_view text, Style style) {
    int taken = 0;
    for (std::string& character : cells_of(text)) {
        if (taken == width)
            break;
        if (Cell* one = cell(row, column + taken); one != nullptr)
            *one = {std::move(character), style};
        ++taken;
    }
    return taken;
}

int Canvas::put(int row, int column, int width, const Line& line) {
    int taken = 0;
    for (const Line::Part& part : line.parts())
        taken += put(row, column + taken, width - taken, part.text, part.style);
    return taken;
}

void Canvas::fill(const Rect& rect, std::string_view character, Style style) {
    for (int row = rect.row; row < rect.row + rect.rows; ++row)
        for (int column = rect.column; column < rect.column + rect.columns; ++column)
            if (Cell* one = cell(row, column); one != nullptr)
                *one = {std::string(character), style};
}

void Canvas::restyle(const Rect& rect, Style style) {
    for (int row = rect.row; row < rect.row + rect.rows; ++row)
        for (int column = rect.column; column < rect.column + rect.columns; ++column)
            if (Cell* one = cell(row, column); one != nullptr)
                one->style = style;
}

std::string Canvas::row_text(int row) const {
    std::string text;
    for (int column = 0; column < columns_; ++column)
        text += at(row, column).character;
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

} // namespace forkscope::terminal
