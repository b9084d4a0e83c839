// Owns: the expressions of `print`: C's over the guest's variables, without effects, with gdb's `$eax` and `p@4`, and
// list(HEAD, …), which follows a linked list.
// Callers: stepper, panels, fork profiles, GDB's monitor. Promises: an Error has the text and marks the place; depth,
// length and elements are bounded.
#pragma once

#include <string_view>

#include "emu/symbols/inspect/call_stack.hpp"

namespace forkscope {

// The value of an expression, as it is meant in a row of the stack.
Result<GuestValue> evaluate(const CallStack& stack, const StackRow& row, std::string_view text);

// The same to be shown. The text may begin with a format as gdb has it: "/x proc->p_flag"; x, d, o, t, c.
//
// list(HEAD, LINK)            from the structure that HEAD points to, by the member LINK, until a null pointer or HEAD
// list(HEAD, struct T, LINK)  HEAD is a ring's link (struct list, struct list_head): the T whose members LINK are in it
Result<ValueNode> print(const CallStack& stack, const StackRow& row, std::string_view text, PrintLimits limits = {});

} // namespace forkscope
