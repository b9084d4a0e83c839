// Owns: CursesScreen, the Screen on a real terminal: the only place that knows ncurses.
// Callers: Terminal; one at a time. Promises: as Terminal has them; with a character set that is not UTF-8, lines and
// signs are shown by letters of ASCII.
#pragma once

#include <array>
#include <memory>

#include "emu/base/result.hpp"
#include "emu/terminal/screen.hpp"

namespace forkscope::terminal {

class CursesScreen : public Screen {
  public:
    // Error: standard input and output are no terminal that a full screen can be drawn on, or it is too small.
    static Result<void> check();
    static Result<std::unique_ptr<CursesScreen>> open();
    ~CursesScreen() override;
    CursesScreen(const CursesScreen&) = delete;
    CursesScreen& operator=(const CursesScreen&) = delete;

    Size size() const override;
    void show(const Canvas& canvas, Cursor cursor) override;
    void redraw() override;
    Key key(int milliseconds) override;
    bool interrupted() const override;
    void forget_interrupt() override;
    std::string messages() override;
    void copy(const std::string& text) override;

  private:
    CursesScreen() = default;
    void set_styles();
    std::string shown(const std::string& character) const;

    std::array<unsigned, kStyles> attributes_{};
    bool utf8_ = true;
    int closed_ = 0; // times in a row that nothing could be read
};

} // namespace forkscope::terminal
