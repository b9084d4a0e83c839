// Owns: the way from text to keys: which keys of a US keyboard type a character.
// Callers: the Machine and cli for --type. Promises: a pure function; every make has its break, modifiers are let go
// after each character; a character that no key types is an error that names it.
#pragma once

#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// One key transition as KeyboardController::key() and InputEvent take it: set 1 bytes, lowest byte first.
struct KeyTransition {
    u64 bytes = 0;
    u8 size = 1;
};

// UTF-8 text to key transitions. Newline and carriage return are Enter, tab, backspace (08h, 7Fh) and escape (1Bh) are
// their keys, the other control characters 01h..1Ah are Ctrl with a letter.
Result<std::vector<KeyTransition>> keys_for_text(std::string_view text);

} // namespace forkscope
