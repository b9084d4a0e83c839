// Owns: text in columns of equal letters, and panels, the framed parts of the window.
// Callers: the panels. Promises: a text that does not fit ends with an ellipsis, never in the middle of a letter.
#pragma once

#include <string>
#include <string_view>

#include "emu/ui/theme.hpp"
#include "emu/ui/touch.hpp"

namespace forkscope::ui {

struct Rect {
    float x = 0, y = 0, width = 0, height = 0;
};

// At most `letters` letters.
std::string fitted(std::string_view text, std::size_t letters);
std::size_t letter_count(std::string_view text); // of UTF-8

// One line whose columns are counted in letters from its left edge. `touch` hears of it, with its whole text.
class TextLine {
  public:
    explicit TextLine(Touch& touch);
    TextLine& put(int column, Colour colour, std::string_view text, std::size_t most = 1000);
    TextLine& right(int last_column, Colour colour, std::string_view text); // ends before that column
    void background(Colour colour);
    // Moves to the next line. True while the mouse is over this one.
    bool end(const Subject& subject = {}, float height = kLine);

  private:
    Touch& touch_;
    ImVec2 start_;
    std::string text_;
};

// A part of a line that reacts for itself, such as a register; columns as of the line, which is drawn already.
bool touch_part(Touch& touch, const Subject& subject, const std::string& text, ImVec2 from, ImVec2 to);

// How many letters fit into the rest of the panel's width.
int columns_left();
void dim_line(Touch& touch, std::string_view text, const Subject& subject = {});
// The same for rows that may have a scroll bar beside them: those of begin_rows(), and what stands above them.
int row_columns();
// A scrolling part over the rest of the panel, as high as a whole number of lines. End it with ImGui::EndChild().
void begin_rows();

// A framed part of the window: the panel that `touch` says, with the titles of all in its slot, which bring them to the
// front. What is drawn while it lives is inside, and scrolls if it is longer.
class Panel {
  public:
    Panel(Touch& touch, const Rect& rect, const Fonts& fonts, std::string_view note = {});
    ~Panel();
    Panel(const Panel&) = delete;
    Panel& operator=(const Panel&) = delete;
};

} // namespace forkscope::ui
