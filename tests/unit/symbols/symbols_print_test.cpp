// What print adds to gdb's: lists, errors with their place, values that cannot be had, trees.
#include "symbols_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

class SymbolsPrint : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { guest_ = new StoppedGuest("freebsd", "stop:2"); }
    static void TearDownTestSuite() { delete guest_; }

    Result<ValueNode> value(std::string_view text, PrintLimits limits = {}) const {
        return print(stack_, stack_.rows().front(), text, limits);
    }
    std::string text(std::string_view expression) const {
        const Result<ValueNode> node = value(expression);
        return node.ok() ? to_text(node.value()) : node.error().message;
    }

    static StoppedGuest* guest_;
    CallStack stack_ = guest_->stack();
};

StoppedGuest* SymbolsPrint::guest_ = nullptr;

} // namespace

// init, the shell, forkdemo and its child; in the order in which the kernel's own loop sees them.
TEST_F(SymbolsPrint, FollowsARingOfLinks) {
    const Result<ValueNode> list = value("list(&processes, struct process, link)");
    ASSERT_TRUE(list.ok()) << list.error().message;
    std::vector<std::string> pids;
    for (const ValueNode& process : list->parts) {
        ASSERT_FALSE(process.parts.empty());
        EXPECT_EQ(process.parts[0].name, "pid");
        pids.push_back(process.parts[0].text);
    }
    EXPECT_EQ(pids.size(), std::stoull(text("process_count")));
    EXPECT_NE(std::find(pids.begin(), pids.end(), text("current_process->pid")), pids.end());
    EXPECT_EQ(list->type, "list of struct process");
}

TEST_F(SymbolsPrint, FollowsAChainOfPointersAndStopsAtItsLimit) {
    const Result<ValueNode> all = value("list(current_process, parent)");
    ASSERT_TRUE(all.ok()) << all.error().message;
    PrintLimits one;
    one.elements = 1;
    const Result<ValueNode> first = value("list(current_process, parent)", one);
    ASSERT_TRUE(first.ok());
    EXPECT_GE(all->parts.size(), 1u);
    EXPECT_EQ(first->parts.size(), 1u);
    EXPECT_EQ(first->more, all->parts.size() > 1);
    // A ring without a head goes around once.
    const Result<ValueNode> ring = value("list(processes.next, next)");
    ASSERT_TRUE(ring.ok()) << ring.error().message;
    EXPECT_EQ(ring->parts.size(), std::stoull(text("process_count")) + 1);
}

TEST_F(SymbolsPrint, MarksThePlaceOfAnError) {
    const std::vector<std::pair<std::string, std::string>> wrong{
        {"current_process->pidd", "                   ^"},
        {"1 + nobody", "      ^"},
        {"(struct nobody *)0", "          ^"},
        {"1 +", "     ^"},
        {"frames[", "         ^"},
        {"5->x", "  ^"},
        {"09", "  ^"},
        {"1 / 0", "      ^"},
        {"list(&processes, struct process, pid)", "                                   ^"}};
    for (const auto& [expression, mark] : wrong) {
        const Result<ValueNode> node = value(expression);
        ASSERT_FALSE(node.ok()) << expression << " = " << to_text(node.value());
        const std::string& message = node.error().message;
        const std::size_t line = message.rfind('\n');
        EXPECT_NE(message.find("\n  " + expression + "\n"), std::string::npos) << message;
        EXPECT_EQ(message.substr(line + 1), mark) << message;
    }
    EXPECT_NE(text("current_process->pidd").find("it has pid, state, parent"), std::string::npos);
}

TEST_F(SymbolsPrint, SaysWhatCannotBeRead) {
    EXPECT_EQ(text("*(struct process *)0"), "<unreadable: 0x00000000>");
    EXPECT_EQ(text("*(int *)0x10 == 1").substr(0, 22), "unreadable: 0x00000010");
    // Where && is decided the rest is not asked.
    EXPECT_EQ(text("0 && *(int *)0x10"), "0");
    EXPECT_EQ(text("1 || *(int *)0x10"), "1");
    // A text that runs into nothing, and a structure that lies half in it.
    EXPECT_EQ(text("(char *)0"), "0x0");
    EXPECT_NE(text("*(struct process *)0xFF003FFC").find("<unreadable"), std::string::npos);
}

