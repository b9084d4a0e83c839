// Owns: what people read of the option table: help, usage lines, "did you mean", README's tables.
// Callers: emu/cli prints it; a test compares README. Promises: whatever is listed exists, and nothing else does.
#pragma once

#include <string>
#include <vector>

#include "emu/session/options/option_table.hpp"

namespace forkscope {

// "forkscope record -o FILE [OPTION…]"
std::string usage_line(const CommandRow& row);
// Of the program, and of the commands that begin with these words: "trace" has three. Any other word: the program's.
std::string help_text(const std::string& words = "");
// Of a word that the command, or without one the program, does not know: what it is, and what was meant.
std::string unknown_word(const std::string& word, const CommandRow* command);
// "record needs -o FILE, the trace file": the first operand or option that is missing.
std::string missing_option(const Options& options, const CommandRow& command);

// README's tables, and its line on QEMU's spellings.
std::string commands_markdown();
std::string options_markdown();
std::string qemu_markdown();

} // namespace forkscope
