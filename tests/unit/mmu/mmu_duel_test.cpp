// The Mmu against the plain-loop reference on a hostile operating system's accesses: 10^8 in all by default, in shards
// that ctest may run side by side; FORKSCOPE_LONG=1 makes it 10^9, FORKSCOPE_DUEL=n sets the number for each shard.
#include <gtest/gtest.h>

#include <cstdlib>

#include "duel.hpp"

namespace forkscope {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr u64 kShard = 1000000; // instrumented builds look for other things, and are many times slower
#else
constexpr u64 kShard = 25000000;
#endif

u64 shard_size() {
    if (const char* text = std::getenv("FORKSCOPE_DUEL"))
        return std::strtoull(text, nullptr, 10);
    const char* text = std::getenv("FORKSCOPE_LONG");
    return text != nullptr && *text == '1' ? 10 * kShard : kShard;
}

void fight(u64 seed) {
    Duel duel(seed);
    ASSERT_EQ(duel.run(shard_size()), "") << "seed " << seed;
    // The generator must have gone everywhere, or agreement means little: each transition at least once in 20000.
    for (u32 i = 0; i < reference::kTransitionCount; ++i) {
        EXPECT_GE(duel.seen()[i], shard_size() / 20000) << reference::kTransitionNames[i];
        testing::Test::RecordProperty(reference::kTransitionNames[i], std::to_string(duel.seen()[i]));
    }
    EXPECT_GE(duel.front_percent(), 25u);
    const u64 often[Duel::kModeCount] = {100000, 10000, 10000000, 10000, 1000, 1000};
    for (u32 i = 0; i < Duel::kModeCount; ++i)
        EXPECT_GE(duel.modes()[i], shard_size() / often[i] / 10) << "mode " << i;
}

TEST(MmuDuel, AgreesWithTheReferenceAfterEveryAccessFirstShard) { fight(1); }
TEST(MmuDuel, AgreesWithTheReferenceAfterEveryAccessSecondShard) { fight(2); }
TEST(MmuDuel, AgreesWithTheReferenceAfterEveryAccessThirdShard) { fight(3); }
TEST(MmuDuel, AgreesWithTheReferenceAfterEveryAccessFourthShard) { fight(4); }

} // namespace
} // namespace forkscope
