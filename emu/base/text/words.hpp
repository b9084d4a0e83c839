// Owns: how lines that people type fall into words, and paths into names. Callers: the stepper's commands, symbols,
// views. Promises: pure; any text gets an answer.
#pragma once

#include <string_view>
#include <utility>

namespace forkscope {

// Without blanks around it.
std::string_view trimmed(std::string_view text);
// The first word, and what follows.
std::pair<std::string_view, std::string_view> first_word(std::string_view text);
// What follows a path's last slash.
std::string_view base_name(std::string_view path);

} // namespace forkscope
