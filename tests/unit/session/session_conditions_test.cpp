// What conditions mean: their grammar as a table, what arms them, what is said of mistakes.
#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/session/conditions/lexer.hpp"
#include "emu/session/conditions/vocabulary.hpp"
#include "emu/session/session.hpp"

namespace forkscope {
namespace {

const Symbolizer& symbols() {
    static const auto session = std::move(Session::create(Options{})).value();
    return session->symbols();
}

// The tree with brackets around each operation.
std::string tree(const Expression& expression, u32 number) {
    if (number == kNoNode)
        return "-";
    const Node& node = expression.at(number);
    const auto of = [&](u32 child) { return tree(expression, child); };
    for (const OperatorWord& word : kOperators)
        if (word.kind == node.kind)
            return fmt::format("({} {} {})", of(node.left), word.sign, of(node.right));
    switch (node.kind) {
    case NodeKind::Number:
        return fmt::format("{:#x}", node.number);
    case NodeKind::Register:
        return std::string(register_rows()[node.number].name);
    case NodeKind::Not:
        return "(! " + of(node.left) + ")";
    case NodeKind::Negate:
        return "(- " + of(node.left) + ")";
    case NodeKind::Invert:
        return "(~ " + of(node.left) + ")";
    case NodeKind::Changes:
        return "(" + of(node.left) + " changes)";
    case NodeKind::Place:
        return fmt::format("@{}", expression.places[node.number].addresses.size() == 1
                                      ? fmt::format("{:#x}", expression.places[node.number].addresses[0])
                                      : "many");
    case NodeKind::ForkStop:
        return "stop";
    default:
        break;
    }
    for (const FunctionWord& word : kFunctions)
        if (word.kind == node.kind && word.size == (node.kind == NodeKind::Writes ? 0 : node.size) &&
            word.level == node.level)
            return fmt::format("{}[{} {}]{}", word.name, of(node.left), of(node.right), static_cast<int>(node.field));
    return "?";
}

TEST(SessionConditions, AreReadAsCReadsThem) {
    const std::pair<const char*, const char*> kTable[] = {
        {"eax == 1 + 2 * 3", "(eax == 0x7)"},
        {"eax == (1 + 2) * 3", "(eax == 0x9)"},
        {"eax + 1 << 2 == 8", "(((eax + 0x1) << 0x2) == 0x8)"},
        {"(eax & 1) == 1 && (eax ^ (ebx < 4))", "(((eax & 0x1) == 0x1) && (eax ^ (ebx < 0x4)))"},
        {"eax | ebx ^ ecx & edx", "(eax | (ebx ^ (ecx & edx)))"},
        {"eax - ebx - ecx", "((eax - ebx) - ecx)"},
        {"eax < 1 == 0", "((eax < 0x1) == 0x0)"},
        {"fault || fork && switch", "(fault[- -]0 || (fork[- -]0 && switch[- -]0))"},
        {"!al && -ebx != ~cl", "((! al) && ((- ebx) != (~ cl)))"},
        {"  eip\t==\n0X10 ", "(eip == 0x10)"},
        {"$eax == %ebx", "(eax == ebx)"},
        {"u32(ebp + 8) == 5", "(u32[(ebp + 0x8) -]0 == 0x5)"},
        {"pte(0x8048000).w changes", "(pte[0x8048000 -]2 changes)"},
        {"pde(0, cr3).frame == 0x1000", "(pde[0x0 cr3]8 == 0x1000)"},
        {"(u32(16) & 1) changes", "((u32[0x10 -]0 & 0x1) changes)"},
        {"count(fault) == 3", "(count[fault[- -]0 -]0 == 0x3)"},
        {"0xc0100000 && eax", "(@0xc0100000 && eax)"},
        {"0x1000 + 0x234", "@0x1234"},
        {"address:c0100000", "@0xc0100000"},
        {"stop == 2b && stop:F", "(stop && stop)"},
        {"writes(0xb8000, 4000) && !(evicts(4) || flushes)", "(writes[- -]0 && (! (evicts[0x4 -]0 || flushes[- -]0)))"},
        {"symbol:pmap_activate", "@many"},
    };
    for (const auto& [text, expected] : kTable) {
        const auto expression = parse_expression(text, symbols());
        ASSERT_TRUE(expression.ok()) << expression.error().message;
        EXPECT_EQ(tree(*expression, expression->root), expected) << text;
    }
}

TEST(SessionConditions, TellWhatIsWrongAndWhere) {
    struct Mistake {
        const char* text;
        const char* why;
        std::size_t caret; // column
    };
    const Mistake kMistakes[] = {
        {"", "missing before the end", 0},
        {"eip ==", "missing before the end", 6},
        {"eax == 5 ebx", "'ebx' stands behind", 9},
        {"(eax == 5", "')' is missing", 9},
        {"fork_proces", "did you mean fork_process?", 0},
        {"eax == 1 && fualt", "did you mean fault?", 12},
        {"pt(5).w", "did you mean pte?", 0},
        {"tracepoint(fork_file)", "did you mean fork_files?", 11},
        {"stop == 7", "no stop '7'; write stop:N (N = 0, 1, 1b, 2, 2b, 3, 4, 5, F)", 8},
        {"stop != 2", "'stop' happens or does not", 0},
        {"fault == 1", "'fault' happens or does not", 0},
        {"fault changes", "'fault' happens or does not", 0},
        {"5 changes", "never changes", 0},
        {"pte(5).x", "no field 'x'", 7},
        {"pte()", "pte needs a value here", 4},
        {"u32", "needs what it is asked about in brackets", 0},
        {"u32(1, 2)", "')' is missing", 5},
        {"writes(eax, 4)", "known beforehand", 7},
        {"writes(0, 0)", "1 to 262144 bytes", 10},
        {"12ab", "'12ab' is no number", 0},
        {"fault && eax & 1 == 1", "C would compare this first", 15},
        {"0x1ffffffff", "no 32-bit address", 0},
        {"eax == 99999999999999999999", "is no number", 7},
        {"main", "a program has it: ", 0},
        {"forkdemmo:main", "did you mean forkdemo:main?", 0},
        {"fork && serial:x", "within one write serial(\"TEXT\")", 8},
        {"serial(\"x)", "this text has no end", 7},
        {"eax == \"5\"", "a text stands alone", 7},
        {"eax = 5", "'=' is no part of a condition", 4},
        {"eax == \xE2\x82\xAC", "'€' is no part", 7},
        {"no_such_file.c:12", "no function or line", 0},
    };
    for (const auto& [text, why, caret] : kMistakes) {
        const auto condition = compile_condition(text, symbols());
        ASSERT_FALSE(condition.ok()) << text;
        const std::string& message = condition.error().message;
        EXPECT_EQ(condition.error().code, ExitCode::Usage);
        EXPECT_NE(message.find(why), std::string::npos) << text << ": " << message;
        EXPECT_NE(message.find("\n  " + std::string(caret, ' ') + "^\n"), std::string::npos) << message;
    }
    EXPECT_NE(compile_condition("1 == 1", symbols()).error().message.find("nothing that a machine does decides"),
              std::string::npos);
}

TEST(SessionConditions, AreArmedByWhatTellsThatTheyMayBeMet) {
    const auto arming = [](const char* text) { return compile_condition(text, symbols())->arming; };
    EXPECT_TRUE(arming("eax == 5").each_instruction);
    EXPECT_TRUE(arming("!fault").each_instruction) << "true wherever there is none";
    for (const char* text : {"fork_process && eax == 5", "eax == 5 && fault", "count(fault && eax == 5) == 2",
                             "fork_process && eax changes", "cr3 == 5", "pte(5).p changes", "stale(5) && cr0 & 1"})
        EXPECT_FALSE(arming(text).each_instruction) << text;
    EXPECT_FALSE(arming("fault && u32(0) == 1").memory) << "asked where the fault is";
    EXPECT_TRUE(arming("fault || u32(0) == 1").memory);
    EXPECT_FALSE(arming("u32(0) changes && phys32(4) == 1").live[3]) << "asked where the first changes";
    EXPECT_EQ(arming("0x10 || 0x20 && fault").addresses, (std::vector<u32>{0x10, 0x20}));
    EXPECT_EQ(compile_condition("fork_process && eax == 5", symbols())->note(), "");
    EXPECT_NE(compile_condition("cr3 == 5 && al == 5", symbols())->note().find("when 'al' changes"), std::string::npos);
}

TEST(SessionConditions, AreBoundedInLengthPartsAndDepth) {
    const auto text_of = [](std::string part, std::size_t times) {
        std::string text;
        while (times-- != 0)
            text += part;
        return text;
    };
    EXPECT_TRUE(compile_condition(text_of("fault||", 200) + "fault", symbols()).ok());
    for (const std::string& text :
         {text_of("(", 3000), text_of("!", 3000), text_of("u8(", 1000), text_of("fault||", 300) + "fault",
          text_of("eax+", 1000) + "eax", text_of("x", 5000), text_of("-", 101) + "eax"})
        EXPECT_FALSE(compile_condition(text, symbols()).ok()) << text.substr(0, 10);
}

// Words of the language in any order, and bytes of any kind: an answer, or an error that marks a place in the text.
TEST(SessionConditions, AnyTextIsAnsweredOrRefused) {
    std::vector<std::string> words = {
        "0", "1", "0x8048000", "4294967296", "18446744073709551615", "(",          ")",      ",",
        ".", "w", "frame",     "changes",    "fork_process",         "\"x",        "\"y\"",  "!",
        "-", "~", "2b",        "stop:3",     "symbol:main",          "pmap.c:100", "sh:main"};
    for (const FunctionWord& word : kFunctions)
        words.emplace_back(word.name);
    for (const OperatorWord& word : kOperators)
        words.emplace_back(word.sign);
    for (const RegisterRow& row : register_rows())
        words.emplace_back(row.name);
    Symbolizer none;
    for (u32 seed = 0; seed < 20'000; ++seed) {
        Random random(seed);
        std::string text;
        for (u64 left = random.below(12); left != 0; --left) {
            text += seed % 8 == 0 ? std::string(1, static_cast<char>(random.next()))
                                  : words[static_cast<std::size_t>(random.below(static_cast<u32>(words.size())))];
            text += random.below(3) == 0 ? " " : "";
        }
        const auto condition = compile_condition(text, seed % 100 == 0 ? symbols() : none);
        if (!condition.ok()) {
            EXPECT_EQ(condition.error().code, ExitCode::Usage);
        } else {
            for (const Node& node : condition->expression.nodes)
                EXPECT_TRUE(node.begin <= node.end && node.end <= text.size()) << text;
        }
    }
}

} // namespace
} // namespace forkscope
