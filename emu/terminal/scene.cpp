#include "emu/terminal/scene.hpp"

#include "emu/session/guest_words.hpp"

namespace forkscope::terminal {

Scene scene_of(Session& session, const Choices& choices) {
    return {observe(session, choices), screen_lines(session.machine())};
}

} // namespace forkscope::terminal
