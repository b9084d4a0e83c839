// Built with the seeded bugs of the translator and of the Mmu compiled in: each, switched on alone, must be noticed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/engine/translator/mutant.hpp"
#include "mmu/mutant.hpp"
#include "tests/unit/cpu/engines/lock_step.hpp"

namespace forkscope {

TranslatorMutant active_translator_mutant = TranslatorMutant::None;

void PrintTo(TranslatorMutant mutant, std::ostream* out) {
    constexpr const char* kNames[] = {"None",
#define MUTANT(name) #name,
                                      FORKSCOPE_TRANSLATOR_MUTANT_NAMES(MUTANT)
#undef MUTANT
    };
    *out << kNames[static_cast<int>(mutant)];
}

namespace test {
namespace {

constexpr u64 kMostPrograms = 4000;
constexpr u32 kMostSeconds = 100; // of a process: wrong code may run for ever

constexpr TranslatorMutant kMutants[] = {
#define MUTANT(name) TranslatorMutant::name,
    FORKSCOPE_TRANSLATOR_MUTANT_NAMES(MUTANT)
#undef MUTANT
};

// The engines that a bug of the translator tells apart: the reference, and translators.
std::vector<Contender> contenders() {
    std::vector<Contender> chosen;
    for (const Contender& contender : every_contender())
        if (contender.engine == EngineKind::Translator || chosen.empty())
            chosen.push_back(contender);
    return chosen;
}

enum class Found : int { Nothing = 0, Difference = 10, Crash };

// In a process of its own, as code that is wrong may end it. The first difference goes to stdout.
Found search(const char* name, u64 programs) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(kMostSeconds);
        for (u64 seed = 0; seed < programs; ++seed)
            if (const std::string difference = LockStep(seed, contenders()).run(); !difference.empty()) {
                std::printf("%s: %s\n", name, difference.c_str());
                std::fflush(stdout);
                _exit(static_cast<int>(Found::Difference));
            }
        _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        EXPECT_NE(WTERMSIG(status), SIGALRM) << "no difference in " << kMostSeconds << " seconds";
        return Found::Crash;
    }
    return WEXITSTATUS(status) == 0 ? Found::Nothing : Found::Difference;
}

class TranslatorMutants : public ::testing::TestWithParam<TranslatorMutant> {
    void TearDown() override { active_translator_mutant = TranslatorMutant::None; }
};

TEST_P(TranslatorMutants, AreEachNoticedInLockStep) {
    active_translator_mutant = GetParam();
    EXPECT_NE(search(::testing::PrintToString(GetParam()).c_str(), kMostPrograms), Found::Nothing);
}

INSTANTIATE_TEST_SUITE_P(All, TranslatorMutants, ::testing::ValuesIn(kMutants), ::testing::PrintToStringParamName());

// The rules by which translated code may leave the TLB alone, broken where the Mmu keeps them.
TEST(TranslatorMutantsOfRecentSlots, AreNoticedInLockStep) {
    for (const MmuMutant mutant :
         {MmuMutant::RecentSurvivesTouch, MmuMutant::RecentSurvivesSlowTouch, MmuMutant::FrontSurvivesInvlpg,
          MmuMutant::FrontSurvivesEviction, MmuMutant::WriteTagIgnoresDirty, MmuMutant::WriteTagIgnoresFlags}) {
        active_mmu_mutant = mutant;
        EXPECT_NE(search("recent slots", kMostPrograms), Found::Nothing) << "number " << static_cast<int>(mutant);
    }
    active_mmu_mutant = MmuMutant::None;
}

TEST(TranslatorMutantBuild, AgreesWhenNoBugIsSwitchedOn) { EXPECT_EQ(search("none", 40), Found::Nothing); }

} // namespace
} // namespace test
} // namespace forkscope
