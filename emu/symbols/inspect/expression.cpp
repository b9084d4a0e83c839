#include "emu/symbols/inspect/expression.hpp"

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"
#include "emu/symbols/inspect/expression_lexer.hpp"
#include "emu/symbols/inspect/linked_list.hpp"
#include "emu/symbols/inspect/type_names.hpp"

namespace forkscope {

namespace {

constexpr u32 kDeepest = 64;
constexpr u64 kMostElements = 1 << 16; // of p@N

constexpr std::array<std::string_view, FrameRegisters::Count> kRegisterNames{"eax", "ecx", "edx", "ebx", "esp",
                                                                             "ebp", "esi", "edi", "eip", "eflags"};

// Binary operators by how strongly they bind; the weakest first.
int strength(std::string_view operation) {
    static constexpr std::array<std::string_view, 10> kLevels{" || ",    " && ",        " | ",     " ^ ",   " & ",
                                                              " == != ", " < > <= >= ", " << >> ", " + - ", " * / % "};
    for (std::size_t i = 0; i < kLevels.size(); ++i)
        if (kLevels[i].find(fmt::format(" {} ", operation)) != std::string_view::npos)
            return static_cast<int>(i) + 1;
    return 0;
}

Error no_symbols() { return Error{"no symbols are loaded: give --symbols FILE", ExitCode::Usage}; }

class PrintEvaluator {
  public:
    PrintEvaluator(const CallStack& stack, const StackRow& row, std::string_view text)
        : stack_(stack), row_(row), memory_(stack.state().memory), lexer_(text) {
        const ElfImage* here = stack.frame_of(row).image;
        images_ = stack.symbols().images_for(stack.state().address_space, here);
        for (const ElfImage* image : images_)
            if (types_ == nullptr && !image->debug().empty())
                types_ = &image->debug().types();
        if (types_ == nullptr && !images_.empty())
            types_ = &images_.front()->debug().types();
    }

    Result<GuestValue> run() {
        if (types_ == nullptr)
            return no_symbols();
        GuestValue value = binary(1);
        if (!failed() && !lexer_.at_end())
            fail("an operator is missing, or this is too much");
        return failed() ? Result<GuestValue>(error()) : Result<GuestValue>(value);
    }

    Result<ValueNode> run_list(ValueReader& reader, u32 most) {
        if (types_ == nullptr)
            return no_symbols();
        lexer_.take_word("list");
        expect("(");
        const std::size_t head_place = lexer_.place();
        const GuestValue head = binary(1);
        expect(",");
        LinkedList list(memory_, reader, most);
        const Type* element = failed() ? nullptr : type_name();
        if (element != nullptr)
            expect(",");
        const std::size_t link_place = lexer_.place();
        const std::vector<std::string> link = member_path();
        expect(")");
        if (!failed() && !lexer_.at_end())
            fail("nothing may follow list(…)");
        const bool pointer = head.type().is(TypeKind::Pointer);
        const u32 start =
            pointer && !failed() ? static_cast<u32>(number_of(head, head_place)) : head.address().value_or(0);
        const Type* type = pointer ? head.type().plain().target : &head.type();
        if (!failed() && element == nullptr && (type == nullptr || !type->is_compound()))
            fail_at(head_place, fmt::format("{} points to no structure", head.type().text()));
        if (failed())
            return error();
        Result<ValueNode> node =
            element == nullptr ? list.follow(*type, start, link) : list.ring(*element, start, link);
        if (!node)
            fail_at(link_place, node.error().message);
        return failed() ? Result<ValueNode>(error()) : node;
    }

  private:
    bool failed() const { return !message_.empty(); }
    // The first trouble counts.
    void fail(std::string message) { fail_at(lexer_.place(), std::move(message)); }
    void fail_at(std::size_t place, std::string message) {
        if (failed() || quiet_ != 0)
            return;
        message_ = std::move(message);
        place_ = place;
    }
    Error error() const { return lexer_.error_at(place_, message_); }
    GuestValue nothing() const { return GuestValue::of_number(types_->integer(4, true), 0); }

    void expect(std::string_view what) {
        if (!failed() && !lexer_.take(what))
            fail(fmt::format("'{}' is missing", what));
    }

