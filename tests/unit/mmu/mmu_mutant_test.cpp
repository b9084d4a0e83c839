// Built with the room's seeded bugs compiled in: each, switched on alone, must be noticed by the duel.
#include <gtest/gtest.h>

#include "duel.hpp"
#include "mmu/mutant.hpp"

namespace forkscope {

void PrintTo(MmuMutant mutant, std::ostream* out) {
    constexpr const char* kNames[] = {"None",
#define MUTANT(name) #name,
                                      FORKSCOPE_MMU_MUTANT_NAMES(MUTANT)
#undef MUTANT
    };
    *out << kNames[static_cast<int>(mutant)];
}

namespace {

constexpr u64 kMost = 2000000;

constexpr MmuMutant kMutants[] = {
#define MUTANT(name) MmuMutant::name,
    FORKSCOPE_MMU_MUTANT_NAMES(MUTANT)
#undef MUTANT
};

class MmuMutants : public testing::TestWithParam<MmuMutant> {
    void TearDown() override { active_mmu_mutant = MmuMutant::None; }
};

// On which processor a bug can show itself, where that is not the p6.
std::string processor_for(MmuMutant mutant) {
    switch (mutant) {
    case MmuMutant::InvlpgForgetsPieces:
        return "pentium";
    case MmuMutant::FetchFrontSurvivesDataEviction:
        return "i486";
    case MmuMutant::FifoMovesOnHit:
    case MmuMutant::FifoStands:
        return "p6_fifo";
    case MmuMutant::RandomNotSaved:
        return "p6_random";
    case MmuMutant::SparseFlushForgets:
        return "p6_infinite";
    default:
        return "p6";
    }
}

TEST_P(MmuMutants, AreEachCaughtByTheDuel) {
    active_mmu_mutant = GetParam();
    // A compiler is free in the order in which it asks for random numbers: one seed may pass a bug by.
    std::string mismatch;
    for (u64 seed = 100; mismatch.empty() && seed < 124; ++seed)
        mismatch = Duel(setup_named(processor_for(active_mmu_mutant)), seed).run(kMost);
    EXPECT_NE(mismatch, "") << "unnoticed for " << kMost << " accesses";
    RecordProperty("caught", mismatch);
}

INSTANTIATE_TEST_SUITE_P(All, MmuMutants, testing::ValuesIn(kMutants), testing::PrintToStringParamName());

TEST(MmuMutantBuild, AgreesWithTheReferenceWhenNoBugIsSwitchedOn) {
    for (const char* name : {"p6", "pentium", "i486", "p6_fifo", "p6_random", "p6_infinite"})
        EXPECT_EQ(Duel(setup_named(name), 100).run(kMost / 2), "");
}

} // namespace
} // namespace forkscope
