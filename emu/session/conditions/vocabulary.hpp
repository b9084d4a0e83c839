// Owns: the words of conditions as tables: operators, functions and events, fields of entries, prefixes.
// Callers: the parser, and who lists or fuzzes the language. Promises: a word is one here or a name of the guest's.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

#include "emu/session/conditions/expression.hpp"

namespace forkscope {

struct OperatorWord {
    std::string_view sign;
    u8 precedence; // higher binds closer
    NodeKind kind;
};
inline constexpr OperatorWord kOperators[] = {
    {"||", 1, NodeKind::Or},         {"&&", 2, NodeKind::And},          {"|", 3, NodeKind::BitOr},
    {"^", 4, NodeKind::BitXor},      {"&", 5, NodeKind::BitAnd},        {"==", 6, NodeKind::Equal},
    {"!=", 6, NodeKind::NotEqual},   {"<", 7, NodeKind::Less},          {"<=", 7, NodeKind::LessEqual},
    {">", 7, NodeKind::Greater},     {">=", 7, NodeKind::GreaterEqual}, {"<<", 8, NodeKind::ShiftLeft},
    {">>", 8, NodeKind::ShiftRight}, {"+", 9, NodeKind::Add},           {"-", 9, NodeKind::Subtract},
    {"*", 10, NodeKind::Multiply},
};

// A word with arguments, between `least` and `most` of them.
struct FunctionWord {
    std::string_view name;
    NodeKind kind;
    u8 least, most;
    u8 size;  // of what is read
    u8 level; // of the entry
};
inline constexpr FunctionWord kFunctions[] = {
    {"u8", NodeKind::Memory, 1, 1, 1, 0},
    {"u16", NodeKind::Memory, 1, 1, 2, 0},
    {"u32", NodeKind::Memory, 1, 1, 4, 0},
    {"phys8", NodeKind::Physical, 1, 1, 1, 0},
    {"phys16", NodeKind::Physical, 1, 1, 2, 0},
    {"phys32", NodeKind::Physical, 1, 1, 4, 0},
    {"pte", NodeKind::Entry, 1, 2, 0, 1},
    {"pde", NodeKind::Entry, 1, 2, 0, 2},
    {"stale", NodeKind::Stale, 1, 1, 0, 0},
    {"fault", NodeKind::Fault, 0, 1, 0, 0},
    {"fork", NodeKind::Fork, 0, 0, 0, 0},
    {"stop", NodeKind::AnyStop, 0, 0, 0, 0},
    {"syscall", NodeKind::SystemCall, 0, 0, 0, 0},
    {"switch", NodeKind::Switch, 0, 0, 0, 0},
    {"interrupt", NodeKind::Interrupt, 0, 1, 0, 0},
    {"maps", NodeKind::Maps, 1, 1, 0, 0},
    {"writes", NodeKind::Writes, 2, 2, 0, 0},
    {"fills", NodeKind::Fills, 0, 1, 0, 0},
    {"evicts", NodeKind::Evicts, 0, 1, 0, 0},
    {"flushes", NodeKind::Flushes, 0, 0, 0, 0},
    {"entries", NodeKind::Entries, 0, 0, 0, 0},
    {"count", NodeKind::Count, 1, 1, 0, 0},
    {"tracepoint", NodeKind::Tracepoint, 1, 1, 0, 0},
    {"serial", NodeKind::SerialText, 1, 1, 0, 0},
    {"screen", NodeKind::ScreenText, 1, 1, 0, 0},
};

struct FieldWord {
    std::string_view name;
    EntryField field;
};
inline constexpr FieldWord kFields[] = {
    {"value", EntryField::Value}, {"p", EntryField::Present},  {"w", EntryField::Writable},
    {"u", EntryField::User},      {"a", EntryField::Accessed}, {"d", EntryField::Dirty},
    {"g", EntryField::Global},    {"ps", EntryField::Large},   {"frame", EntryField::Frame},
};

// What a condition used to be, and still may be: the word before the colon.
inline constexpr std::string_view kPrefixes[] = {"symbol", "address", "tracepoint", "stop",
                                                 "phase",  "serial",  "screen"};

template <class Table> auto row_named(const Table& table, std::string_view name) {
    const auto* row =
        std::find_if(std::begin(table), std::end(table), [&](const auto& one) { return one.name == name; });
    return row == std::end(table) ? nullptr : row;
}

} // namespace forkscope
