#include "emu/terminal/curses/curses_screen.hpp"

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include <langinfo.h>
#define NCURSES_NOMACROS
#include <ncursesw/curses.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "emu/base/log.hpp"
#include "emu/terminal/clipboard.hpp"
#include "emu/terminal/curses/terminal_guard.hpp"
#include "emu/terminal/curses/terminfo.hpp"
#include "emu/terminal/layout.hpp"

namespace forkscope::terminal {

namespace {

Error none(const std::string& why) {
    return Error{
        fmt::format("no full screen here: {}; use --display none, or a terminal of at least {} x {} characters", why,
                    kLeastColumns, kLeastRows)};
}

Screen::Size asked_size() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return {};
    return {size.ws_row, size.ws_col};
}

struct NamedKey {
    wint_t code;
    Key::Name name;
};
constexpr NamedKey kNamed[] = {
    {KEY_UP, Key::Name::Up},
    {KEY_DOWN, Key::Name::Down},
    {KEY_LEFT, Key::Name::Left},
    {KEY_RIGHT, Key::Name::Right},
    {KEY_PPAGE, Key::Name::PageUp},
    {KEY_NPAGE, Key::Name::PageDown},
    {KEY_HOME, Key::Name::Home},
    {KEY_END, Key::Name::End},
    {KEY_BTAB, Key::Name::BackTab},
    {KEY_DC, Key::Name::Delete},
    {KEY_BACKSPACE, Key::Name::Backspace},
    {KEY_ENTER, Key::Name::Enter},
    {KEY_RESIZE, Key::Name::Resize},
};

std::string utf8_of(wint_t code) {
    const auto byte = [](u32 value) { return static_cast<char>(value); };
    const u32 c = code;
    if (c < 0x80)
        return {byte(c)};
    if (c < 0x800)
        return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
    if (c < 0x10000)
        return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
    return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
}

} // namespace

Result<void> CursesScreen::check() {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
        return none("standard input and output are no terminal");
    if (const Size size = asked_size(); size.rows != 0 && (size.rows < kLeastRows || size.columns < kLeastColumns))
        return none(fmt::format("the terminal has {} x {}", size.columns, size.rows));
    if (capability("cup").empty())
        return none("TERM names no terminal with a cursor that can be moved");
    return {};
}

Result<std::unique_ptr<CursesScreen>> CursesScreen::open() {
    std::setlocale(LC_CTYPE, "");
    std::unique_ptr<CursesScreen> screen(new CursesScreen);
    screen->utf8_ = std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
    std::string leave;
    for (const char* name : {"sgr0", "rmkx", "rmcup", "cnorm"})
        leave += capability(name);
    TerminalGuard::begin(leave);
    ::set_escdelay(25); // milliseconds: Escape is a key of its own here
    if (::newterm(nullptr, stdout, stdin) == nullptr) {
        TerminalGuard::end();
        return none("ncurses cannot set it up");
    }
    ::cbreak();
    ::noecho();
    ::nonl();
    ::keypad(stdscr, TRUE);
    ::intrflush(stdscr, FALSE);
    screen->set_styles();
    return screen;
}

CursesScreen::~CursesScreen() {
    ::endwin();
    TerminalGuard::end();
}

void CursesScreen::set_styles() {
    const auto at = [&](Style style) -> unsigned& { return attributes_[static_cast<std::size_t>(style)]; };
    at(Style::Title) = at(Style::Changed) = A_BOLD;
    at(Style::Focused) = at(Style::Status) = at(Style::Current) = A_REVERSE;
    at(Style::Bad) = A_BOLD;
    if (!::has_colors() || ::start_color() == ERR)
        return;
    const short ground = ::use_default_colors() == OK ? -1 : COLOR_BLACK;
    const auto colour = [&](Style style, short letters, unsigned more) {
        const auto pair = static_cast<short>(static_cast<int>(style) + 1);
        ::init_pair(pair, letters, ground);
        at(style) = static_cast<unsigned>(COLOR_PAIR(pair)) | more;
    };
    colour(Style::Dim, COLOR_CYAN, 0);
    colour(Style::Changed, COLOR_YELLOW, A_BOLD);
    colour(Style::Good, COLOR_GREEN, 0);
    colour(Style::Bad, COLOR_RED, A_BOLD);
    colour(Style::Accent, COLOR_CYAN, A_BOLD);
}

