// Owns: what the names in a condition mean: registers, functions, lines, programs; and what a misspelt one may have
// meant. Callers: the parser. Promises: looks only; a name that means nothing is answered with a guess.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/session/conditions/expression.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// The row in register_rows(), with or without a debugger's "$" or "%".
std::optional<u32> register_named(std::string_view name);

// "fork_process", "fork.c:88", "sh:main", "sh:sh.c:12".
struct CodeName {
    explicit CodeName(std::string_view name);

    std::string_view program; // empty: the kernel
    std::string_view symbol;  // of the file, if `line` is not 0
    u32 line = 0;
};

// Where code of that name is executed; no addresses: nowhere.
CodePlaces places_named(std::string_view name, const Symbolizer& symbols);
// The address of a function or of data.
std::optional<u32> address_named(std::string_view name, const Symbolizer& symbols);
// "; did you mean …?", or a program that has it; else empty. `words`: of the language.
std::string hint_for(std::string_view name, std::vector<std::string> words, const Symbolizer& symbols);

} // namespace forkscope