    i64 number_of(const GuestValue& value, std::size_t place) {
        const Type& type = value.type().plain();
        // An array or a function stands for its address.
        if (type.kind == TypeKind::Array || type.kind == TypeKind::Function)
            return value.address().value_or(0);
        if (!type.is_number() && type.kind != TypeKind::Pointer) {
            fail_at(place, fmt::format("{} is no number", value.type().text()));
            return 0;
        }
        const Result<i64> number = value.number(memory_);
        if (!number)
            fail_at(place, number.error().message);
        return number.ok() ? number.value() : 0;
    }

    // What a pointer points to, or an array's elements are; nullptr: it is neither.
    static const Type* pointed(const GuestValue& value) {
        const Type& type = value.type().plain();
        return type.kind == TypeKind::Pointer || type.kind == TypeKind::Array ? type.target : nullptr;
    }

    GuestValue binary(int level) {
        const std::size_t start = lexer_.place();
        GuestValue left = operand();
        while (!failed()) {
            const std::string operation(lexer_.peek_operator());
            const int binds = strength(operation);
            if (binds == 0 || binds < level)
                break;
            lexer_.take(operation);
            const bool logical = binds <= 2;
            const bool decided = logical && (number_of(left, start) != 0) == (operation == "||");
            quiet_ += decided;
            const std::size_t place = lexer_.place();
            if (++depth_ > kDeepest)
                fail("too deep");
            const GuestValue right = binary(binds + 1);
            --depth_;
            if (!failed())
                left = combine(operation, left, right, start, place);
            quiet_ -= decided;
        }
        return left;
    }

    GuestValue combine(const std::string& operation, const GuestValue& left, const GuestValue& right, std::size_t start,
                       std::size_t place) {
        const Type* a_points = pointed(left);
        const Type* b_points = pointed(right);
        if ((operation == "+" || operation == "-") && (a_points != nullptr || b_points != nullptr))
            return pointer_sum(operation, left, right, start, place);
        const i64 a = number_of(left, start);
        const i64 b = number_of(right, place);
        const auto as_int = [&](bool truth) { return GuestValue::of_number(types_->integer(4, true), truth); };
        if (operation == "&&")
            return as_int(a != 0 && b != 0);
        if (operation == "||")
            return as_int(a != 0 || b != 0);
        // As C converts: to int, or to the wider of the two, which is unsigned if it is there.
        const auto width = [](const GuestValue& value) {
            return std::max<u64>(value.type().plain().bytes(), 4) > 4 ? 8u : 4u;
        };
        const u32 bytes = std::max(width(left), width(right));
        const auto is_unsigned = [&](const GuestValue& value) {
            const Type& type = value.type().plain();
            const u64 size = type.kind == TypeKind::Array || type.kind == TypeKind::Function ? 4 : type.bytes();
            return !type.is_signed && size >= bytes;
        };
        const bool no_sign = is_unsigned(left) || is_unsigned(right);
        if (const std::optional<bool> truth = compare(operation, a, b, bytes, no_sign); truth)
            return as_int(*truth);
        return GuestValue::of_number(types_->integer(bytes, !no_sign),
                                     arithmetic(operation, a, b, bytes, no_sign, place));
    }

    static std::optional<bool> compare(const std::string& operation, i64 a, i64 b, u32 bytes, bool no_sign) {
        const u64 mask = bytes == 8 ? ~u64{0} : 0xFFFFFFFF;
        const u64 ua = static_cast<u64>(a) & mask;
        const u64 ub = static_cast<u64>(b) & mask;
        const int order = no_sign ? (ua < ub ? -1 : ua > ub) : (a < b ? -1 : a > b);
        if (operation == "==")
            return order == 0;
        if (operation == "!=")
            return order != 0;
        if (operation == "<")
            return order < 0;
        if (operation == ">")
            return order > 0;
        if (operation == "<=")
            return order <= 0;
        if (operation == ">=")
            return order >= 0;
        return std::nullopt;
    }

