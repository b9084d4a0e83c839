// Owns: InputEvent, everything that comes from outside the guest.
// Callers: session and window create them; the Machine stamps, logs, then applies them.
// Promises: the same configuration and the same list of stamped events give the same run.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

enum class InputKind : u8 {
    Key = 0,        // data = PS/2 set 1 scan code byte(s), lowest byte first, size bytes
    SerialByte = 1, // data = the byte received on COM1
};

struct InputEvent {
    InputKind kind{};
    u8 size = 1;
    u64 data = 0;
    Cycles cycle = 0;     // stamped by the Machine: the instruction boundary at which it becomes effective
    u64 instructions = 0; // stamped: instructions retired then
};

} // namespace forkscope
