// How often a run looks at Ctrl-C.
#include <gtest/gtest.h>

#include "emu/session/slice_length.hpp"

namespace forkscope::test {
namespace {

using std::chrono::nanoseconds;
constexpr Cycles kLongest = 5'000'000;

// A host that takes so long for a cycle; the time of the last of many slices.
nanoseconds settled(SliceLength& slice, u64 nanoseconds_per_1000_cycles) {
    nanoseconds time{};
    for (int i = 0; i < 100; ++i) {
        time = nanoseconds(slice.cycles() * nanoseconds_per_1000_cycles / 1000);
        slice.took(time);
    }
    return time;
}

TEST(SliceLength, TakesTheSameTimeHoweverSlowTheGuestIs) {
    for (const u64 speed : {1'000u, 20'000u, 500'000u, 10'000'000u}) {
        SliceLength slice(kLongest);
        EXPECT_LE(settled(slice, speed), 2 * SliceLength::kAim) << speed;
        EXPECT_GE(settled(slice, speed), SliceLength::kAim / 4) << speed;
    }
    SliceLength idle(kLongest);
    settled(idle, 0);
    EXPECT_EQ(idle.cycles(), kLongest);
}

// From plain code, 5 ns a cycle, to REP over device memory: the first slow slice is the longest.
TEST(SliceLength, AnswersWithinATenthOfASecondWhenTheGuestTurnsSlow) {
    SliceLength slice(kLongest);
    settled(slice, 5'000);
    const nanoseconds first(slice.cycles() * 200);
    EXPECT_LT(first, std::chrono::milliseconds(100));
    slice.took(first);
    EXPECT_LE(nanoseconds(slice.cycles() * 200), 2 * SliceLength::kAim);
}

} // namespace
} // namespace forkscope::test
