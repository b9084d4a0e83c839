// Owns: GuestState, what a stopped machine lets be seen: registers and memory, by callbacks.
// Callers: whoever asks for a stack or a value. Promises: reading looks only. Stacks are taken to be flat: esp and ebp
// are linear addresses.
#pragma once

#include "emu/symbols/dwarf/location.hpp"

namespace forkscope {

struct GuestState {
    FrameRegisters registers;
    u16 cs = 0;
    u32 address_space = 0; // CR3's directory
    PeekMemory memory;     // of that space

    bool in_kernel() const { return (cs & 3) == 0; }
    std::optional<u32> word(u32 address) const {
        u32 value = 0;
        u8 bytes[4];
        if (!memory || !memory(address, bytes))
            return std::nullopt;
        std::memcpy(&value, bytes, sizeof value);
        return value;
    }
};

} // namespace forkscope
