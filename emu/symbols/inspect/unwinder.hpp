// Owns: the frames of a stack, innermost first: by call frame information, by frame pointers, across interrupts.
// Callers: CallStack. Promises: ends on any stack: each frame lies above the one before, but where an interrupt came
// from another stack; says why it ended, and how each frame was found.
#pragma once

#include <string>
#include <vector>

#include "emu/symbols/inspect/guest_state.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

enum class FoundBy {
    Registers,    // the innermost
    CallFrames,   // the tables that the compiler wrote
    FramePointer, // ebp, as functions without tables mostly have it
    Interrupt,    // what the processor pushed: this code was interrupted, or called the kernel
    ReturnAddress // a word on the stack that lies behind a call: a guess
};

struct Frame {
    FrameRegisters registers;
    std::optional<u32> frame_address; // the stack pointer before the call: DWARF's CFA
    const ElfImage* image = nullptr;  // nullptr: unknown code
    FoundBy found_by = FoundBy::Registers;
    bool called_out = false; // eip is where a call returns to
    bool in_kernel = true;

    u32 eip() const { return registers[FrameRegisters::Eip].value_or(0); }
    // An address within the instruction that is under way.
    u32 place() const { return called_out ? eip() - 1 : eip(); }
};

struct Frames {
    std::vector<Frame> list;
    std::string end; // why there are no more; empty: the outermost function was reached
};

Frames unwind(const Symbolizer& symbols, const GuestState& state, std::size_t most = 128);

std::string_view to_text(FoundBy found_by);

} // namespace forkscope
