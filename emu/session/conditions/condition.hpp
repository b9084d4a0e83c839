// Owns: Condition, an expression ready to be armed, and what arms it.
// Callers: sessions and faces compile what people write (README.md of this folder is the language). Promises: compiling
// takes any text and looks only at names; its cost and the condition's are bounded; an error marks its place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/trace.hpp"
#include "emu/session/conditions/expression.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// What tells that a condition has to be asked, so that no moment is missed.
struct Arming {
    std::vector<u32> addresses; // before the instructions there
    TraceKinds occurrences = 0; // events that a node of the expression stands for
    TraceKinds changes = 0;     // events after which a value may be another
    bool memory = false;        // stores into what was last read
    bool screen = false;        // each millisecond
    bool each_instruction = false;
    std::vector<bool> live; // by node: its value arms the condition, not only its owner's question

    bool operator==(const Arming&) const = default;
};

struct Condition {
    Expression expression;
    Arming arming;

    const std::string& text() const { return expression.text; }
    bool has(NodeKind kind) const;
    // What whoever asked should know: that it makes the run slow. Empty: nothing.
    std::string note() const;
};

// Error: why it is no condition, the text, and below it a caret.
Result<Condition> compile_condition(std::string_view text, const Symbolizer& symbols);

// What is said of a place in the text of a condition, with a caret below it.
Error condition_error(std::string_view text, u32 place, const std::string& why);

// The two halves of it.
Result<Expression> parse_expression(std::string_view text, const Symbolizer& symbols);
Arming arming_of(const Expression& expression);

} // namespace forkscope
