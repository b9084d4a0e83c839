// Every engine is the others', whatever the program does and however the run is cut.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cpu/engine/translator/translator_factory.hpp"
#include "tests/unit/cpu/engines/lock_step.hpp"

namespace forkscope::test {
namespace {

u64 number_of(const char* name, u64 otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

TEST(LockStep, EveryEngineIsTheReferenceAtEachCut) {
    const u64 first = number_of("FORKSCOPE_SEED", 0);
    const u64 programs = number_of("FORKSCOPE_PROGRAMS", std::getenv("FORKSCOPE_LONG") != nullptr ? 20'000 : 150);
    u64 ended = 0, entries = 0, instructions = 0;
    for (u64 seed = first; seed < first + programs; ++seed) {
        LockStep step(seed, every_contender());
        ASSERT_EQ(step.run(), "");
        ended += step.ended();
        entries += step.entries();
        instructions += step.instructions();
    }
    RecordProperty("instructions", std::to_string(instructions));
    EXPECT_GT(instructions / programs, 200u) << "the programs lose their way at once";
    EXPECT_GT(ended * 10, programs) << "the programs do not come to an end";
    if (kHasTranslator) {
        EXPECT_GT(entries / programs, 40u) << "the code is not translated";
    }
    std::printf("%llu programs, %llu instructions each, %llu ended, code entered %llu times each\n",
                static_cast<unsigned long long>(programs), static_cast<unsigned long long>(instructions / programs),
                static_cast<unsigned long long>(ended), static_cast<unsigned long long>(entries / programs));
}

} // namespace
} // namespace forkscope::test
