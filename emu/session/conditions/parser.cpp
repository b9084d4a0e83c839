// From text to Expression: C's operators with C's precedence, upon the words of this language.
#include <algorithm>
#include <charconv>
#include <optional>

#include "emu/base/log.hpp"
#include "emu/base/text/nearest.hpp"
#include "emu/base/text/printable.hpp"
#include "emu/session/conditions/condition.hpp"
#include "emu/session/conditions/evaluation/value.hpp"
#include "emu/session/conditions/lexer.hpp"
#include "emu/session/conditions/names.hpp"
#include "emu/session/conditions/vocabulary.hpp"
#include "emu/session/options/options.hpp"
#include "emu/trace/tracepoints.hpp"

namespace forkscope {

namespace {

std::optional<u64> number_of(std::string_view text, int base) {
    if (base == 0) {
        const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
        base = hexadecimal ? 16 : 10;
        text.remove_prefix(hexadecimal ? 2 : 0);
    } else if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
    }
    u64 number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// The text around the place, and a caret below it.
std::string marked(std::string_view text, u32 place) {
    constexpr std::size_t kBefore = 50, kAfter = 50;
    const std::size_t from = place > kBefore ? place - kBefore : 0;
    const std::string before = printable_line(text.substr(from, place - from));
    const std::string after = printable_line(text.substr(place, kAfter));
    const auto width = std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
    return fmt::format("\n  {}{}\n  {}^", before, after, std::string(static_cast<std::size_t>(width), ' '));
}

class Parser {
  public:
    Parser(std::string_view text, const Symbolizer& symbols) : symbols_(symbols) {
        expression_.text = text;
        if (text.size() <= Expression::kMostText)
            tokens_ = tokens_of(expression_.text);
    }

    Result<Expression> parse() {
        if (expression_.text.size() > Expression::kMostText)
            return Error{fmt::format("'{}…' is longer than the {} characters that a condition may have",
                                     printable_line(expression_.text.substr(0, 40)), Expression::kMostText),
                         ExitCode::Usage};
        expression_.root = whole_text();
        if (expression_.root == kNoNode && !trouble_) {
            expression_.root = as_truth(binary(1));
            if (!trouble_ && peek().kind != TokenKind::End)
                fail(peek(), peek().kind == TokenKind::Unknown
                                 ? unknown(peek())
                                 : fmt::format("{} stands behind what is a whole condition", named(peek())));
        }
        if (trouble_)
            return Error{*trouble_, ExitCode::Usage};
        return std::move(expression_);
    }

  private:
    // --- Trouble: the first is told.

    u32 fail(u32 place, const std::string& why) {
        if (!trouble_)
            trouble_ = condition_error(expression_.text, place, why).message;
        return kNoNode;
    }
    u32 fail(const Token& token, const std::string& why) { return fail(token.begin, why); }
    static std::string named(const Token& token) {
        return token.kind == TokenKind::End ? "the end" : fmt::format("'{}'", printable_line(token.text.substr(0, 40)));
    }

    static std::string unknown(const Token& token) {
        return fmt::format("{} is no part of a condition{}", named(token),
                           token.text == "=" ? "; did you mean ==?" : "");
    }

    // --- Words

    const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
    const Token& take() {
        const Token& token = peek();
        at_ += at_ + 1 < tokens_.size() ? 1 : 0;
        end_ = token.end();
        return token;
    }
    bool accept(std::string_view sign) {
        if (!peek().is(sign))
            return false;
        take();
        return true;
    }
    bool expect(std::string_view sign) {
        if (trouble_ || accept(sign))
            return !trouble_;
        fail(peek(), fmt::format("'{}' is missing here", sign));
        return false;
    }

    // --- Nodes

