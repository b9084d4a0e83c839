// Owns: text in columns of equal letters, and panels, the framed parts of the window.
// Callers: the panels. Promises: a text that does not fit ends with an ellipsis, never in the middle of a letter.
#pragma once

#include <string>
#include <string_view>

#include "emu/ui/theme.hpp"

namespace forkscope::ui {

struct Rect {
    float x = 0, y = 0, width = 0, height = 0;
};

// At most `letters` letters.
std::string fitted(std::string_view text, std::size_t letters);
std::size_t letter_count(std::string_view text); // of UTF-8

// One line whose columns are counted in letters from its left edge.
class TextLine {
  public:
    TextLine();
    TextLine& put(int column, Colour colour, std::string_view text, std::size_t most = 1000);
    TextLine& right(int last_column, Colour colour, std::string_view text); // ends before that column
    void background(Colour colour);
    // Moves to the next line. True while the mouse is over this one.
    bool end(float height = kLine);

  private:
    ImVec2 start_;
};

// How many letters fit into the rest of the panel's width.
int columns_left();
void dim_line(std::string_view text);
// The same for rows that may have a scroll bar beside them: those of begin_rows(), and what stands above them.
int row_columns();
// A scrolling part over the rest of the panel, as high as a whole number of lines. End it with ImGui::EndChild().
void begin_rows();

// A framed part of the window with a title. What is drawn while it lives is inside, and scrolls if it is longer.
class Panel {
  public:
    Panel(const char* title, const Rect& rect, const Fonts& fonts, std::string_view note = {});
    ~Panel();
    Panel(const Panel&) = delete;
    Panel& operator=(const Panel&) = delete;
};

} // namespace forkscope::ui
