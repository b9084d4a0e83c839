// Owns: Scene, what the panels of one stop are made of: emu/view's models, and source, stack and screen as text.
// Callers: face, tests. Promises: looking changes nothing; a copy, true to its moment while the machine runs on.
#pragma once

#include <string>
#include <vector>

#include "emu/session/session.hpp"
#include "emu/view/view.hpp"

namespace forkscope::terminal {

struct SourceLines {
    std::string file; // empty: no line is known here
    u32 line = 0;     // the one that runs next
    u32 first = 0;    // of `lines`
    std::vector<std::string> lines;
};

struct Scene {
    View view;
    SourceLines source;
    std::vector<std::string> stack; // a row a function; last, why there are no more
    std::vector<std::string> screen;
};

Scene scene_of(Session& session);

} // namespace forkscope::terminal
