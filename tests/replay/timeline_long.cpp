// A thousand pairs of places and more: eight in each combination of system, processor, TLB and clock. Part of
// ./run test --long. FORKSCOPE_SEED chooses other places than the usual ones; FORKSCOPE_PAIRS=FIRST:COUNT runs a part,
// --gtest_filter='*minix' one system. What a pair does depends on the seed and its number alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "timeline_ways.hpp"

namespace forkscope {

class TimelineLong : public ::testing::TestWithParam<std::string> {};

TEST_P(TimelineLong, EveryWayToAPlaceGivesTheSameBytes) {
    constexpr u64 kRounds = 8;
    const char* given = std::getenv("FORKSCOPE_SEED");
    const u64 seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 41;
    const std::vector<TimelineChoice> choices = timeline_choices(GetParam());
    const u64 pairs = kRounds * choices.size();
    u64 first = 0, count = pairs;
    if (const char* part = std::getenv("FORKSCOPE_PAIRS"); part != nullptr) {
        char* rest = nullptr;
        first = std::strtoull(part, &rest, 10);
        ASSERT_EQ(*rest, ':') << "FORKSCOPE_PAIRS=FIRST:COUNT";
        count = std::strtoull(rest + 1, nullptr, 10);
        ASSERT_LT(first, pairs);
    }
    const u64 end = std::min(pairs, first + count);
    for (u64 done = first; done < end; ++done) {
        Random random(seed * pairs + done);
        check_ways_to_a_place(choices[done % choices.size()], random);
        if (HasFatalFailure())
            FAIL() << "pair " << done << " of seed " << seed;
        if ((done + 1) % 10 == 0 || done + 1 == end)
            std::fprintf(stderr, "%s, seed %llu: %llu of %llu pairs\n", GetParam().c_str(),
                         static_cast<unsigned long long>(seed), static_cast<unsigned long long>(done + 1),
                         static_cast<unsigned long long>(pairs));
    }
}

INSTANTIATE_TEST_SUITE_P(Systems, TimelineLong, ::testing::ValuesIn(embedded_kernel_names()),
                         [](const auto& system) { return system.param; });

} // namespace forkscope
