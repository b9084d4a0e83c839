// Owns: what people read of the language of conditions.
// Callers: emu/cli prints it; a test runs the examples and compares docs/conditions.md. Promises: depends on the tables
// alone.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace forkscope {

// A heading, where `meaning` is empty.
struct ConditionExample {
    std::string_view text;
    std::string_view meaning;
};
std::span<const ConditionExample> condition_examples();

// Of conditions that a trace is asked: one that its events decide, or one that needs a machine.
struct TraceConditionExample {
    std::string_view text;
    std::string_view meaning;
    bool decided = false;
};
std::span<const TraceConditionExample> trace_condition_examples();

std::string conditions_help();
// The tables of docs/conditions.md.
std::string conditions_markdown();
std::string trace_conditions_markdown();

} // namespace forkscope
