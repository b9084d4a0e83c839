// Owns: StackFrame, what a transfer or an interrupt pushes as a whole, and the elements that a return pops.
// Callers: cpu/protection. Promises: all of a frame is written, or nothing.
#pragma once

#include <span>

#include "cpu/execute/context.hpp"

namespace forkscope::protection {

// Values from the highest address down.
struct StackFrame {
    static constexpr u32 kMost = 48; // interrupt frame: 10; call gate: 31 parameters and 4

    SegmentCache ss;
    u32 esp = 0; // write() moves it below the frame
    Privilege privilege = Privilege::Supervisor;
    u32 fault_error = 0; // of #SS if the frame does not fit
    u32 size = 4;        // bytes an element
    u32 count = 0;
    std::array<u32, kMost> values; // `count` of them
    void push(u32 value) { values[count++] = value; }
};

// Checks limits and pages of the whole frame before the first store. False: a fault was recorded.
[[nodiscard]] bool write_frame(Context& cpu, StackFrame& frame);
// A frame on the present stack.
StackFrame present_stack(const Context& cpu, u32 size);
// The ring's stack from the TSS, checked as for a transfer inwards.
[[nodiscard]] bool inner_stack(Context& cpu, u8 ring, u32 ext, StackFrame& frame);
// Elements of the stack, `size` bytes each, zero-extended, upwards from the number `first` above its top.
[[nodiscard]] bool peek_elements(Context& cpu, u32 first, u32 size, std::span<u32> elements);
// An element of the stack, `size` bytes, zero-extended.
Access<u32> peek_element(Context& cpu, u32 index, u32 size, u32 skipped = 0);

} // namespace forkscope::protection
