#include "emu/session/conditions/help.hpp"

#include "emu/base/log.hpp"

namespace forkscope {

namespace {

constexpr ConditionExample kExamples[] = {
#define GROUP(title) {title, {}},
#define EXAMPLE(text, meaning) {text, meaning},
#include "emu/session/conditions/examples.def"
};

constexpr TraceConditionExample kTraceExamples[] = {
#define DECIDED(text, meaning) {text, meaning, true},
#define UNDECIDED(text, meaning) {text, meaning, false},
#include "emu/session/conditions/query/examples.def"
};

// A bar would end the cell.
std::string in_cell(std::string_view text) {
    std::string shown(text);
    for (std::size_t at = 0; (at = shown.find("||", at)) != std::string::npos; at += 4)
        shown.replace(at, 2, "\\|\\|");
    return shown;
}

constexpr std::string_view kRules =
    "Operators are C's, with C's precedence, on unsigned numbers: || && | ^ & == != < <= > >= << >> + - * ! ~ - ( ).\n"
    "Numbers are decimal or 0x hexadecimal. A function, a line or an address that stands alone means that its\n"
    "instruction is next; within an operation it is a number. X changes, and count(X), are of the nearest X.\n"
    "Of A && B, where one of them is a place or an event, the other is asked only when that one comes about.\n"
    "What depends on memory that is not there compares as false. A condition that is true already has to come about\n"
    "anew. What nothing reports, such as eax == 5 alone, is asked after each instruction: the run is slow then, and\n"
    "you are told.\n";

} // namespace

std::span<const ConditionExample> condition_examples() { return kExamples; }

std::string conditions_help() {
    std::string text = "Conditions: what --until waits for\n\n" + std::string(kRules);
    for (const ConditionExample& row : kExamples)
        text += row.meaning.empty() ? fmt::format("\n{}:\n", row.text)
                                    : fmt::format("  {:<42} {}\n", row.text, row.meaning);
    text += "\n`trace query` answers of a trace, which has no machine:\n";
    for (const TraceConditionExample& row : kTraceExamples)
        text += fmt::format("  {:<42} {}{}\n", row.text, row.decided ? "" : "no: ", row.meaning);
    return text;
}

std::string conditions_markdown() {
    std::string text;
    for (const ConditionExample& row : kExamples) {
        if (row.meaning.empty()) {
            text += fmt::format("\n**{}**\n\n| condition | means |\n|---|---|\n", row.text);
            continue;
        }
        text += fmt::format("| `{}` | {} |\n", in_cell(row.text), row.meaning);
    }
    return text;
}

std::span<const TraceConditionExample> trace_condition_examples() { return kTraceExamples; }

std::string trace_conditions_markdown() {
    std::string text = "| `trace query F '…'` | |\n|---|---|\n";
    for (const TraceConditionExample& row : kTraceExamples)
        text += fmt::format("| `{}` | {}{} |\n", in_cell(row.text), row.decided ? "" : "**no**: ", row.meaning);
    return text;
}

} // namespace forkscope
