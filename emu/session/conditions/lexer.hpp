// Owns: the words of a condition's text.
// Callers: the parser. Promises: any bytes give words and an end; each word knows its place.
#pragma once

#include <string_view>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

enum class TokenKind : u8 {
    Name,   // also "fork.c:88", "sh:main", "stop:2b", "$eax"
    Number, // begins with a digit; need not be one
    Text,   // between double quotes, which are part of it
    Sign,   // an operator, a bracket, a comma, a full stop
    Unknown,
    End,
};

struct Token {
    TokenKind kind = TokenKind::End;
    std::string_view text;
    u32 begin = 0;

    u32 end() const { return begin + static_cast<u32>(text.size()); }
    bool is(std::string_view sign) const { return kind == TokenKind::Sign && text == sign; }
};

// The last one is the End.
std::vector<Token> tokens_of(std::string_view text);

} // namespace forkscope
