// A thousand pairs of places and more: eight in each combination of system, processor, TLB and clock. Part of
// ./run test --long. FORKSCOPE_SEED chooses other places than the usual ones.
#include <cstdio>
#include <cstdlib>

#include "timeline_ways.hpp"

namespace forkscope {

class TimelineLong : public ::testing::TestWithParam<std::string> {};

TEST_P(TimelineLong, EveryWayToAPlaceGivesTheSameBytes) {
    constexpr u64 kRounds = 8;
    const char* given = std::getenv("FORKSCOPE_SEED");
    const u64 seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 41;
    Random random(seed);
    const std::vector<TimelineChoice> choices = timeline_choices(GetParam());
    const u64 pairs = kRounds * choices.size();
    for (u64 done = 0; done < pairs; ++done) {
        check_ways_to_a_place(choices[done % choices.size()], random);
        if (HasFatalFailure())
            FAIL() << "pair " << done << " of seed " << seed;
        if ((done + 1) % 10 == 0 || done + 1 == pairs)
            std::fprintf(stderr, "%s, seed %llu: %llu of %llu pairs\n", GetParam().c_str(),
                         static_cast<unsigned long long>(seed), static_cast<unsigned long long>(done + 1),
                         static_cast<unsigned long long>(pairs));
    }
}

INSTANTIATE_TEST_SUITE_P(Systems, TimelineLong, ::testing::ValuesIn(embedded_kernel_names()),
                         [](const auto& system) { return system.param; });

} // namespace forkscope