    u32 add(Node node) {
        if (trouble_)
            return kNoNode;
        if (expression_.nodes.size() >= Expression::kMostNodes)
            return fail(node.begin, fmt::format("there is more than the {} parts that a condition may have",
                                                Expression::kMostNodes));
        node.end = std::max(node.end, end_);
        node.rank = rank_of(node);
        expression_.nodes.push_back(node);
        return static_cast<u32>(expression_.nodes.size() - 1);
    }
    Rank rank_of(const Node& node) const {
        const auto of = [this](u32 child) { return child == kNoNode ? Rank::State : expression_.at(child).rank; };
        if (is_occurrence(node.kind) || node.kind == NodeKind::Count)
            return Rank::Occurrence;
        if (node.kind == NodeKind::Changes)
            return Rank::Change;
        if (node.kind == NodeKind::Not)
            return Rank::State;
        return node.kind == NodeKind::Or ? std::min(of(node.left), of(node.right))
                                         : std::max(of(node.left), of(node.right));
    }
    static Node node_at(NodeKind kind, u32 begin) {
        Node node;
        node.kind = kind;
        node.begin = begin;
        return node;
    }
    u32 number(u64 value, u32 begin) {
        Node node = node_at(NodeKind::Number, begin);
        node.number = value;
        node.constant = true;
        return add(node);
    }
    u32 place(CodePlaces places, u32 begin) {
        Node node = node_at(NodeKind::Place, begin);
        node.number = expression_.places.size();
        expression_.places.push_back(std::move(places));
        return add(node);
    }
    u32 text_node(NodeKind kind, std::string text, u32 begin) {
        Node node = node_at(kind, begin);
        node.number = expression_.texts.size();
        expression_.texts.push_back(std::move(text));
        return add(node);
    }
    u32 tracepoint_node(NodeKind kind, const TracepointInfo& info, u32 begin) {
        Node node = node_at(kind, begin);
        node.number = info.id;
        return add(node);
    }

    // A place in code means: it is next. Anything else: it is not zero.
    u32 as_truth(u32 number_of_node) {
        if (number_of_node == kNoNode || !expression_.at(number_of_node).constant)
            return number_of_node;
        const Node node = expression_.at(number_of_node);
        CodePlaces places;
        if (node.places != kNoNode)
            places = places_named(expression_.texts[node.places], symbols_);
        if (places.addresses.empty() && node.number > 0xFFFFFFFF)
            return fail(node.begin, "this is no 32-bit address");
        if (places.addresses.empty())
            places.addresses = {static_cast<u32>(node.number)};
        end_ = node.end;
        return place(std::move(places), node.begin);
    }

    // An operand that a value is asked of.
    u32 as_value(u32 number_of_node) {
        if (number_of_node == kNoNode)
            return kNoNode;
        const Node& node = expression_.at(number_of_node);
        if (!is_value(node.kind) && node.rank != Rank::State)
            return fail(node.begin,
                        fmt::format("'{}' happens or does not: it has no value to compare or to reckon with",
                                    printable_line(expression_.text_of(node).substr(0, 40))));
        return number_of_node;
    }

    // --- Grammar

    u32 binary(u8 least) {
        u32 left = unary();
        for (;;) {
            const Token& sign = peek();
            const auto* op = std::find_if(std::begin(kOperators), std::end(kOperators),
                                          [&](const OperatorWord& one) { return sign.is(one.sign); });
            if (trouble_ || op == std::end(kOperators) || op->precedence < least)
                return left;
            if (op->kind == NodeKind::Equal && is_any_stop(left)) {
                left = numbered_stop(left);
                continue;
            }
            take();
            const u32 right = binary(static_cast<u8>(op->precedence + 1));
            left = combine(op->kind, left, right);
        }
    }

    u32 combine(NodeKind kind, u32 left, u32 right) {
        const bool logical = kind == NodeKind::And || kind == NodeKind::Or;
        left = logical ? as_truth(left) : as_value(left);
        right = logical ? as_truth(right) : as_value(right);
        if (left == kNoNode || right == kNoNode)
            return kNoNode;
        const Node& a = expression_.at(left);
        const Node& b = expression_.at(right);
        const u32 begin = a.begin;
        const auto compares = [](const Node& node) { return is_comparison(node.kind) && !node.bracketed; };
        const bool bits = kind == NodeKind::BitAnd || kind == NodeKind::BitOr || kind == NodeKind::BitXor;
        if (bits && (compares(a) || compares(b)))
            return fail(compares(b) ? b.begin : begin, "C would compare this first; say with brackets what is meant");
        if (a.constant && b.constant && is_value(kind))
            return number(apply(kind, Value::constant(a.number), Value::constant(b.number)).bits, begin);
        Node node = node_at(kind, begin);
        node.left = left;
        node.right = right;
        return add(node);
    }

