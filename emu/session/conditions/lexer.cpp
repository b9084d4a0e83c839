#include "emu/session/conditions/lexer.hpp"

#include <algorithm>

namespace forkscope {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool begins_name(char c) { return is_letter(c) || c == '$' || c == '%'; }
// Paths of programs and files, and what compilers put into names ("f.constprop.0").
bool continues_name(char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '/' || c == '@'; }

template <class Belongs> std::size_t length_while(std::string_view text, std::size_t from, Belongs belongs) {
    const auto begin = text.begin() + static_cast<std::ptrdiff_t>(from);
    return static_cast<std::size_t>(std::find_if_not(begin, text.end(), belongs) - begin);
}

std::size_t name_length(std::string_view text) {
    std::size_t length = 1 + length_while(text, 1, continues_name);
    while (length + 1 < text.size() && text[length] == ':' && continues_name(text[length + 1]))
        length += 1 + length_while(text, length + 1, continues_name);
    return length;
}

std::size_t text_length(std::string_view text) {
    std::size_t length = 1;
    while (length < text.size() && text[length] != '"')
        length += text[length] == '\\' ? 2 : 1;
    return std::min(length + 1, text.size());
}

std::size_t sign_length(std::string_view text) {
    constexpr std::string_view kTwo[] = {"==", "!=", "<=", ">=", "&&", "||", "<<", ">>"};
    for (const std::string_view sign : kTwo)
        if (text.starts_with(sign))
            return 2;
    return std::string_view("<>!+-*&|^~(),.").find(text[0]) != std::string_view::npos ? 1 : 0;
}

// A wrong character of several bytes is one word.
std::size_t unknown_length(std::string_view text) {
    return 1 + length_while(text, 1, [](char c) { return (c & 0xC0) == 0x80; });
}

Token token_at(std::string_view rest) {
    const char c = rest[0];
    if (begins_name(c))
        return {TokenKind::Name, rest.substr(0, name_length(rest)), 0};
    if (is_digit(c))
        return {TokenKind::Number,
                rest.substr(0, length_while(rest, 0, [](char d) { return is_digit(d) || is_letter(d); })), 0};
    if (c == '"')
        return {TokenKind::Text, rest.substr(0, text_length(rest)), 0};
    if (const std::size_t sign = sign_length(rest); sign != 0)
        return {TokenKind::Sign, rest.substr(0, sign), 0};
    return {TokenKind::Unknown, rest.substr(0, unknown_length(rest)), 0};
}

} // namespace

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    for (std::size_t at = 0;;) {
        at += length_while(text, at, [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; });
        if (at >= text.size())
            break;
        Token token = token_at(text.substr(at));
        token.begin = static_cast<u32>(at);
        at = token.end();
        tokens.push_back(token);
    }
    tokens.push_back({TokenKind::End, {}, static_cast<u32>(text.size())});
    return tokens;
}

} // namespace forkscope
