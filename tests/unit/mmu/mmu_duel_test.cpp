// The Mmu against the plain-loop reference on a hostile operating system's accesses, for every processor and every
// study mode: 10^8 in all by default, in tests that ctest may run side by side; FORKSCOPE_LONG=1 makes it 10^9,
// FORKSCOPE_DUEL=n sets the number for each test.
#include <gtest/gtest.h>

#include <cstdlib>

#include "duel.hpp"

namespace forkscope {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr u64 kUnit = 100000; // instrumented builds look for other things, and are many times slower
#else
constexpr u64 kUnit = 2500000;
#endif
// Of 40 units in all: a processor as it is gets more than one with a study mode.
constexpr u64 kWhole = 6, kStudied = 1;

u64 share_of(const DuelSetup& setup) {
    if (const char* text = std::getenv("FORKSCOPE_DUEL"))
        return std::strtoull(text, nullptr, 10);
    const char* text = std::getenv("FORKSCOPE_LONG");
    const u64 units = setup.processor.name.find('_') == std::string::npos ? kWhole : kStudied;
    return units * kUnit * (text != nullptr && *text == '1' ? 10 : 1);
}

class MmuDuel : public testing::TestWithParam<DuelSetup> {};

TEST_P(MmuDuel, AgreesWithTheReferenceAfterEveryAccess) {
    const DuelSetup& setup = GetParam();
    const u64 accesses = share_of(setup);
    Duel duel(setup, 1);
    ASSERT_EQ(duel.run(accesses), "");
    // The generator must have gone everywhere that this processor can, or agreement means little.
    for (u32 i = 0; i < reference::kTransitionCount; ++i) {
        const u32 needs = reference::kTransitionNeeds[i];
        testing::Test::RecordProperty(reference::kTransitionNames[i], std::to_string(duel.seen()[i]));
        if ((setup.processor.has & needs) == needs) {
            EXPECT_GE(duel.seen()[i], accesses / 200000) << reference::kTransitionNames[i];
        } else {
            EXPECT_EQ(duel.seen()[i], 0u) << reference::kTransitionNames[i];
        }
    }
    EXPECT_GE(duel.front_percent(), 10u);
    const u64 often[Duel::kModeCount] = {100000, 10000, 10000000, 10000, 1000, 1000, 1000, 100, 100000};
    for (u32 i = 0; i < Duel::kModeCount; ++i)
        EXPECT_GE(duel.modes()[i], accesses / often[i] / 10) << "mode " << i;
}

INSTANTIATE_TEST_SUITE_P(On, MmuDuel, testing::ValuesIn(all_setups()), testing::PrintToStringParamName());

} // namespace
} // namespace forkscope