    u32 unary() {
        const Token sign = peek();
        const bool negates = sign.is("-"), inverts = sign.is("~"), denies = sign.is("!");
        if (!negates && !inverts && !denies)
            return postfix(primary());
        if (++depth_ > Expression::kMostDepth)
            return fail(sign, "this is nested too deeply");
        take();
        u32 operand = unary();
        --depth_;
        operand = denies ? as_truth(operand) : as_value(operand);
        if (operand == kNoNode)
            return kNoNode;
        const NodeKind kind = denies ? NodeKind::Not : negates ? NodeKind::Negate : NodeKind::Invert;
        if (const Node& of = expression_.at(operand); of.constant)
            return number(apply(kind, Value::constant(of.number)).bits, sign.begin);
        Node node = node_at(kind, sign.begin);
        node.left = operand;
        return add(node);
    }

    u32 postfix(u32 operand) {
        while (!trouble_ && operand != kNoNode && peek().kind == TokenKind::Name && peek().text == "changes") {
            operand = as_value(operand);
            if (operand == kNoNode)
                return kNoNode;
            const Node& of = expression_.at(operand);
            if (of.constant || of.rank != Rank::State)
                return fail(of.begin, "this never changes by what a machine does");
            take();
            Node node = node_at(NodeKind::Changes, expression_.at(operand).begin);
            node.left = operand;
            operand = add(node);
        }
        return operand;
    }

    u32 primary() {
        const Token token = peek();
        if (token.is("("))
            return bracket();
        switch (token.kind) {
        case TokenKind::Number: {
            take();
            const auto value = number_of(token.text, 0);
            return value ? number(*value, token.begin)
                         : fail(token, fmt::format("{} is no number; write 1234 or 0x4d2", named(token)));
        }
        case TokenKind::Name:
            take();
            return peek().is("(") ? call(token) : name(token);
        case TokenKind::Text:
            return fail(token, "a text stands alone; write serial(\"TEXT\") or screen(\"TEXT\")");
        case TokenKind::Unknown:
            return fail(token, unknown(token));
        default:
            return fail(token, fmt::format("a value or an event is missing before {}", named(token)));
        }
    }

    u32 bracket() {
        const Token open = take();
        if (++depth_ > Expression::kMostDepth)
            return fail(open, "this is nested too deeply");
        const u32 inner = binary(1);
        --depth_;
        if (!expect(")"))
            return kNoNode;
        expression_.nodes[inner].bracketed = true;
        expression_.nodes[inner].begin = open.begin;
        expression_.nodes[inner].end = end_;
        return inner;
    }

    // A word without arguments.
    u32 name(const Token& token) {
        if (const std::size_t colon = token.text.find(':'); colon != std::string_view::npos) {
            const std::string_view prefix = token.text.substr(0, colon);
            if (std::find(std::begin(kPrefixes), std::end(kPrefixes), prefix) != std::end(kPrefixes))
                return prefixed(token, prefix, token.text.substr(colon + 1));
        }
        if (const FunctionWord* function = row_named(kFunctions, token.text); function != nullptr) {
            if (function->least == 0)
                return add(node_at(function->kind, token.begin));
            return fail(token, fmt::format("{} needs {} in brackets", token.text,
                                           function->least == 1 ? "what it is asked about" : "an address and a size"));
        }
        if (const auto row = register_named(token.text)) {
            Node node = node_at(NodeKind::Register, token.begin);
            node.number = *row;
            return add(node);
        }
        return symbol(token, token.text);
    }

    bool has_names() const { return !symbols_.images_for(0).empty(); }

