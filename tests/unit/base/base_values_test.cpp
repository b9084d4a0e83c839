// Result, Access, addresses, random numbers, trace events.
#include <gtest/gtest.h>

#include <algorithm>

#include "emu/base/access.hpp"
#include "emu/base/random.hpp"
#include "emu/base/result.hpp"
#include "emu/base/trace.hpp"

namespace forkscope {
namespace {

TEST(Result, HoldsAValueOrAnError) {
    Result<std::string> good = std::string("text");
    EXPECT_TRUE(good.ok());
    EXPECT_EQ(*good, "text");
    EXPECT_EQ(good->size(), 4u);
    const Result<std::string> bad = Error{"no such file", ExitCode::Usage};
    EXPECT_FALSE(bad);
    EXPECT_EQ(bad.error().message, "no such file");
    EXPECT_EQ(bad.error().code, ExitCode::Usage);
    EXPECT_EQ(std::move(good).value(), "text");
}

TEST(Result, OfNothingIsFineUntilToldOtherwise) {
    EXPECT_TRUE(Result<void>().ok());
    const Result<void> bad = Error{"disk full"};
    EXPECT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().code, ExitCode::RuntimeError);
}

TEST(ResultDeathTest, StopsWhoeverReadsTheValueOfAnError) {
    Result<int> bad = Error{"the reason"};
    EXPECT_DEATH(static_cast<void>(bad.value()), "the reason");
    Result<int> good = 1;
    EXPECT_DEATH(static_cast<void>(good.error()), "holds a value");
}

TEST(AssertDeathTest, RunsItsHooksBeforeItStops) {
    const int token = add_assert_hook([] { std::fputs("last events\n", stderr); });
    EXPECT_DEATH(EMU_ASSERT(1 == 2, "number {}", 7), "number 7\nlast events");
    remove_assert_hook(token);
}

TEST(Access, SaysFaultWithoutAValue) {
    EXPECT_TRUE((Access<int>{3, true}).ok);
    EXPECT_FALSE(Access<int>::fault().ok);
    EXPECT_FALSE(Access<void>::fault().ok);
}

TEST(Address, KnowsItsPage) {
    const LinearAddress address(0x12345678);
    EXPECT_EQ(address.page(), 0x12345u);
    EXPECT_EQ(address.offset(), 0x678u);
    EXPECT_EQ(address.page_start().value, 0x12345000u);
    EXPECT_EQ((address + 8) - address, 8);
    EXPECT_EQ(address - (address + 8), -8);
    EXPECT_LT(address, address + 1);
}

TEST(Random, IsXoshiro256StarStarSeededBySplitmix64) {
    // From the authors' reference programs, seed 0.
    Random random(0);
    EXPECT_EQ(random.next(), 0x99EC5F36CB75F2B4ull);
    EXPECT_EQ(random.next(), 0xBF6E1F784956452Aull);
    EXPECT_EQ(random.next(), 0x1A5F849D4933E6E0ull);
}

TEST(Random, IsTheSameForTheSameSeedAndStaysInBounds) {
    Random a(42), b(42), c(43);
    bool differs = false;
    for (int i = 0; i < 1000; ++i) {
        const u64 value = a.next();
        ASSERT_EQ(value, b.next());
        differs |= value != c.next();
    }
    EXPECT_TRUE(differs);
    u32 seen[7] = {};
    for (int i = 0; i < 70000; ++i)
        ++seen[a.below(7)];
    for (const u32 count : seen)
        EXPECT_NEAR(count, 10000, 500);
    EXPECT_EQ(a.below(1), 0u);
}

class OneMoment : public MomentSource {
  public:
    Moment moment() const override {
        ++asked;
        return {1, 2, 3, 4, 3, 0};
    }
    mutable int asked = 0;
};

class Keeper : public TraceSink {
  public:
    void on_event(const TraceEvent& event) override { events.push_back(event); }
    std::vector<TraceEvent> events;
};

TEST(Tracer, StampsEventsAndComputesNothingWithoutASink) {
    Tracer tracer;
    OneMoment source;
    tracer.set_moment_source(&source);
    tracer.emit(TraceKind::Halt);
    EXPECT_EQ(source.asked, 0);
    Keeper keeper;
    tracer.set_sink(&keeper);
    tracer.emit(TraceKind::PteWrite, 10, 11, 12, 1);
    ASSERT_EQ(keeper.events.size(), 1u);
    const TraceEvent& event = keeper.events[0];
    EXPECT_EQ(event.instructions, 1u);
    EXPECT_EQ(event.cycle, 2u);
    EXPECT_EQ(event.eip, 3u);
    EXPECT_EQ(event.address_space, 4u);
    EXPECT_EQ(event.cpl, 3);
    EXPECT_EQ(event.b, 11u);
}

TEST(TraceKind, HasAUniqueNameForEveryKind) {
    std::vector<std::string_view> names;
    for (int kind = 0; kind < static_cast<int>(TraceKind::Count); ++kind) {
        const TraceKindInfo& info = trace_kind_info(static_cast<TraceKind>(kind));
        EXPECT_FALSE(info.text.empty()) << info.name;
        names.push_back(info.name);
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
    EXPECT_EQ(static_cast<int>(TraceKind::PageFault), 1) << "numbers are part of trace files";
    EXPECT_EQ(static_cast<int>(TraceKind::PageTableFrame), 12);
}

} // namespace
} // namespace forkscope
