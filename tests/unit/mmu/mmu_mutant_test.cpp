// Built with the room's seeded bugs compiled in: each, switched on alone, must be noticed by the duel.
#include <gtest/gtest.h>

#include "duel.hpp"
#include "mmu/mutant.hpp"

namespace forkscope {
namespace {

constexpr u64 kMost = 2000000;

class MmuMutants : public testing::TestWithParam<int> {
    void TearDown() override { active_mmu_mutant = MmuMutant::None; }
};

TEST_P(MmuMutants, AreEachCaughtByTheDuel) {
    active_mmu_mutant = static_cast<MmuMutant>(GetParam());
    Duel duel(100);
    const std::string mismatch = duel.run(kMost);
    EXPECT_NE(mismatch, "") << "mutant " << GetParam() << " went unnoticed for " << kMost << " accesses";
    RecordProperty("caught", mismatch);
}

INSTANTIATE_TEST_SUITE_P(All, MmuMutants, testing::Range(1, static_cast<int>(MmuMutant::Count)));

TEST(MmuMutantBuild, AgreesWithTheReferenceWhenNoBugIsSwitchedOn) {
    Duel duel(100);
    EXPECT_EQ(duel.run(kMost), "");
}

} // namespace
} // namespace forkscope
