// Owns: what may reach a terminal of text that a guest or a file wrote: names, headers, symbols, paths, command lines.
// Callers: whoever prints such text, for people. Promises: no byte of the result steers a terminal.
#pragma once

#include <string>
#include <string_view>

namespace forkscope {

// Control characters, DEL, the C1 controls of UTF-8 and bytes that are no UTF-8 become \x1b; all else stays. One line:
// line feeds and tabs become \x0a and \x09, too.
std::string printable(std::string_view text);
std::string printable_line(std::string_view text);

// Of the well-formed UTF-8 character that stands at `at`; 0: none does.
std::size_t utf8_length(std::string_view text, std::size_t at);
// Whether a terminal does something at this character, rather than show it.
bool steers_terminal(std::string_view character);

} // namespace forkscope
