#include "emu/terminal/curses/terminfo.hpp"

#include <cstring>

#include <unistd.h>

#include <ncursesw/curses.h>
#include <ncursesw/term.h> // last: it defines words like `columns`

namespace forkscope::terminal {

std::string capability(const char* name) {
    int found = 0;
    if (::setupterm(nullptr, STDOUT_FILENO, &found) != OK)
        return {};
    const char* const value = ::tigetstr(name);
    if (value == nullptr || value == reinterpret_cast<char*>(-1))
        return {};
    std::string bytes;
    for (const char* at = value; *at != 0; ++at) {
        const char* const end = at[0] == '$' && at[1] == '<' ? std::strchr(at, '>') : nullptr;
        if (end != nullptr)
            at = end;
        else
            bytes += *at;
    }
    return bytes;
}

} // namespace forkscope::terminal
