// Segment registers on the stack: which of two stacks sets the width of the pointer (SDM 2), how much of a slot is
// used.
#include <gtest/gtest.h>

#include <optional>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

using Bytes = std::vector<int>;
constexpr u16 kNarrow = CodeRunner::kFree, kWide = CodeRunner::kData; // B = 0, B = 1
constexpr u16 kUserNarrow = (CodeRunner::kFree + 8) | 3, kUserWide = CodeRunner::kUserData;
constexpr u32 kLow = 0x9000; // where the tests' stacks end; the upper half of ESP tells what moved

class StackSegment : public testing::TestWithParam<Way> {
  protected:
    StackSegment() { restart(); }
    void restart() {
        runner_.emplace(GetParam());
        runner_->enter_protected_mode();
        runner_->descriptor(kNarrow, 0, 0xFFFFF, 0x93, false, true);
        runner_->descriptor(kUserNarrow & ~3, 0, 0xFFFFF, 0xF3, false, true);
    }
    void use_stack(u16 selector, u32 esp) {
        CpuState& state = runner_->edit();
        const u64 bits =
            u64{runner_->get32(CodeRunner::kGdt + selector + 4)} << 32 | runner_->get32(CodeRunner::kGdt + selector);
        state.segments[kSs] = SegmentCache::from(selector, {bits, {}});
        state.set_reg<u32>(kEsp, esp);
        runner_->apply();
    }
    // ESP after one instruction.
    u32 after(const Bytes& code) {
        runner_->code(code);
        runner_->step();
        return runner_->reg(kEsp);
    }

    std::optional<CodeRunner> runner_;
};
INSTANTIATE_TEST_SUITE_P(EveryWay, StackSegment, testing::ValuesIn(every_way()), testing::PrintToStringParamName());

// test386 has this from real 386s and 486s.
TEST_P(StackSegment, PopSsMovesThePointerByTheWidthOfTheOldStack) {
    struct Case {
        u16 from;
        u32 esp;
        u16 to;
        Bytes code;
        u32 ends;
    };
    const Case cases[] = {
        {kNarrow, 0x2FFFC, kWide, {0x17}, 0x20000}, // SP wraps, and ESP does not carry
        {kNarrow, 0x2FFFE, kWide, {0x66, 0x17}, 0x20000}, {kWide, 0x1FFFC, kNarrow, {0x17}, 0x20000}, // ESP carries
        {kWide, 0x1FFFE, kNarrow, {0x66, 0x17}, 0x20000}, {kNarrow, 0x2FFFC, kNarrow, {0x17}, 0x20000},
        {kWide, 0x1FFFC, kWide, {0x17}, 0x20000},
    };
    for (const Case& c : cases) {
        restart();
        use_stack(c.from, c.esp);
        runner_->put16(c.from == kNarrow ? c.esp & 0xFFFF : c.esp, c.to);
        EXPECT_EQ(after(c.code), c.ends) << std::hex << c.from << " to " << c.to;
        EXPECT_EQ(runner_->cpu.state().segments[kSs].selector, c.to);
    }
}

TEST_P(StackSegment, PopSsThatFaultsLeavesThePointer) {
    use_stack(kWide, kLow);
    runner_->put16(kLow, CodeRunner::kUserData); // ring 0 cannot use it: #GP
    runner_->code({0x17});
    EXPECT_EQ(runner_->run(), CpuStop::Halted);
    EXPECT_EQ(runner_->log, std::vector<u32>{13});
    EXPECT_EQ(runner_->reg(kEsp), kLow - 16) << "error code, EIP, CS, EFLAGS, and nothing popped";
}

// The pointer is read from the old stack; then all of ESP is the operand's, whatever the new stack's width.
TEST_P(StackSegment, LssLoadsTheWholePointer) {
    for (const u16 to : {kNarrow, kWide}) {
        restart();
        use_stack(to == kNarrow ? kWide : kNarrow, 0x10000 + kLow);
        const u32 at = 0x10000 + kLow; // ESP as a base is not the stack pointer's width's business
        runner_->put32(at, 0x00054320);
        runner_->put16(at + 4, to);
        EXPECT_EQ(after({0x0F, 0xB2, 0x24, 0x24}), 0x54320u); // lss esp, [esp]
    }
}

// Where the outer stack is narrow only SP is loaded, and the inner ring's upper half shows: Linux has its espfix for
// it.
TEST_P(StackSegment, ReturnsOutwardsSetAsMuchOfThePointerAsTheOuterStackHas) {
    struct Case {
        Bytes code;
        u32 ss_slot;
    };
    for (const Case& c : {Case{{0xCB}, 3}, Case{{0xCF}, 4}}) { // retf, iret
        for (const bool narrow : {true, false}) {
            restart();
            use_stack(kWide, 0x10000 + kLow);
            const u32 at = 0x10000 + kLow;
            runner_->put32(at, CodeRunner::kStart + 0x100);
            runner_->put32(at + 4, CodeRunner::kUserCode);
            runner_->put32(at + 8, 2); // flags, for iret
            runner_->put32(at + c.ss_slot * 4 - 4, 0x0007A000);
            runner_->put32(at + c.ss_slot * 4, narrow ? kUserNarrow : kUserWide);
            EXPECT_EQ(after(c.code), narrow ? 0x1A000u : 0x7A000u) << std::hex << c.code[0];
            EXPECT_EQ(runner_->cpu.state().cpl, 3);
        }
    }
}