    u64 arithmetic(const std::string& operation, i64 a, i64 b, u32 bytes, bool no_sign, std::size_t place) {
        const u64 mask = bytes == 8 ? ~u64{0} : 0xFFFFFFFF;
        const u64 ua = static_cast<u64>(a) & mask;
        const u64 ub = static_cast<u64>(b) & mask;
        const bool divides = operation == "/" || operation == "%";
        if (divides && ub == 0) {
            fail_at(place, "division by zero");
            return 0;
        }
        if (divides && no_sign)
            return operation == "/" ? ua / ub : ua % ub;
        if (divides)
            return b == -1 ? (operation == "/" ? u64{0} - ua : 0) : static_cast<u64>(operation == "/" ? a / b : a % b);
        switch (operation[0]) {
        case '+':
            return ua + ub;
        case '-':
            return ua - ub;
        case '*':
            return ua * ub;
        case '&':
            return ua & ub;
        case '|':
            return ua | ub;
        case '^':
            return ua ^ ub;
        case '<':
            return ub < 8 * bytes ? ua << ub : 0;
        default:
            return ub >= 8 * bytes ? 0 : no_sign ? ua >> ub : static_cast<u64>(a >> ub);
        }
    }

    GuestValue pointer_sum(const std::string& operation, const GuestValue& left, const GuestValue& right,
                           std::size_t start, std::size_t place) {
        const Type* a = pointed(left);
        const Type* b = pointed(right);
        const Type& target = a != nullptr ? *a : *b;
        const i64 step = std::max<i64>(static_cast<i64>(target.bytes()), 1); // void: bytes, as GNU C
        const i64 x = number_of(left, start);
        const i64 y = number_of(right, place);
        if (a != nullptr && b != nullptr) {
            if (operation == "-")
                return GuestValue::of_number(types_->integer(4, true), static_cast<u64>((x - y) / step));
            fail_at(place, "two pointers cannot be added");
            return nothing();
        }
        if (a == nullptr && operation == "-") {
            fail_at(place, "a pointer cannot be taken from a number");
            return nothing();
        }
        const u64 offset = static_cast<u64>(a != nullptr ? y : x) * static_cast<u64>(step);
        const u64 base = static_cast<u64>(a != nullptr ? x : y);
        return GuestValue::of_number(types_->pointer_to(target), operation == "+" ? base + offset : base - offset);
    }

    GuestValue unary() {
        const std::size_t place = lexer_.place();
        if (failed())
            return nothing();
        if (++depth_ > kDeepest) {
            fail("too deep");
            return nothing();
        }
        const GuestValue value = unary_at(place);
        --depth_;
        return value;
    }

    // Elements side by side, as gdb has it: *p@3 is (*p)@3.
    GuestValue operand() {
        const std::size_t place = lexer_.place();
        const GuestValue value = unary();
        if (failed() || !lexer_.take("@"))
            return value;
        const std::size_t behind = lexer_.place();
        const i64 count = number_of(unary(), behind);
        if (!value.address())
            fail_at(place, "this is not in memory: @ has no place to start from");
        else if (count < 1 || static_cast<u64>(count) > kMostElements)
            fail_at(behind, fmt::format("1 to {} elements, not {}", kMostElements, count));
        return failed() ? value : value.as(types_->array_of(value.type(), static_cast<u64>(count)));
    }

    GuestValue unary_at(std::size_t place) {
        if (lexer_.take("*"))
            return dereference(unary(), place);
        if (lexer_.peek_operator() == "&" && lexer_.take("&"))
            return address_of(unary(), place);
        for (const std::string_view sign : {"-", "+", "!", "~"})
            if (lexer_.take(sign))
                return with_sign(sign[0], unary(), place);
        if (lexer_.take_word("sizeof"))
            return size_of();
        if (lexer_.peek_operator() == "(") {
            const std::size_t back = lexer_.place();
            lexer_.take("(");
            if (const Type* type = type_name(); type != nullptr) {
                expect(")");
                return cast(unary(), *type, place);
            }
            lexer_.go_back(back);
        }
        return postfix();
    }

    GuestValue with_sign(char sign, const GuestValue& value, std::size_t place) {
        const i64 number = number_of(value, place);
        if (sign == '!')
            return GuestValue::of_number(types_->integer(4, true), number == 0);
        const Type& plain = value.type().plain();
        const u32 bytes = plain.bytes() > 4 ? 8 : 4;
        const Type& type = types_->integer(bytes, plain.is_signed || plain.bytes() < bytes);
        const u64 bits = static_cast<u64>(number);
        return GuestValue::of_number(type, sign == '-' ? u64{0} - bits : sign == '~' ? ~bits : bits);
    }

