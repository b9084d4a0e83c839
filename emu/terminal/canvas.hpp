// Owns: Canvas, one picture of the terminal as cells with a style each; Line, a text in several styles.
// Callers: panels and face draw, screens show. Promises: plain data without curses; a cell holds one character of one
// column that steers no terminal; what does not fit is cut off.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope::terminal {

enum class Style : u8 { Plain, Dim, Title, Focused, Current, Changed, Good, Bad, Accent, Status };
inline constexpr std::size_t kStyles = 10;

struct Rect {
    int row = 0, column = 0, rows = 0, columns = 0;
    bool operator==(const Rect&) const = default;
};

class Line {
  public:
    struct Part {
        std::string text;
        Style style = Style::Plain;
    };

    Line() = default;
    explicit Line(std::string text, Style style = Style::Plain) { add(std::move(text), style); }
    Line& add(std::string text, Style style = Style::Plain) {
        parts_.push_back({std::move(text), style});
        return *this;
    }
    const std::vector<Part>& parts() const { return parts_; }
    std::string text() const;

  private:
    std::vector<Part> parts_;
};

// The characters of a text, each one column wide: what is wider or narrower, or steers, is shown as something else.
std::vector<std::string> cells_of(std::string_view text);

class Canvas {
  public:
    struct Cell {
        std::string character = " ";
        Style style = Style::Plain;
    };

    Canvas(int rows, int columns) : rows_(rows), columns_(columns), cells_(static_cast<std::size_t>(rows * columns)) {}

    int rows() const { return rows_; }
    int columns() const { return columns_; }
    const Cell& at(int row, int column) const { return cells_[static_cast<std::size_t>(row * columns_ + column)]; }
    // Writes from a column on, `width` columns at most. Returns how many it took.
    int put(int row, int column, int width, const Line& line);
    int put(int row, int column, int width, std::string_view text, Style style = Style::Plain);
    void fill(const Rect& rect, std::string_view character, Style style);
    void restyle(const Rect& rect, Style style);
    std::string row_text(int row) const;

  private:
    Cell* cell(int row, int column);

    int rows_, columns_;
    std::vector<Cell> cells_;
};

} // namespace forkscope::terminal
