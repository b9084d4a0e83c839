#include "emu/terminal/terminal.hpp"

#include "emu/terminal/curses/curses_screen.hpp"
#include "emu/terminal/face.hpp"

namespace forkscope {

Result<std::unique_ptr<Terminal>> Terminal::open() {
    if (auto able = terminal::CursesScreen::check(); !able.ok())
        return able.error();
    return std::make_unique<Terminal>();
}

Result<void> Terminal::show(Session& session, First first) {
    auto screen = terminal::CursesScreen::open();
    if (!screen.ok())
        return screen.error();
    terminal::Face face(session, **screen);
    if (first == First::ToStop)
        face.run_to_stop();
    else if (first == First::ForGuest)
        face.run_for_guest();
    else
        face.stand();
    face.work();
    return {};
}

} // namespace forkscope