    GuestValue dereference(const GuestValue& value, std::size_t place) {
        const Type* target = pointed(value);
        if (value.type().is(TypeKind::Function))
            return value;
        if (target == nullptr) {
            fail_at(place, fmt::format("{} is no pointer", value.type().text()));
            return nothing();
        }
        if (target->is(TypeKind::Void)) {
            fail_at(place, "a void pointer says not what it points to: cast it");
            return nothing();
        }
        return GuestValue::in_memory(*target, static_cast<u32>(number_of(value, place)));
    }

    GuestValue address_of(const GuestValue& value, std::size_t place) {
        if (failed())
            return nothing();
        if (!value.address() || value.bits() != 0) {
            fail_at(place,
                    value.bits() != 0 ? "a bit field has no address" : "this is not in memory: it has no address");
            return nothing();
        }
        return GuestValue::of_number(types_->pointer_to(value.type()), *value.address());
    }

    GuestValue cast(const GuestValue& value, const Type& type, std::size_t place) {
        const Type& plain = type.plain();
        if (failed())
            return nothing();
        if (plain.is_number() || plain.kind == TypeKind::Pointer) {
            i64 number = number_of(value, place);
            if (plain.kind == TypeKind::Boolean)
                number = number != 0;
            return GuestValue::of_number(type, static_cast<u64>(number));
        }
        // gdb, too, takes a structure's place for another.
        if (plain.is_compound() && value.address())
            return value.as(type);
        fail_at(place, fmt::format("this cannot be cast to {}", type.text()));
        return nothing();
    }

    GuestValue size_of() {
        const std::size_t back = lexer_.place();
        u64 size = 0;
        if (lexer_.take("(")) {
            if (const Type* type = type_name(); type != nullptr) {
                expect(")");
                size = type->bytes();
                return GuestValue::of_number(types_->integer(4, false), size);
            }
            lexer_.go_back(back);
        }
        return GuestValue::of_number(types_->integer(4, false), unary().type().bytes());
    }

    GuestValue postfix() {
        const std::size_t start = lexer_.place();
        GuestValue value = primary();
        while (!failed()) {
            if (lexer_.take("[")) {
                const std::size_t inside = lexer_.place();
                const GuestValue index = binary(1);
                expect("]");
                if (!failed())
                    value = element(value, number_of(index, inside), start);
            } else if (lexer_.take("->") || lexer_.take(".")) {
                value = member(value, start);
            } else {
                break;
            }
        }
        return value;
    }

    GuestValue element(const GuestValue& value, i64 index, std::size_t place) {
        const Type& type = value.type().plain();
        if (type.kind == TypeKind::Array && type.target != nullptr)
            return value.element(static_cast<u64>(index), *type.target);
        if (type.kind == TypeKind::Pointer && type.target != nullptr && !type.target->is(TypeKind::Void))
            return GuestValue::in_memory(*type.target, static_cast<u32>(number_of(value, place)))
                .element(static_cast<u64>(index), *type.target);
        fail_at(place, fmt::format("{} has no elements", value.type().text()));
        return nothing();
    }

    // Like gdb, takes . and -> for each other.
    GuestValue member(const GuestValue& of, std::size_t start) {
        const std::size_t name_place = lexer_.place();
        const std::string name(lexer_.take_name());
        if (name.empty()) {
            fail("a member's name is missing");
            return nothing();
        }
        GuestValue value = of;
        if (of.type().is(TypeKind::Pointer))
            value = dereference(of, start);
        if (failed())
            return nothing();
        if (std::optional<GuestValue> found = find_member(value, name); found)
            return *found;
        fail_at(value.type().is_compound() ? name_place : start, no_such_member(value.type(), name));
        return nothing();
    }

    GuestValue primary() {
        const std::size_t place = lexer_.place();
        if (lexer_.take("(")) {
            GuestValue value = binary(1);
            expect(")");
            return value;
        }
        if (lexer_.take("$"))
            return register_value(place);
        if (const std::optional<ExpressionLiteral> literal = lexer_.take_literal(); literal) {
            if (!literal->error.empty())
                fail_at(place, literal->error);
            if (literal->character)
                return GuestValue::of_number(types_->character(true), literal->value);
            return GuestValue::of_number(types_->integer(literal->wide ? 8 : 4, !literal->no_sign), literal->value);
        }
        const std::string name(lexer_.take_name());
        if (name.empty()) {
            fail(lexer_.at_end() ? "the expression is not complete" : "a name or a number is missing");
            return nothing();
        }
        return named(name, place);
    }

