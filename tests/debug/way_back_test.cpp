// Backwards: each step has an inverse, and the stops met on the way back are those met forwards, in reverse.
#include <gtest/gtest.h>

#include <algorithm>

#include "emu/debug/debug_target.hpp"
#include "emu/session/stepper/way_back.hpp"

namespace forkscope::test {
namespace {

class Backwards : public testing::Test {
  protected:
    Backwards() { start("run=forkdemo --pages 4"); }

    void start(const char* command_line) {
        target.reset();
        Options options;
        options.serial = "none";
        options.trace_forks = true;
        options.machine.ram_bytes = u64{16} << 20;
        options.machine.command_line = command_line;
        session = std::move(Session::create(options).value());
        target = std::make_unique<DebugTarget>(*session);
        session->keep_past();
    }

    Timeline& timeline() { return *session->timeline(); }
    Machine& machine() { return session->machine(); }
    void run_to(u64 instructions) { timeline().run({kNever, instructions}); }
    // What gdb would be told of, from here to a count of instructions.
    std::vector<Position> stops_until(u64 instructions) {
        std::vector<Position> stops;
        while (machine().instructions() < instructions) {
            const StopReason reason = timeline().run({kNever, instructions});
            if (target->take_hit() || (reason.kind == StopKind::Breakpoint && target->breakpoint_here()))
                stops.push_back(timeline().position());
        }
        return stops;
    }
    std::vector<Position> stops_back() {
        std::vector<Position> stops;
        for (;;) {
            WayBack way(timeline(), machine(), [this](const StopReason& reason) {
                if (target->take_hit())
                    return WayBack::Met::ByTheLastInstruction;
                const bool here = reason.kind == StopKind::Breakpoint && target->breakpoint_here();
                return here ? WayBack::Met::Here : WayBack::Met::No;
            });
            auto progress = way.search();
            while (progress.ok() && *progress == WayBack::Progress::Searching)
                progress = way.search();
            EXPECT_TRUE(progress.ok()) << (progress.ok() ? "" : progress.error().message);
            if (!progress.ok() || *progress == WayBack::Progress::AtBeginning)
                return stops;
            stops.push_back(timeline().position());
        }
    }
    u32 kernel(const char* symbol) { return session->symbols().places_of(symbol).at(0); }

    std::unique_ptr<Session> session;
    std::unique_ptr<DebugTarget> target;
};

// Through a page fault's delivery, IRET, repeated strings and port accesses of a fork.
TEST_F(Backwards, AStepIsTheInverseOfAStep) {
    constexpr u64 kBefore = 150, kSteps = 300;
    run_to(488'000);
    while (timeline().position().deliveries == 0)
        timeline().step();
    ASSERT_TRUE(timeline().go_to(machine().instructions() - kBefore).ok());
    std::vector<std::pair<Position, u64>> places;
    for (u64 i = 0; i < kSteps; ++i) {
        places.emplace_back(timeline().position(), machine().hash());
        timeline().step();
    }
    for (std::size_t i = places.size(); i-- > 0;) {
        const auto back = step_back(timeline(), machine());
        ASSERT_TRUE(back.ok() && *back);
        ASSERT_EQ(timeline().position(), places[i].first) << i;
        if (i % 20 == 0) {
            ASSERT_EQ(machine().hash(), places[i].second) << i;
        }
    }
}

TEST_F(Backwards, SleepIsOneStepHoweverLong) {
    start(""); // a shell that nobody talks to
    while (!machine().cpu().halted())
        ASSERT_EQ(timeline().run({kNever, machine().instructions() + 1}).kind, StopKind::Limit);
    const u64 asleep = machine().instructions();
    while (machine().cpu().halted())
        timeline().step(); // a cycle each
    ASSERT_EQ(machine().instructions(), asleep) << "woken by a delivery";
    const auto back = step_back(timeline(), machine());
    ASSERT_TRUE(back.ok() && *back);
    EXPECT_TRUE(machine().cpu().halted());
    EXPECT_EQ(machine().instructions(), asleep);
    EXPECT_EQ(timeline().position().deliveries, 0u);
}

TEST_F(Backwards, EndsAtTheBeginning) {
    const Position beginning = timeline().position();
    timeline().step();
    auto back = step_back(timeline(), machine());
    EXPECT_TRUE(back.ok() && *back);
    EXPECT_EQ(timeline().position(), beginning);
    back = step_back(timeline(), machine());
    EXPECT_TRUE(back.ok() && !*back);
    EXPECT_EQ(timeline().position(), beginning);
}

TEST_F(Backwards, BreakpointsAreMetInReverse) {
    ASSERT_TRUE(target->insert(PointKind::Software, kernel("fork_process"), 1));
    ASSERT_TRUE(target->insert(PointKind::Hardware, kernel("schedule"), 1));
    constexpr u64 kEnd = 700'000;
    std::vector<Position> forwards = stops_until(kEnd);
    ASSERT_GT(forwards.size(), 5u);
    std::vector<Position> back = stops_back();
    std::reverse(back.begin(), back.end());
    EXPECT_EQ(back, forwards);
    EXPECT_EQ(timeline().position(), timeline().beginning());
    EXPECT_EQ(stops_until(kEnd), forwards) << "and once more forwards";
}

TEST_F(Backwards, AStoreIsMetBeforeItIsDone) {
    const u32 word = *session->symbols().address_of("current_thread");
    ASSERT_TRUE(target->insert(PointKind::Write, word, 4));
    constexpr u64 kEnd = 700'000;
    const std::vector<Position> forwards = stops_until(kEnd);
    ASSERT_GT(forwards.size(), 3u);
    std::vector<Position> back = stops_back();
    std::reverse(back.begin(), back.end());
    ASSERT_EQ(back.size(), forwards.size());
    std::vector<u8> last;
    for (std::size_t i = 0; i < back.size(); ++i) {
        ASSERT_TRUE(timeline().go_to(back[i]).ok());
        const AddressSpace space(machine().registers().cr3);
        const auto before = target->read(word, 4, space);
        if (i > 0) {
            EXPECT_EQ(before, last) << "memory is as the last store left it";
        }
        timeline().step();
        EXPECT_EQ(timeline().position(), forwards[i]) << "the storing instruction was next";
        last = target->read(word, 4, space);
    }
}

TEST_F(Backwards, WritesInThePastAreRefusedUntilABranchIsAllowed) {
    run_to(500'000);
    ASSERT_TRUE(timeline().go_to(400'000).ok());
    const u8 value[] = {1, 2, 3, 4};
    const AddressSpace space(machine().registers().cr3);
    const u32 stack = machine().registers().esp();
    const u64 hash = machine().hash();
    EXPECT_FALSE(target->write(stack, value, space));
    EXPECT_FALSE(target->write_register(0, value));
    EXPECT_EQ(machine().hash(), hash);
    target->allow_branch();
    EXPECT_TRUE(target->write_register(0, value));
    EXPECT_EQ(machine().registers().reg<u32>(kEax), 0x04030201u);
    EXPECT_EQ(timeline().branches().size(), 2u);
    EXPECT_TRUE(target->write(stack, value, space)) << "this is the present now";
    EXPECT_EQ(timeline().branches().size(), 2u);
    EXPECT_EQ(target->read(stack, 4, space), std::vector<u8>(value, value + 4));
    timeline().step();
    ASSERT_TRUE(timeline().go_to(400'000).ok());
    EXPECT_EQ(machine().registers().reg<u32>(kEax), 0x04030201u) << "what was written is an input of the branch";
}

} // namespace
} // namespace forkscope::test
