// Owns: which PS/2 set 1 scan codes a key of the host's keyboard makes.
// Callers: the window, tests. Promises: keys are named by their place, so that the guest's layout decides their
// letters.
#pragma once

#include <optional>

#include <SDL_scancode.h>

#include "emu/base/input_event.hpp"

namespace forkscope::ui {

enum class KeyMove : u8 { Press, Release };

// Nothing for keys that a PC keyboard does not have.
std::optional<InputEvent> key_event(SDL_Scancode key, KeyMove move);

} // namespace forkscope::ui
