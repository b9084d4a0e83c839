// Owns: ExpressionLexer, the words of an expression one by one; ExpressionLiteral, a number or a character in it.
// Callers: expression.cpp. Promises: any text is accepted; places are offsets in it, for the mark of an error.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

struct ExpressionLiteral {
    u64 value = 0;
    bool character = false;
    bool wide = false;    // needs, or asks for, 64 bits
    bool no_sign = false; // "u", or hexadecimal beyond int
    std::string error;    // what is wrong with it
};

class ExpressionLexer {
  public:
    explicit ExpressionLexer(std::string_view text);

    bool at_end() const { return place_ == text_.size(); }
    std::size_t place() const { return place_; }
    void go_back(std::size_t place) { place_ = place; }

    // The operator that stands here, as long as it can be; empty: none.
    std::string_view peek_operator() const;
    bool take(std::string_view operation);
    bool take_word(std::string_view word);
    std::string_view take_name();
    std::optional<ExpressionLiteral> take_literal();

    // The message, the text, and a mark under the place.
    Error error_at(std::size_t place, const std::string& message) const;

  private:
    std::string_view name_here() const;
    ExpressionLiteral character();
    void skip_blanks();

    std::string_view text_;
    std::size_t place_ = 0;
};

} // namespace forkscope