TEST_F(SymbolsPrint, IsBoundedInDepthLengthAndElements) {
    EXPECT_FALSE(value(std::string(100'000, '(')).ok());
    EXPECT_FALSE(value(std::string(100'000, '*') + "current_process").ok());
    EXPECT_FALSE(value("frames[0]@1000000000").ok());
    PrintLimits few;
    few.nodes = 10;
    const Result<ValueNode> node = value("*current_process", few);
    ASSERT_TRUE(node.ok());
    EXPECT_TRUE(node->more);
    few = {};
    few.depth = 0;
    const Result<ValueNode> flat = value("*current_process", few);
    ASSERT_TRUE(flat.ok());
    EXPECT_NE(to_text(flat.value()).find("children = ..."), std::string::npos) << to_text(flat.value());
    EXPECT_NE(to_text(flat.value()).find("pid = "), std::string::npos);
}

TEST_F(SymbolsPrint, GivesTreesWithTypesAndAddressesAndTheSameAsJson) {
    const Result<ValueNode> node = value("*current_process");
    ASSERT_TRUE(node.ok());
    EXPECT_EQ(node->type, "struct process");
    ASSERT_TRUE(node->address);
    const ValueNode& state = node->parts.at(1);
    EXPECT_EQ(state.name, "state");
    EXPECT_EQ(state.type, "enum process_state");
    EXPECT_EQ(state.address, *node->address + 4);
    const std::string json = to_json(state);
    EXPECT_EQ(json, fmt::format("{{\"name\":\"state\",\"type\":\"enum process_state\",\"address\":{},\"text\":\"{}\"}}",
                                *state.address, state.text));
    const std::string lines = to_text(node.value(), Layout::Lines);
    EXPECT_NE(lines.find("{\n  pid = "), std::string::npos) << lines;
}

TEST_F(SymbolsPrint, TakesGdbsFormats) {
    EXPECT_EQ(text("/x 255"), "0xff");
    EXPECT_EQ(text("/t 5"), "101");
    EXPECT_EQ(text("/o 8"), "010");
    EXPECT_EQ(text("/c 65"), "65 'A'");
    EXPECT_EQ(text("/d (char)200"), "-56");
    EXPECT_FALSE(value("/q 1").ok());
    EXPECT_FALSE(value("/xx 1").ok());
}

// A page fault of a program, and in it the kernel's copying: the interrupted code is there, with its registers.
TEST(SymbolsStack, GoesThroughInterruptsIntoTheCodeThatTheyInterrupted) {
    for (const char* os : {"lunaix", "minix", "freebsd"}) {
        SCOPED_TRACE(os);
        StoppedGuest guest(os, "symbol:fork_process");
        const CallStack stack = guest.stack();
        bool crossed = false;
        bool reached_main = false;
        for (std::size_t i = 0; i < stack.rows().size(); ++i) {
            const StackRow& row = stack.rows()[i];
            const Frame& frame = stack.frame_of(row);
            if (frame.found_by == FoundBy::Interrupt && !frame.in_kernel) {
                crossed = true;
                // All registers of the program, as its trap frame has them.
                for (const std::optional<u32>& value : frame.registers.values)
                    EXPECT_TRUE(value.has_value());
            }
            EXPECT_EQ(frame.in_kernel, !crossed) << stack.text(i);
            reached_main = reached_main || (crossed && row.function == "main");
        }
        EXPECT_TRUE(crossed);
        EXPECT_TRUE(reached_main) << stack.text(stack.rows().size() - 1);
        EXPECT_EQ(stack.frames().end, "");
    }
}

// Any registers, any memory: ends, and says why.
TEST(SymbolsStack, EndsOnStacksOfNonsense) {
    StoppedGuest guest("lunaix", "stop:2");
    Random random(7);
    const u32 code = *guest.session().symbols().address_of("fork_process");
    for (u32 i = 0; i < 3000; ++i) {
        GuestState state = guest.state();
        const u64 seed = random.next();
        for (u32 number = 0; number < FrameRegisters::Count; ++number)
            if ((random.next() & 3) == 0)
                state.registers.values[number] = static_cast<u32>(random.next());
        if ((seed & 1) != 0)
            state.registers.values[FrameRegisters::Eip] = code + static_cast<u32>(random.next() % 4096);
        // Words that are code, stack, selectors: more likely to lead on than noise.
        state.memory = [seed, code](u32 address, std::span<u8> bytes) {
            for (std::size_t at = 0; at < bytes.size(); ++at) {
                const u32 word = (address + static_cast<u32>(at)) & ~3u;
                const u64 mixed = (word + seed) * 0x9E3779B97F4A7C15u;
                const std::array<u32, 6> words{static_cast<u32>(mixed >> 32),
                                               code + static_cast<u32>(mixed >> 52),
                                               word + 16,
                                               0x08,
                                               0x202,
                                               word - 8};
                bytes[at] = static_cast<u8>(words[(mixed >> 20) % 6] >> 8 * ((address + at) & 3));
            }
            return (address ^ seed) % 13 != 0;
        };
        const CallStack stack(guest.session().symbols(), state);
        EXPECT_LE(stack.frames().list.size(), 128u);
        for (std::size_t row = 0; row < stack.rows().size(); ++row)
            EXPECT_FALSE(stack.text(row).empty());
    }
}