    u32 symbol(const Token& token, std::string_view name) {
        const auto address = address_named(name, symbols_);
        if (!address) {
            std::vector<std::string> words;
            for (const FunctionWord& function : kFunctions)
                words.emplace_back(function.name);
            const bool program = !CodeName(name).program.empty() || CodeName(name).line != 0;
            return fail(token, fmt::format("'{}' is {}{}", printable_line(name.substr(0, 80)),
                                           program       ? "no function or line that is known"
                                           : has_names() ? "neither a word of conditions nor a symbol of the kernel"
                                                         : "no word of conditions, and no names of the guest are known",
                                           hint_for(name, std::move(words), symbols_)));
        }
        const u32 made = number(*address, token.begin);
        if (made != kNoNode) {
            expression_.nodes[made].places = static_cast<u32>(expression_.texts.size());
            expression_.texts.emplace_back(name);
        }
        return made;
    }

    // The forms with a colon. `serial:` and `screen:` take the rest of the text, so they are whole conditions.
    u32 prefixed(const Token& token, std::string_view prefix, std::string_view rest) {
        if (prefix == "symbol")
            return symbol(token, rest);
        if (prefix == "address") {
            const auto address = number_of(rest, 16);
            return address && *address <= 0xFFFFFFFF ? number(*address, token.begin)
                                                     : fail(token, fmt::format("'{}' is no 32-bit hexadecimal address",
                                                                               printable_line(rest.substr(0, 40))));
        }
        if (prefix == "tracepoint")
            return tracepoint_named_by(token, rest);
        if (prefix == "stop" || prefix == "phase") // phase: in older scripts
            return stop_numbered(token, rest);
        return fail(token, fmt::format("{0}:TEXT is a whole condition; within one write {0}(\"TEXT\")", prefix));
    }

