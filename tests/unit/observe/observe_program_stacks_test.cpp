// Where programs have their stacks, from nothing but their stack pointers.
#include <gtest/gtest.h>

#include "emu/observe/processes/program_stacks.hpp"

using namespace forkscope;

namespace {

constexpr u32 kSpace = 0x200000;
constexpr u32 kTop = 0xEEBFE000; // of a page, where a stack begins
constexpr u32 kReach = ProgramStacks::kReach;

using Ranges = std::vector<StackRange>;

ProgramStacks with(const std::vector<u32>& pointers) {
    ProgramStacks stacks;
    for (const u32 pointer : pointers)
        stacks.seen(kSpace, pointer);
    return stacks;
}

} // namespace

TEST(ProgramStacks, GoFromTheLowestToTheHighestPointer) {
    const ProgramStacks stacks = with({kTop - 0x20, kTop - 0x3000, kTop - 0x10, kTop - 0x40});
    EXPECT_EQ(stacks.of(kSpace), Ranges({{kTop - 0x3000, kTop - 0x10}}));
    EXPECT_TRUE(stacks.of(kSpace + 0x1000).empty());
    EXPECT_TRUE(in_stack(stacks.of(kSpace), kTop - 1) && in_stack(stacks.of(kSpace), kTop - 0x3000));
    EXPECT_FALSE(in_stack(stacks.of(kSpace), kTop) || in_stack(stacks.of(kSpace), kTop - 0x3001));
}

// An empty stack's pointer stands above its last byte, in a page that may be another's.
TEST(ProgramStacks, EndBelowThePointerOfAnEmptyOne) {
    const ProgramStacks stacks = with({kTop});
    EXPECT_FALSE(in_stack(stacks.of(kSpace), kTop));
    EXPECT_TRUE(stacks.reaches(kSpace, kTop - 4));
    EXPECT_FALSE(stacks.reaches(kSpace, kTop));
}

TEST(ProgramStacks, GrowBy64KBAtMost) {
    const ProgramStacks stacks = with({kTop - 0x10});
    const u32 low = kTop - 0x10;
    EXPECT_TRUE(stacks.reaches(kSpace, low - kReach) && stacks.reaches(kSpace, kTop - 1));
    EXPECT_FALSE(stacks.reaches(kSpace, low - kReach - 1) || stacks.reaches(kSpace, kTop));
    EXPECT_FALSE(in_stack(stacks.of(kSpace), kTop - 0x1001)) << "what is there already is not grown";
    // At the lowest addresses, too.
    EXPECT_TRUE(with({0x800}).reaches(kSpace, 0));
    EXPECT_FALSE(with({0x800}).reaches(kSpace, 0xFFFFF000));
}

// Threads have stacks of their own; what lies between is none.
TEST(ProgramStacks, AreSeveralWhereThePointerJumps) {
    ProgramStacks stacks = with({kTop, kTop - 3 * kReach, kTop - 0x100});
    EXPECT_EQ(stacks.of(kSpace), Ranges({{kTop - 3 * kReach, kTop - 3 * kReach}, {kTop - 0x100, kTop}}));
    EXPECT_FALSE(in_stack(stacks.of(kSpace), kTop - kReach));
    EXPECT_FALSE(stacks.reaches(kSpace, kTop - 3 * kReach + 0x1000));
    // One that grows until it meets the next.
    stacks.seen(kSpace, kTop - 2 * kReach);
    stacks.seen(kSpace, kTop - kReach - 0x100);
    EXPECT_EQ(stacks.of(kSpace), Ranges({{kTop - 3 * kReach, kTop}}));
}

TEST(ProgramStacks, AreBoundedAndTheOldestStay) {
    ProgramStacks stacks;
    for (u32 number = 0; number < 100; ++number)
        stacks.seen(kSpace, kTop - number * 3 * kReach);
    EXPECT_EQ(stacks.of(kSpace).size(), ProgramStacks::kMostStacks);
    EXPECT_TRUE(in_stack(stacks.of(kSpace), kTop - 1) || stacks.reaches(kSpace, kTop - 1));
    // Those that are known go on growing.
    stacks.seen(kSpace, kTop - 0x5000);
    EXPECT_TRUE(in_stack(stacks.of(kSpace), kTop - 0x5000));
    for (u32 space = 0; space < 200'000; ++space)
        stacks.seen(space << 12, kTop);
    SaveArchive ar;
    stacks.serialize(ar);
    EXPECT_LT(ar.take().size(), std::size_t{16} << 20);
}

TEST(ProgramStacks, AreInheritedBesideTheChildsOwn) {
    ProgramStacks stacks = with({kTop, kTop - 0x2000});
    stacks.seen(0x300000, kTop - 0x2100);
    stacks.inherit(0x300000, stacks.of(kSpace));
    EXPECT_EQ(stacks.of(0x300000), Ranges({{kTop - 0x2100, kTop}}));
    EXPECT_EQ(stacks.of(kSpace), Ranges({{kTop - 0x2000, kTop}}));
    stacks.forget(kSpace);
    EXPECT_TRUE(stacks.of(kSpace).empty());
    stacks.inherit(0x300000, stacks.of(kSpace)); // knows nothing
    EXPECT_EQ(stacks.of(0x300000), Ranges({{kTop - 0x2100, kTop}}));
}

TEST(ProgramStacks, OfAPointerThatPointsNowhereAreNone) { EXPECT_TRUE(with({0}).of(kSpace).empty()); }