Screen::Size CursesScreen::size() const { return {LINES, COLS}; }

std::string CursesScreen::shown(const std::string& character) const {
    if (utf8_ || character.size() == 1)
        return character;
    constexpr std::pair<std::string_view, const char*> kPlain[] = {
        {"─", "-"}, {"│", "|"}, {"→", ">"}, {"…", "~"}, {"·", "."}};
    for (const auto& [fine, plain] : kPlain)
        if (character == fine)
            return plain;
    return "?";
}

void CursesScreen::show(const Canvas& canvas, Cursor cursor) {
    ::erase();
    for (int row = 0; row < canvas.rows() && row < LINES; ++row) {
        ::move(row, 0);
        std::string run;
        for (int column = 0; column < canvas.columns() && column < COLS; ++column) {
            const Canvas::Cell& cell = canvas.at(row, column);
            run += shown(cell.character);
            const bool last = column + 1 == canvas.columns() || column + 1 == COLS;
            if (!last && canvas.at(row, column + 1).style == cell.style)
                continue;
            ::attrset(static_cast<int>(attributes_[static_cast<std::size_t>(cell.style)]));
            ::addstr(run.c_str());
            run.clear();
        }
    }
    ::attrset(A_NORMAL);
    ::curs_set(cursor ? 1 : 0);
    if (cursor)
        ::move(cursor->first, cursor->second);
    ::refresh();
}

// Not by ncurses, which would count the letters as shown: between two pictures nothing else is written there.
void CursesScreen::copy(const std::string& text) {
    const std::string sequence = clipboard_sequence(text);
    for (std::size_t at = 0; at < sequence.size();) {
        const ssize_t written = ::write(STDOUT_FILENO, sequence.data() + at, sequence.size() - at);
        if (written <= 0)
            return;
        at += static_cast<std::size_t>(written);
    }
}

void CursesScreen::redraw() { ::clearok(curscr, TRUE); }

Key CursesScreen::key(int milliseconds) {
    constexpr int kPatience = 500; // a signal may come just before the wait
    constexpr int kMostClosed = 100;
    const bool for_ever = milliseconds < 0;
    for (;;) {
        if (interrupted()) {
            forget_interrupt();
            return {Key::Name::Interrupt};
        }
        ::timeout(for_ever ? kPatience : milliseconds);
        wint_t code = 0;
        errno = 0;
        const int got = ::get_wch(&code);
        if (got == KEY_CODE_YES) {
            for (const NamedKey& one : kNamed)
                if (one.code == code)
                    return {one.name};
            continue;
        }
        if (got == OK) {
            closed_ = 0;
            switch (code) {
            case '\r':
            case '\n':
                return {Key::Name::Enter};
            case '\t':
                return {Key::Name::Tab};
            case '\x1b':
                return {Key::Name::Escape};
            case '\x7f':
            case '\b':
                return {Key::Name::Backspace};
            default:
                return {Key::Name::Character, utf8_of(code)};
            }
        }
        if (errno == EIO || (::isatty(STDIN_FILENO) == 0 && ++closed_ > kMostClosed))
            return {Key::Name::Closed};
        if (!for_ever)
            return interrupted() ? Key{Key::Name::Interrupt} : Key{};
    }
}

bool CursesScreen::interrupted() const { return TerminalGuard::interrupted(); }
void CursesScreen::forget_interrupt() { TerminalGuard::forget_interrupt(); }
std::string CursesScreen::messages() { return TerminalGuard::messages(); }

} // namespace forkscope::terminal
