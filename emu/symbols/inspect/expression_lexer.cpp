#include "emu/symbols/inspect/expression_lexer.hpp"

#include <array>

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kLongest = 4096;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

int digit_value(char c) {
    const char lower = static_cast<char>(c | 0x20);
    return is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

} // namespace

ExpressionLexer::ExpressionLexer(std::string_view text) : text_(text.substr(0, kLongest)) { skip_blanks(); }

void ExpressionLexer::skip_blanks() {
    while (place_ < text_.size() && (text_[place_] == ' ' || text_[place_] == '\t'))
        ++place_;
}

std::string_view ExpressionLexer::peek_operator() const {
    static constexpr std::array<std::string_view, 9> kLong{"->", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>"};
    const std::string_view rest = text_.substr(place_);
    for (const std::string_view operation : kLong)
        if (rest.starts_with(operation))
            return rest.substr(0, 2);
    static constexpr std::string_view kShort = "+-*/%&|^~!<>()[].,@$";
    return rest.empty() || kShort.find(rest[0]) == std::string_view::npos ? std::string_view() : rest.substr(0, 1);
}

bool ExpressionLexer::take(std::string_view operation) {
    if (operation.empty() || peek_operator() != operation)
        return false;
    place_ += operation.size();
    skip_blanks();
    return true;
}

std::string_view ExpressionLexer::name_here() const {
    std::size_t end = place_;
    while (end < text_.size() && (begins_name(text_[end]) || (end != place_ && is_digit(text_[end]))))
        ++end;
    return text_.substr(place_, end - place_);
}

bool ExpressionLexer::take_word(std::string_view word) { return name_here() == word && !take_name().empty(); }

std::string_view ExpressionLexer::take_name() {
    const std::string_view name = name_here();
    place_ += name.size();
    skip_blanks();
    return name;
}

std::optional<ExpressionLiteral> ExpressionLexer::take_literal() {
    if (at_end() || (!is_digit(text_[place_]) && text_[place_] != '\''))
        return std::nullopt;
    ExpressionLiteral literal;
    if (text_[place_] == '\'') {
        literal = character();
        skip_blanks();
        return literal;
    }
    const bool hexadecimal = text_.substr(place_).starts_with("0x") || text_.substr(place_).starts_with("0X");
    const u64 base = hexadecimal ? 16 : text_[place_] == '0' ? 8 : 10;
    place_ += hexadecimal ? 2 : 0;
    const std::size_t start = place_;
    bool too_large = false;
    for (; place_ < text_.size() && static_cast<u64>(digit_value(text_[place_])) < base; ++place_) {
        too_large = too_large || literal.value > (~u64{0} - 15) / base;
        literal.value = literal.value * base + static_cast<u64>(digit_value(text_[place_]));
    }
    if (place_ == start)
        literal.error = "digits are missing";
    for (; place_ < text_.size() && (begins_name(text_[place_]) || is_digit(text_[place_])); ++place_) {
        const char lower = static_cast<char>(text_[place_] | 0x20);
        if (lower == 'u')
            literal.no_sign = true;
        else if (lower != 'l')
            literal.error = fmt::format("'{}' is no digit of this number", text_[place_]);
    }
    if (too_large)
        literal.error = "the number is too large";
    literal.wide = literal.value > 0xFFFFFFFF || (literal.value > 0x7FFFFFFF && base == 10 && !literal.no_sign);
    literal.no_sign = literal.no_sign || (!literal.wide && literal.value > 0x7FFFFFFF) || literal.value >> 63 != 0;
    skip_blanks();
    return literal;
}

ExpressionLiteral ExpressionLexer::character() {
    ExpressionLiteral literal;
    literal.character = true;
    const std::string_view rest = text_.substr(place_ + 1);
    static constexpr std::string_view kEscapes = "ntr0\\'";
    static constexpr std::string_view kMeanings("\n\t\r\0\\'", 6);
    std::size_t length = 1;
    char value = rest.empty() ? '\'' : rest[0];
    literal.error = value == '\'' ? "a character is missing" : "";
    if (value == '\\' && rest.size() > 1) {
        const std::size_t known = kEscapes.find(rest[1]);
        length = 2;
        if (known == std::string_view::npos)
            literal.error = "there is no such character";
        else
            value = kMeanings[known];
    }
    if (literal.error.empty() && (rest.size() <= length || rest[length] != '\''))
        literal.error = "the closing ' is missing";
    literal.value = static_cast<u8>(value);
    place_ = std::min(text_.size(), place_ + length + 2);
    return literal;
}

Error ExpressionLexer::error_at(std::size_t place, const std::string& message) const {
    // Of a long text only what is near the place.
    constexpr std::size_t kBefore = 60, kShown = 100;
    const std::size_t from = place > kBefore ? place - kBefore : 0;
    std::string shown = printable_line(text_.substr(from, kShown));
    const std::size_t mark = printable_line(text_.substr(from, place - from)).size();
    return Error{fmt::format("{}\n  {}\n  {}^", message, shown, std::string(mark, ' ')), ExitCode::Usage};
}

} // namespace forkscope
