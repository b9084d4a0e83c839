// The TLB's test registers of 386 and 486, as the 386 programmer's manual 10.6 and the 386 DX hardware manual 12.2 say.
#include <gtest/gtest.h>

#include <utility>

#include "code_runner.hpp"
#include "tests/parameter_names.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kLookUp = 1, kNotWritable = 1u << 5, kWritable = 1u << 6, kNotUser = 1u << 7, kUser = 1u << 8,
              kNotDirty = 1u << 9, kDirty = 1u << 10, kValid = 1u << 11, kAny = 0x7E0;
constexpr u32 kHit = 1u << 4;

class TlbTest : public testing::TestWithParam<CpuModel> {
  protected:
    TlbTest() : runner({EngineKind::Block, true}, GetParam()) { runner.enter_protected_mode(); }

    void execute(const std::vector<int>& bytes, u32 instructions) {
        const u32 start = std::exchange(next_, next_ + 0x40); // behind the blocks decoded before
        runner.put(start, bytes);
        runner.edit().eip = start;
        runner.apply();
        runner.cpu.run_until(kNever, runner.cpu.instructions() + instructions);
    }
    // MOV EAX, data; MOV TR7, EAX; MOV EAX, command; MOV TR6, EAX; MOV EAX, TR6; MOV EBX, TR7
    void command(u32 tr6, u32 tr7) {
        std::vector<int> bytes = {0xB8, 0, 0,    0,    0,    0x0F, 0x26, 0xF8, 0xB8, 0,    0,
                                  0,    0, 0x0F, 0x26, 0xF0, 0x0F, 0x24, 0xF0, 0x0F, 0x24, 0xFB};
        for (u32 i = 0; i < 4; ++i) {
            bytes[1 + i] = static_cast<int>(tr7 >> (8 * i) & 0xFF);
            bytes[9 + i] = static_cast<int>(tr6 >> (8 * i) & 0xFF);
        }
        execute(bytes, 6);
        ASSERT_TRUE(runner.log.empty());
        tr6_ = runner.eax();
        tr7_ = runner.reg(kEbx);
    }
    CodeRunner runner;
    u32 tr6_ = 0, tr7_ = 0;
    u32 next_ = CodeRunner::kStart;
};

TEST_P(TlbTest, WritesAnEntryIntoTheWayThatRepNamesAndFindsItAgain) {
    for (u32 way = 0; way < 4; ++way)
        command((0x12340000 + way * 0x8000) | kValid | kDirty | kNotUser | kWritable, 0x00050000 | kHit | way << 2);
    for (u32 way = 0; way < 4; ++way) {
        command((0x12340000 + way * 0x8000) | kValid | kAny | kLookUp, 0);
        EXPECT_EQ(tr7_ & 0xFFFFF01F, 0x00050000u | kHit | way << 2);
        EXPECT_EQ(tr6_, (0x12340000 + way * 0x8000) | kValid | kDirty | kNotUser | kWritable | kLookUp);
    }
    const TlbEntry& entry = runner.mmu.tlb().entry(TlbArray::Data4K, 0, 2);
    EXPECT_EQ(entry.tag, 0x12350000u);
    EXPECT_EQ(entry.entry, 0x00050000u | kPtePresent | kPteWritable | kPteAccessed | kPteDirty);
}

TEST_P(TlbTest, LooksUpByTagBitsAndTheirComplements) {
    command(0x00403000 | kValid | kNotDirty | kUser | kNotWritable, 0x00050000 | kHit);
    const auto hits = [&](u32 tags) {
        command(0x00403000 | tags | kLookUp, 0x1F | kHit);
        return (tr7_ & kHit) != 0;
    };
    EXPECT_TRUE(hits(kValid | kNotDirty | kUser | kNotWritable));
    EXPECT_TRUE(hits(kValid | kAny));
    EXPECT_FALSE(hits(kValid | (kAny & ~kDirty & ~kNotDirty))) << "both low: forced to miss";
    EXPECT_FALSE(hits(kValid | kDirty | kUser | kNotWritable));
    EXPECT_FALSE(hits(kValid | kNotDirty | kNotUser | kNotWritable));
    EXPECT_FALSE(hits(kAny)) << "no entry is invalid and has a tag";
    command(0x00404000 | kValid | kAny | kLookUp, 0);
    EXPECT_EQ(tr7_ & kHit, 0u) << "another page";
}

TEST_P(TlbTest, LeavesTheWayToTheReplacementStateIfPlIsClear) {
    for (u32 i = 0; i < 5; ++i)
        command((0x00400000 + i * 0x8000) | kValid | kDirty | kUser | kWritable, 0x00050000 + i * 0x1000);
    command(0x00400000 | kValid | kAny | kLookUp, 0);
    EXPECT_EQ(tr7_ & kHit, 0u) << "the first of five was the victim";
    command(0x00420000 | kValid | kAny | kLookUp, 0);
    EXPECT_EQ(tr7_ & ~0x380u, 0x00054000u | kHit | 0 << 2);
}

TEST_P(TlbTest, ShowsTheLruBitsOnThe486Alone) {
    for (const u32 way : {3u, 1u, 2u, 0u})
        command((0x00400000 + way * 0x8000) | kValid | kDirty | kUser | kWritable, kHit | way << 2);
    command(0x00400000 | kValid | kAny | kLookUp, 0);
    EXPECT_EQ(tr7_ >> 7 & 7, GetParam() == CpuModel::I386 ? 0u : runner.mmu.tlb().plru(TlbArray::Data4K, 0));
    EXPECT_EQ(runner.mmu.tlb().plru(TlbArray::Data4K, 0), 7u)
        << "way 0 was touched last, and before it way 2 of the other pair";
}

TEST_P(TlbTest, TranslatesByWhatWasWritten) {
    runner.enable_paging();
    runner.put32(0x50000, 0xCAFE);
    command(0x00403000 | kValid | kDirty | kUser | kWritable, 0x00050000 | kHit | 1 << 2);
    execute({0xA1, 0x00, 0x30, 0x40, 0x00}, 1); // MOV EAX, [00403000], which the page tables do not map
    EXPECT_EQ(runner.eax(), 0xCAFEu);
    command(0x00403000, 0x00050000 | kHit | 1 << 2); // V clear: gone
    execute({0xA1, 0x00, 0x30, 0x40, 0x00, 0xF4}, 5);
    ASSERT_FALSE(runner.log.empty());
    EXPECT_EQ(runner.log.back(), 14u);
}

INSTANTIATE_TEST_SUITE_P(Of, TlbTest, testing::Values(CpuModel::I386, CpuModel::I486),
                         testing::PrintToStringParamName());

} // namespace
} // namespace forkscope::test
