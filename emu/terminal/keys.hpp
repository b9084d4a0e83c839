// Owns: Key, what a person pressed; and what each key does where no line is being typed.
// Callers: screens make keys, the face asks what they mean. Promises: one table is the keys and their help.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope::terminal {

struct Key {
    enum class Name : u8 {
        None, // nothing came in time
        Character,
        Enter,
        Escape,
        Tab,
        BackTab,
        Up,
        Down,
        Left,
        Right,
        PageUp,
        PageDown,
        Home,
        End,
        Backspace,
        Delete,
        Resize,
        Interrupt, // Ctrl-C
        Closed,    // there is no terminal any more
    };
    Name name = Name::None;
    std::string character = {}; // UTF-8, or a control character
};

enum class Act : u8 {
    None,
    Command, // `words` is one of the stepper's
    Choose,  // Enter: what the line under the cursor is; with no cursor, the last move again
    Go,      // to the moment that made it
    Copy,    // the line, or the panel where there is no cursor
    Ask,     // for a line, of which `words` is the beginning
    Search,
    Help,
    Run, // and the keys go to the guest
    Zoom,
    NextPanel,
    PreviousPanel,
    Up,
    Down,
    PageUp,
    PageDown,
    Begin,
    End,
    Back, // to all panels
    Redraw,
    Quit,
};

struct KeyMeaning {
    Act act = Act::None;
    std::string_view words = {};
};
KeyMeaning meaning_of(const Key& key);

struct KeyHelp {
    std::string_view keys, text;
};
std::span<const KeyHelp> key_help();

} // namespace forkscope::terminal
