// Owns: Scene, what the panels of one stop are made of: emu/view's models, and the guest's screen as text.
// Callers: face, tests. Promises: looking changes nothing; a copy, true to its moment while the machine runs on.
#pragma once

#include <string>
#include <vector>

#include "emu/session/session.hpp"
#include "emu/view/view.hpp"

namespace forkscope::terminal {

struct Scene {
    View view;
    std::vector<std::string> screen;
};

Scene scene_of(Session& session, const Choices& choices);

} // namespace forkscope::terminal