    GuestValue register_value(std::size_t place) {
        std::string name(lexer_.take_name());
        name = name == "pc" ? "eip" : name == "sp" ? "esp" : name == "fp" ? "ebp" : name;
        for (u32 i = 0; i < kRegisterNames.size(); ++i) {
            if (kRegisterNames[i] != name)
                continue;
            const std::optional<u32> value = stack_.frame_of(row_).registers[i];
            const bool points = i == FrameRegisters::Esp || i == FrameRegisters::Ebp;
            const Type& type = i == FrameRegisters::Eip ? types_->code_pointer()
                               : points                 ? types_->data_pointer()
                                                        : types_->integer(4, true);
            return value ? GuestValue::of_number(type, *value) : GuestValue::optimized_out(type);
        }
        fail_at(place, fmt::format("there is no register '{}'", name));
        return nothing();
    }

    GuestValue named(const std::string& name, std::size_t place) {
        if (std::optional<GuestValue> variable = stack_.variable(row_, name); variable)
            return *variable;
        for (const ElfImage* image : images_) {
            const DebugInfo& debug = image->debug();
            if (const u64 function = debug.function_named(name); function != 0) {
                const std::vector<AddressRange> ranges = debug.ranges_of(function);
                if (!ranges.empty())
                    return GuestValue::in_memory(debug.types().at(function), ranges.front().start);
            }
            if (const u64 offset = debug.enum_with(name); offset != 0) {
                const Type& type = debug.types().at(offset);
                for (const Enumerator& one : type.enumerators)
                    if (one.name == name)
                        return GuestValue::of_number(type, static_cast<u64>(one.value));
            }
        }
        // A bare symbol has no type: a word lies there, as far as anybody knows.
        for (const ElfImage* image : images_)
            if (const Symbol* symbol = image->symbol_named(name); symbol != nullptr)
                return GuestValue::in_memory(types_->integer(4, true), symbol->start);
        fail_at(place, fmt::format("there is no '{}' here", name));
        return nothing();
    }

    const Type* type_name() {
        const Result<const Type*> type = read_type_name(lexer_, images_, *types_, [this](const std::string& name) {
            return stack_.variable(row_, name).has_value();
        });
        if (!type)
            fail(type.error().message);
        return type.ok() ? type.value() : nullptr;
    }

    std::vector<std::string> member_path() {
        std::vector<std::string> path;
        do {
            path.emplace_back(lexer_.take_name());
            if (path.back().empty())
                fail("a member's name is missing");
        } while (!failed() && lexer_.take("."));
        return path;
    }

    const CallStack& stack_;
    const StackRow& row_;
    const PeekMemory& memory_;
    ExpressionLexer lexer_;
    std::vector<const ElfImage*> images_;
    Types* types_ = nullptr;
    u32 depth_ = 0;
    int quiet_ = 0; // behind && or || that is decided already
    std::string message_;
    std::size_t place_ = 0;
};

Error bad_format(std::string_view text) {
    return Error{fmt::format("formats are /x, /d, /o, /t and /c, not '{}'", printable_line(text))};
}

} // namespace

Result<GuestValue> evaluate(const CallStack& stack, const StackRow& row, std::string_view text) {
    return PrintEvaluator(stack, row, text).run();
}

Result<ValueNode> print(const CallStack& stack, const StackRow& row, std::string_view text, PrintLimits limits) {
    if (!text.empty() && text[0] == '/') {
        const std::size_t space = std::min(text.find(' '), text.size());
        static constexpr std::string_view kLetters = "xdotc";
        static constexpr std::array kRadices{Radix::Hexadecimal, Radix::Decimal, Radix::Octal, Radix::Binary,
                                             Radix::Character};
        const std::size_t letter = space == 2 ? kLetters.find(text[1]) : std::string_view::npos;
        if (letter == std::string_view::npos)
            return bad_format(text.substr(0, space));
        limits.radix = kRadices[letter];
        text.remove_prefix(space);
    }
    ValueReader reader = stack.reader(limits);
    ExpressionLexer lexer(text);
    if (lexer.take_word("list") && lexer.peek_operator() == "(")
        return PrintEvaluator(stack, row, text).run_list(reader, limits.elements);
    const Result<GuestValue> value = evaluate(stack, row, text);
    if (!value)
        return value.error();
    return reader.read(value.value());
}

} // namespace forkscope