// The frame is read from a narrow inner stack with 16-bit offsets, though the outer one is wide.
TEST_P(StackSegment, ReturnsOutwardsReadTheirFrameByTheWidthOfTheInnerStack) {
    use_stack(kNarrow, 0x3FFF8);
    runner_->put32(0xFFF8, CodeRunner::kStart + 0x100);
    runner_->put32(0xFFFC, CodeRunner::kUserCode);
    runner_->put32(0, 0x0007A000); // the offsets wrap
    runner_->put32(4, kUserWide);
    EXPECT_EQ(after({0xCB}), 0x7A000u);
}

// SDM 3B 22.31.1: all but the Pentium write two bytes; it can fault where the others do not.
TEST(SelectorSlots, AreUsedAsTheModelDoes) {
    constexpr u32 kSlot = 0x9000, kLimit = kSlot + 1;
    for (const Model* model : all_models()) {
        const bool whole = model->name == "pentium";
        for (const Way way : every_way()) {
            CodeRunner runner(way, model->number);
            runner.enter_protected_mode();
            runner.put32(kSlot, 0xAAAAAAAA);
            runner.edit().set_reg<u32>(kEsp, kSlot + 4);
            runner.apply();
            runner.code({0x1E, 0x66, 0x1E, 0xF4}); // push ds as 32 bits, then as 16
            EXPECT_EQ(runner.run(), CpuStop::Halted);
            EXPECT_EQ(runner.get32(kSlot), whole ? 0x0010u : 0xAAAA0010u) << model->name;
            EXPECT_EQ(runner.get16(kSlot - 2), 0x10u);
            EXPECT_EQ(runner.reg(kEsp), kSlot - 2);
            // A segment that ends behind the selector.
            for (const int opcode : {0x1E, 0x1F}) {
                CodeRunner short_stack(way, model->number);
                short_stack.enter_protected_mode();
                short_stack.put32(kSlot, CodeRunner::kData);
                short_stack.descriptor(kNarrow, 0, kLimit, 0x93);
                const u64 bits = u64{short_stack.get32(CodeRunner::kGdt + kNarrow + 4)} << 32 |
                                 short_stack.get32(CodeRunner::kGdt + kNarrow);
                CpuState& state = short_stack.edit();
                state.segments[kSs] = SegmentCache::from(kNarrow, {bits, {}});
                state.set_reg<u32>(kEsp, opcode == 0x1E ? kSlot + 4 : kSlot);
                state.eip = CodeRunner::kStart;
                short_stack.apply();
                short_stack.code({opcode, 0xF4});
                short_stack.step();
                EXPECT_EQ(short_stack.eip() == CodeRunner::kStart + 1, !whole) << model->name << " " << opcode;
            }
        }
    }
}

// PUSH and POP of each of them, with the upper half of the slot in a page that is not there: who uses two bytes does
// not miss it.
TEST(SelectorSlots, NeedTheirUpperHalfOnThePentiumAlone) {
    struct Register {
        u8 number;
        Bytes push, pop;
    };
    const Register registers[] = {{kEs, {0x06}, {0x07}},
                                  {kCs, {0x0E}, {}},
                                  {kSs, {0x16}, {0x17}},
                                  {kDs, {0x1E}, {0x1F}},
                                  {kFs, {0x0F, 0xA0}, {0x0F, 0xA1}},
                                  {kGs, {0x0F, 0xA8}, {0x0F, 0xA9}}};
    constexpr u32 kSlot = 0x9FFE, kGone = 0xA000;
    for (const Model* model : all_models()) {
        const bool whole = model->name == "pentium";
        for (const Way way : every_way())
            for (const Register& one : registers)
                for (const Bytes& bytes : {one.push, one.pop}) {
                    if (bytes.empty())
                        continue;
                    const bool pushes = bytes == one.push;
                    CodeRunner runner(way, model->number);
                    runner.enter_protected_mode();
                    runner.enable_paging();
                    runner.put16(kSlot, pushes ? 0x5555 : CodeRunner::kData);
                    runner.put16(kGone, 0x5555);
                    runner.put32(runner.page_entry(kGone), 0);
                    runner.edit().set_reg<u32>(kEsp, pushes ? kSlot + 4 : kSlot);
                    runner.apply();
                    runner.code(bytes);
                    const u16 selector = runner.cpu.state().segments[one.number].selector;
                    runner.step();
                    const bool done = runner.eip() == CodeRunner::kStart + bytes.size();
                    EXPECT_EQ(done, !whole) << model->name << " " << +one.number << (pushes ? " pushed" : " popped");
                    EXPECT_EQ(runner.get16(kGone), 0x5555);
                    if (pushes && done) {
                        EXPECT_EQ(runner.get16(kSlot), selector) << model->name << " " << +one.number;
                    }
                }
    }
}

} // namespace
} // namespace forkscope::test
