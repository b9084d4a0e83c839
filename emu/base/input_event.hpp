// Owns: InputEvent, everything that comes from outside the guest.
// Callers: session and window create them; the Machine stamps, logs, then applies them.
// Promises: the same configuration and the same list of stamped events give the same run.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

enum class InputKind : u8 {
    Key = 0,        // data = PS/2 set 1 scan code byte(s), lowest byte first, size bytes
    SerialByte = 1, // data = the byte received on COM1
    OwedKey = 2,    // a Key that waits for its turn: the Machine feeds it when the guest listens
    Memory = 3,     // a debugger's write: `address` is physical, data = size bytes
    Register = 4,   // a debugger's write: `address` is a RegisterNumber, data = the value
};
inline constexpr InputKind kLastInputKind = InputKind::Register;

// Where at its instruction boundary an input comes.
enum class InputOrder : u8 {
    First = 0, // behind the device events that are due there
    Next = 1,  // directly behind the input before it
};

struct InputEvent {
    InputKind kind{};
    u8 size = 1;
    InputOrder order = InputOrder::First; // stamped by the Machine, as is the boundary at which it becomes effective
    u64 data = 0;
    u64 address = 0;
    Cycles cycle = 0;
    u64 instructions = 0; // retired then
};

} // namespace forkscope
