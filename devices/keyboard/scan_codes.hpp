// Owns: the scan code tables: the 8042's translation of set 2 to set 1, its inverse, and set 3 (IBM PS/2 hardware
// interface reference, keyboard part). Callers: KeyboardController, its tests. Promises: pure functions.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

// What the 8042 makes of a byte from the keyboard while translation is on, the F0 prefix apart.
u8 translate_to_set1(u8 set2);
// The set 2 code of a set 1 make code (bit 7 clear, prefixes apart); 0 if no key has it.
u8 set2_of_set1(u8 set1);
// The set 3 code of a set 1 make code with or without the E0 prefix; 0 if no key has it.
enum class Prefix : u8 { None, E0 };
u8 set3_of_set1(u8 set1, Prefix prefix);

} // namespace forkscope
