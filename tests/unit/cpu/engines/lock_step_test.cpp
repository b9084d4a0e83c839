// Every engine is the others', whatever the program does and however the run is cut.
#include <gtest/gtest.h>

#include <cstdlib>

#ifdef FORKSCOPE_TRANSLATOR
#include "cpu/engine/translator/translator_engine.hpp"
#include "emu/files/code_memory.hpp"
#endif
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
    u64 ended = 0, entries = 0, instructions = 0, events = 0;
    for (u64 seed = first; seed < first + programs; ++seed) {
        LockStep step(seed, every_contender());
        ASSERT_EQ(step.run(), "");
        ended += step.ended();
        entries += step.entries();
        instructions += step.instructions();
        events += step.events();
    }
    RecordProperty("instructions", std::to_string(instructions));
    EXPECT_GT(instructions / programs, 200u) << "the programs lose their way at once";
    EXPECT_GT(events / programs, 40u) << "nobody listens";
    EXPECT_GT(ended * 10, programs) << "the programs do not come to an end";
    if (kHasTranslator) {
        EXPECT_GT(entries / programs, 40u) << "the code is not translated";
    }
    std::printf("%llu programs, %llu instructions and %llu events each, %llu ended, code entered %llu times each\n",
                static_cast<unsigned long long>(programs), static_cast<unsigned long long>(instructions / programs),
                static_cast<unsigned long long>(events / programs), static_cast<unsigned long long>(ended),
                static_cast<unsigned long long>(entries / programs));
}

#ifdef FORKSCOPE_TRANSLATOR

// A loop of two blocks, the second of which holds the breakpoint in the end.
TEST(TranslatedCode, RunsBesideBreakpointsAndEndsWhereOneIsSetInIt) {
    CodeRunner runner({EngineKind::Block, true});
    translator::TranslatorEngine* engine = nullptr;
    runner.cpu.set_engine([&](Context& cpu, Interpreter&) {
        auto made = std::make_unique<translator::TranslatorEngine>(cpu, map_code_memory(u64{4} << 20),
                                                                   TranslatorOptions{.threshold = 1});
        engine = made.get();
        return made;
    });
    runner.enter_protected_mode();
    runner.code({0x40, 0xEB, 0x00, 0x42, 0xE2, 0xFA, 0xF4}); // inc eax; jmp; inc edx; loop
    runner.edit().set_reg<u32>(kEax, 0);
    runner.edit().set_reg<u32>(kEdx, 0);
    runner.edit().set_reg<u32>(kEcx, 1000);
    runner.apply();

    runner.cpu.set_breakpoints({CodeRunner::kStart + 0x100});
    EXPECT_EQ(runner.cpu.run_until(~Cycles{0}, runner.cpu.instructions() + 400), CpuStop::Instructions);
    EXPECT_GT(engine->translations(), 1u);
    const u64 entries = engine->entries();
    EXPECT_GT(entries, 0u) << "a breakpoint elsewhere";
    EXPECT_LT(entries, 20u) << "links lead on beside it, too";

    runner.cpu.set_breakpoints({CodeRunner::kStart + 4}); // LOOP
    for (u32 turn = 101; turn < 110; ++turn) {
        EXPECT_EQ(runner.cpu.run_until(~Cycles{0}, runner.cpu.instructions() + 400), CpuStop::Breakpoint);
        EXPECT_EQ(runner.eip(), CodeRunner::kStart + 4);
        EXPECT_EQ(runner.reg(kEdx), turn);
    }
    EXPECT_GT(engine->entries(), entries) << "the block without one";

    runner.cpu.set_breakpoints({});
    EXPECT_EQ(runner.run(), CpuStop::Halted);
    EXPECT_EQ(runner.reg(kEdx), 1000u);
}

#endif

} // namespace
} // namespace forkscope::test