    u32 tracepoint_named_by(const Token& token, std::string_view name) {
        if (const TracepointInfo* info = tracepoint_named(name); info != nullptr)
            return tracepoint_node(NodeKind::Tracepoint, *info, token.begin);
        std::vector<std::string> names;
        for (const TracepointInfo& one : tracepoints())
            names.emplace_back(one.name());
        const std::string meant = name.size() <= 64 ? nearest(std::string(name), names) : "";
        return fail(token, fmt::format("no tracepoint is called '{}'{}", printable_line(name.substr(0, 40)),
                                       meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
    }

    u32 stop_numbered(const Token& token, std::string_view number) {
        if (const TracepointInfo* info = fork_stop_numbered(number); info != nullptr)
            return tracepoint_node(NodeKind::ForkStop, *info, token.begin);
        return fail(token, fmt::format("fork has no stop '{}'; write stop:N (N = {})",
                                       printable_line(number.substr(0, 40)), fork_stop_numbers()));
    }

    bool is_any_stop(u32 node) const { return node != kNoNode && expression_.at(node).kind == NodeKind::AnyStop; }

    // stop == 2b: what follows is a stop's number, not a value.
    u32 numbered_stop(u32 any) {
        const Token stop = {TokenKind::Name, "stop", expression_.at(any).begin};
        take();
        const Token number = take();
        end_ = number.end();
        if (any + 1 == expression_.nodes.size())
            expression_.nodes.pop_back(); // it has become part of what follows
        const u32 made = stop_numbered(number, number.text);
        if (made != kNoNode)
            expression_.nodes[made].begin = stop.begin;
        return made;
    }

    // A word with arguments.
    u32 call(const Token& token) {
        const FunctionWord* function = row_named(kFunctions, token.text);
        if (function == nullptr) {
            std::vector<std::string> words;
            for (const FunctionWord& one : kFunctions)
                words.emplace_back(one.name);
            const std::string meant = token.text.size() <= 64 ? nearest(std::string(token.text), words) : "";
            return fail(token, fmt::format("{} takes nothing in brackets{}", named(token),
                                           meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
        }
        if (++depth_ > Expression::kMostDepth)
            return fail(token, "this is nested too deeply");
        take();
        const u32 made = arguments(token, *function);
        --depth_;
        return made;
    }

    u32 arguments(const Token& token, const FunctionWord& function) {
        if (function.kind == NodeKind::Tracepoint || function.kind == NodeKind::SerialText ||
            function.kind == NodeKind::ScreenText)
            return worded(token, function.kind);
        Node node = node_at(function.kind, token.begin);
        node.size = function.size;
        node.level = function.level;
        u32 given = 0;
        u32 operands[2] = {kNoNode, kNoNode};
        while (given < function.most && !peek().is(")")) {
            if (given != 0 && !expect(","))
                return kNoNode;
            const u32 operand = binary(1);
            operands[given++] = function.kind == NodeKind::Count ? as_truth(operand) : as_value(operand);
            if (trouble_)
                return kNoNode;
        }
        if (given < function.least)
            return fail(peek(), fmt::format("{} needs {}", function.name,
                                            function.least == 1 ? "a value here" : "an address and a size"));
        if (!expect(")"))
            return kNoNode;
        node.left = operands[0];
        node.right = operands[1];
        if (function.kind == NodeKind::Writes && !range_of(node))
            return kNoNode;
        if (function.kind == NodeKind::Entry && !field_of(node))
            return kNoNode;
        return add(node);
    }

    // tracepoint(NAME), serial("TEXT"), screen("TEXT")
    u32 worded(const Token& token, NodeKind kind) {
        const bool quoted = kind != NodeKind::Tracepoint;
        const Token word = peek();
        if (word.kind != (quoted ? TokenKind::Text : TokenKind::Name))
            return fail(word, quoted ? "a text between double quotes is missing here"
                                     : "a tracepoint's name is missing here");
        take();
        if (quoted && (word.text.size() < 3 || word.text.back() != '"'))
            return fail(word, word.text.size() == 2 ? "this text is empty" : "this text has no end");
        if (!expect(")"))
            return kNoNode;
        if (!quoted)
            return tracepoint_named_by({word.kind, word.text, word.begin}, word.text);
        return text_node(kind, unescape(std::string(word.text.substr(1, word.text.size() - 2))), token.begin);
    }

    static constexpr u64 kMostMemory = u64{1} << 36;
    // What `writes` watches has to be known beforehand.
    bool range_of(Node& node) {
        for (const u32 operand : {node.left, node.right})
            if (!expression_.at(operand).constant)
                return fail(expression_.at(operand).begin, "`writes` needs numbers here, known beforehand") != kNoNode;
        node.number = expression_.at(node.left).number;
        if (node.number >= kMostMemory)
            return fail(expression_.at(node.left).begin, "this is beyond physical memory") != kNoNode;
        const u64 size = expression_.at(node.right).number;
        if (size == 0 || size > Expression::kMostWatched)
            return fail(expression_.at(node.right).begin,
                        fmt::format("`writes` watches 1 to {} bytes", Expression::kMostWatched)) != kNoNode;
        node.size = static_cast<u32>(size);
        node.left = node.right = kNoNode;
        return true;
    }

    bool field_of(Node& node) {
        if (!accept("."))
            return true;
        const Token word = take();
        const FieldWord* field = row_named(kFields, word.text);
        if (field == nullptr)
            return fail(word, fmt::format("an entry has no field {}; write .p .w .u .a .d .g .ps .frame or .value",
                                          named(word))) != kNoNode;
        node.field = field->field;
        return true;
    }

    // What people wrote before there were expressions, where only the whole text can tell.
    u32 whole_text() {
        const std::string& text = expression_.text;
        const std::size_t colon = text.find(':');
        const std::string word = text.substr(0, colon);
        if (colon == std::string::npos || colon + 1 == text.size())
            return kNoNode;
        const std::string rest = text.substr(colon + 1);
        end_ = static_cast<u32>(text.size());
        if (word == "serial")
            return text_node(NodeKind::SerialText, unescape(rest), 0);
        if (word == "screen")
            return text_node(NodeKind::ScreenText, unescape(rest), 0);
        if (word != "symbol")
            return kNoNode;
        CodePlaces places = places_named(rest, symbols_); // whatever characters the name has
        return places.addresses.empty() ? kNoNode : place(std::move(places), 0);
    }

    const Symbolizer& symbols_;
    Expression expression_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    u32 end_ = 0; // of the last token taken
    u32 depth_ = 0;
    std::optional<std::string> trouble_;
};

} // namespace

Error condition_error(std::string_view text, u32 place, const std::string& why) {
    return Error{why + marked(text, place) + "\nsee `forkscope help conditions`", ExitCode::Usage};
}

Result<Expression> parse_expression(std::string_view text, const Symbolizer& symbols) {
    return Parser(text, symbols).parse();
}

} // namespace forkscope
