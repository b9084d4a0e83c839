// Owns: json_fault(), a strict judge of JSON text (RFC 8259), written apart from the writer.
// Callers: tests of reports. Promises: "" for one well-formed value, else what is wrong and where.
#pragma once

#include <string>
#include <string_view>

namespace forkscope::testing {

class JsonJudge {
  public:
    explicit JsonJudge(std::string_view text) : text_(text) {}

    std::string fault() {
        value();
        blanks();
        if (fault_.empty() && at_ != text_.size())
            fail("something behind the value");
        return fault_;
    }

  private:
    void fail(const std::string& what) {
        if (fault_.empty())
            fault_ = what + " at byte " + std::to_string(at_) + ": " + std::string(text_.substr(at_, 40));
        at_ = text_.size();
    }
    char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void blanks() {
        while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
            ++at_;
    }
    bool take(char wanted) {
        blanks();
        if (at_ >= text_.size() || text_[at_] != wanted)
            return false;
        ++at_;
        return true;
    }
    bool word(std::string_view wanted) {
        if (text_.substr(at_, wanted.size()) != wanted)
            return false;
        at_ += wanted.size();
        return true;
    }

    void value() {
        blanks();
        if (take('{'))
            members('}', true);
        else if (take('['))
            members(']', false);
        else if (next() == '"')
            string();
        else if (!word("true") && !word("false") && !word("null"))
            number();
    }
    void members(char end, bool named) {
        if (take(end))
            return;
        do {
            blanks();
            if (named) {
                string();
                if (fault_.empty() && !take(':'))
                    fail("no ':' behind a key");
            }
            if (fault_.empty())
                value();
        } while (fault_.empty() && take(','));
        if (fault_.empty() && !take(end))
            fail(std::string("no '") + end + "'");
    }
    void string() {
        if (!take('"'))
            return fail("no text");
        while (at_ < text_.size() && text_[at_] != '"') {
            if (static_cast<unsigned char>(text_[at_]) < 0x20)
                return fail("a control character in a text");
            if (text_[at_] == '\\') {
                ++at_;
                const bool wide = next() == 'u';
                const bool known = std::string_view("\"\\/bfnrtu").find(next()) != std::string_view::npos;
                const std::size_t digits =
                    wide ? text_.substr(at_ + 1, 4).find_first_not_of("0123456789abcdefABCDEF") : std::string::npos;
                if (!known || at_ >= text_.size() || digits != std::string::npos)
                    return fail("an escape that does not exist");
            }
            ++at_;
        }
        if (!take('"'))
            fail("a text without an end");
    }
    void digits() {
        const std::size_t start = at_;
        while (next() >= '0' && next() <= '9')
            ++at_;
        if (at_ == start)
            fail("no value");
    }
    void number() {
        word("-");
        if (!word("0"))
            digits();
        if (fault_.empty() && word("."))
            digits();
        if (fault_.empty() && (word("e") || word("E"))) {
            if (!word("+"))
                word("-");
            digits();
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string fault_;
};

inline std::string json_fault(std::string_view text) { return JsonJudge(text).fault(); }

} // namespace forkscope::testing
