// What is met forwards is met backwards, at every grain; both ends of history are answers.
#include <algorithm>
#include <ctime>
#include <functional>
#include <set>

#include "emu/base/random.hpp"
#include "tests/unit/stepper/stepped_session.hpp"

namespace forkscope {

namespace {

// Where `times` moves led, one after the other.
std::vector<Position> moves(Stepper& stepper, Grain grain, Way way, int times) {
    std::vector<Position> places;
    for (int i = 0; i < times; ++i) {
        const auto arrival = stepper.move(grain, way);
        EXPECT_TRUE(arrival.ok()) << arrival.error().message;
        if (arrival->end != Arrival::End::Met && arrival->end != Arrival::End::Done)
            break; // the guest has ended
        places.push_back(stepper.timeline().position());
    }
    return places;
}

class StepperOf : public ::testing::TestWithParam<std::string> {};

} // namespace

TEST_P(StepperOf, MeetsBackwardsWhatItMetForwards) {
    constexpr int kTimes = 6;
    for (const GrainName& grain : grain_names()) {
        if (grain.condition.empty() && grain.grain != Grain::Instruction)
            continue;
        SCOPED_TRACE(grain.name);
        const auto session = session_in_fork(GetParam());
        Stepper stepper(*session);
        std::vector<Position> there = moves(stepper, grain.grain, Way::Forwards, kTimes);
        ASSERT_TRUE(std::is_sorted(there.begin(), there.end()));
        ASSERT_GE(there.size(), 4u);
        ASSERT_TRUE(stepper.go_to(there.back()).ok());
        there.pop_back();
        std::reverse(there.begin(), there.end());
        EXPECT_EQ(moves(stepper, grain.grain, Way::Backwards, static_cast<int>(there.size())), there);
    }
}

TEST_P(StepperOf, ComesBackToEachLineThatItStepped) {
    for (const Grain grain : {Grain::Line, Grain::Over}) {
        const auto session = session_in_fork(GetParam());
        Stepper stepper(*session);
        std::vector<Position> there = moves(stepper, grain, Way::Forwards, 8);
        there.pop_back();
        for (; !there.empty(); there.pop_back()) {
            while (stepper.timeline().position() > there.back())
                ASSERT_EQ(stepper.move(grain, Way::Backwards)->end, Arrival::End::Done);
            if (grain == Grain::Line) {
                EXPECT_EQ(stepper.timeline().position(), there.back());
            }
        }
    }
}

TEST_P(StepperOf, LeavesAFunctionBehindItsCallAndComesBackBeforeIt) {
    const auto session = session_in_fork(GetParam(), "fork_process");
    Stepper stepper(*session);
    const Position inside = stepper.timeline().position();
    ASSERT_EQ(stepper.move(Grain::Out, Way::Forwards)->end, Arrival::End::Met);
    EXPECT_GT(stepper.timeline().position(), inside);
    EXPECT_EQ(session->place().find("fork_process"), std::string::npos) << session->place();
    ASSERT_TRUE(stepper.go_to(inside).ok());
    ASSERT_TRUE(stepper.move(Grain::Instruction, Way::Forwards, 3).ok());
    ASSERT_EQ(stepper.move(Grain::Out, Way::Backwards)->end, Arrival::End::Done);
    EXPECT_EQ(stepper.timeline().position().instructions + 1, inside.instructions);
}

// A stop's place is one: where a step leads, what the record says, where the timeline's marks and its row lead.
TEST_P(StepperOf, ReachesEachStopWhereItsForkSaysThatItWas) {
    const auto session = session_in_fork(GetParam(), "stop:0");
    Stepper stepper(*session);
    std::set<u64> places = {stepper.timeline().position().instructions};
    for (const Position& place : moves(stepper, Grain::Stop, Way::Forwards, 7))
        places.insert(place.instructions);
    const ForkTracer& tracer = *session->tracer();
    const ForkRecord* const fork = tracer.current() != nullptr ? tracer.current() : tracer.last();
    ASSERT_NE(fork, nullptr);
    ASSERT_GE(fork->stops.size(), 5u);
    for (const ForkStop& stop : fork->stops)
        EXPECT_EQ(places.count(stop.reached_instructions), 1u) << fork_stop_name(stop.id).number;
    EXPECT_LT(fork->stops[0].begin_instructions, fork->stops[0].reached_instructions) << "the way to it is its own";
}

INSTANTIATE_TEST_SUITE_P(Systems, StepperOf, ::testing::ValuesIn(embedded_kernel_names()),
                         [](const auto& name) { return name.param; });

// icicle-emu #103: a step back that meets the breakpoint that it started from.
TEST(Stepper, StepsBackFromABreakpointAndMeetsItAgainForwards) {
    const auto session = session_in_fork();
    Stepper stepper(*session);
    ASSERT_TRUE(stepper.add_breakpoint("set_pte").ok());
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::Met);
    const Position first = stepper.timeline().position();
    ASSERT_EQ(stepper.move(Grain::Instruction, Way::Backwards)->end, Arrival::End::Done);
    EXPECT_EQ(stepper.timeline().position().instructions + 1, first.instructions);
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::Met);
    EXPECT_EQ(stepper.timeline().position(), first);
    // Copperline #84: it is still there after any way back.
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::Met);
    const Position second = stepper.timeline().position();
    ASSERT_TRUE(stepper.go_to("begin").ok());
    ASSERT_TRUE(stepper.go_to(first).ok());
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::Met);
    EXPECT_EQ(stepper.timeline().position(), second);
    // openMSX #2010: run backwards to the breakpoint.
    ASSERT_EQ(stepper.go_on(Way::Backwards)->end, Arrival::End::Met);
    EXPECT_EQ(stepper.timeline().position(), first);
}

// Whatever brought the machine there, an interrupt's delivery among them, a breakpoint at the present is met by one who
// comes from the past, once.
TEST(Stepper, MeetsABreakpointAtThePresentFromThePast) {
    const auto check = [](const std::function<Result<Arrival>(Stepper&)>& reach, u32 deliveries) {
        const auto session = session_in_fork();
        Stepper stepper(*session);
        ASSERT_TRUE(reach(stepper).ok());
        const Position present = stepper.timeline().position();
        ASSERT_GE(present.deliveries, deliveries);
        const std::string here = fmt::format("{:#x}", session->machine().cpu().linear_eip());
        ASSERT_EQ(stepper.move(Grain::Instruction, Way::Backwards, 3)->end, Arrival::End::Done);
        ASSERT_TRUE(stepper.add_breakpoint(here).ok());
        Arrival arrival = stepper.go_on(Way::Forwards).value();
        while (arrival.end == Arrival::End::Met && stepper.timeline().in_past())
            arrival = stepper.go_on(Way::Forwards).value();
        EXPECT_EQ(arrival.end, Arrival::End::Met) << here << ": " << arrival.why;
        EXPECT_EQ(stepper.timeline().position(), present);
        EXPECT_TRUE(stepper.go_on(Way::Forwards).ok());
        EXPECT_GT(stepper.timeline().position(), present) << "it was met already";
    };
    check([](Stepper& stepper) { return stepper.run_until("interrupt(0x20)", Way::Forwards); }, 1);
    for (const GrainName& grain : grain_names()) {
        SCOPED_TRACE(grain.name);
        check([&](Stepper& stepper) { return stepper.move(grain.grain, Way::Forwards); }, 0);
    }
}

// rr #1516 and #1490: both ends stop, say so, and can be left again.
TEST(Stepper, SaysWhereHistoryBeginsAndEnds) {
    const auto session = session_in_fork();
    Stepper stepper(*session);
    const Position end = stepper.timeline().position();
    ASSERT_EQ(stepper.go_on(Way::Backwards)->end, Arrival::End::Beginning);
    EXPECT_EQ(stepper.timeline().position(), stepper.timeline().beginning());
    ASSERT_EQ(stepper.move(Grain::Instruction, Way::Backwards)->end, Arrival::End::Beginning);
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::Present);
    EXPECT_EQ(stepper.timeline().position(), end);
    ASSERT_EQ(stepper.go_on(Way::Forwards)->end, Arrival::End::GuestEnded);
    const Position last = stepper.timeline().position();
    ASSERT_EQ(stepper.move(Grain::Fault, Way::Backwards)->end, Arrival::End::Met);
    EXPECT_LT(stepper.timeline().position(), last);
    EXPECT_GT(stepper.timeline().position(), end);
}

// coffee-gb #330: a future that is kept although memory was edited. Here it is kept, as another branch.
TEST(Stepper, StartsABranchWhereThePastIsChanged) {
    const auto session = session_in_fork();
    Stepper stepper(*session);
    Timeline& timeline = stepper.timeline();
    ASSERT_EQ(stepper.move(Grain::Stop, Way::Forwards, 3)->end, Arrival::End::Met);
    const Position end = timeline.position();
    const u64 hash = session->machine().hash();
    ASSERT_EQ(stepper.move(Grain::Stop, Way::Backwards)->end, Arrival::End::Met);
    const Position change = timeline.position();
    session->inject({.kind = InputKind::Register, .size = 4, .data = 0, .address = 0});
    EXPECT_EQ(timeline.present().id, 2u);
    EXPECT_EQ(timeline.present().parent, 1u);
    EXPECT_EQ(timeline.present().from, change);
    EXPECT_FALSE(timeline.in_past());
    EXPECT_EQ(session->machine().registers().reg<u32>(kEax), 0u);
    ASSERT_TRUE(timeline.switch_to(1, end).ok());
    EXPECT_EQ(session->machine().hash(), hash);
    ASSERT_TRUE(timeline.switch_to(2, change).ok());
    EXPECT_FALSE(timeline.drop(2).ok());
    ASSERT_TRUE(timeline.drop(1).ok());
    EXPECT_FALSE(timeline.switch_to(1, end).ok());
}

// The stale translation is what one looks for: it must be there again.
TEST(Stepper, KeepsAStaleTranslationOnTheWayBackAndForwards) {
    const auto session = session_in_fork("lunaix", "fork");
    Stepper stepper(*session);
    // Between a write-protection and its flush the TLB still grants the write.
    ASSERT_EQ(stepper.run_until("stale(0xbfffe000)", Way::Forwards)->end, Arrival::End::Met);
    const Position stale = stepper.timeline().position();
    ASSERT_EQ(stepper.move(Grain::TlbFlush, Way::Forwards)->end, Arrival::End::Met);
    const Position flushed = stepper.timeline().position();
    ASSERT_EQ(stepper.run_until("stale(0xbfffe000)", Way::Backwards)->end, Arrival::End::Met);
    EXPECT_EQ(stepper.timeline().position(), stale);
    ASSERT_EQ(stepper.move(Grain::TlbFlush, Way::Forwards)->end, Arrival::End::Met);
    EXPECT_EQ(stepper.timeline().position(), flushed);
}

TEST(Stepper, GoesManyInstructionsBackAsOneByOne) {
    const auto session = session_in_fork("lunaix", "fault");
    Stepper stepper(*session);
    ASSERT_EQ(stepper.move(Grain::Fault, Way::Forwards)->end, Arrival::End::Met); // deliveries are on the way
    ASSERT_TRUE(stepper.move(Grain::Instruction, Way::Forwards, 50).ok());
    const Position here = stepper.timeline().position();
    for (int i = 0; i < 120; ++i)
        ASSERT_TRUE(stepper.move(Grain::Instruction, Way::Backwards).ok());
    const Position there = stepper.timeline().position();
    ASSERT_TRUE(stepper.go_to(here).ok());
    ASSERT_EQ(stepper.move(Grain::Instruction, Way::Backwards, 120)->end, Arrival::End::Done);
    EXPECT_EQ(stepper.timeline().position(), there);
    ASSERT_EQ(stepper.move(Grain::Instruction, Way::Backwards, 10'000'000)->end, Arrival::End::Beginning);
    EXPECT_EQ(stepper.timeline().position(), stepper.timeline().beginning());
}

TEST(Stepper, ReadsPlacesAndBookmarks) {
    const auto session = session_in_fork();
    Stepper stepper(*session);
    const Position here = stepper.timeline().position();
    stepper.set_bookmark("here");
    ASSERT_TRUE(stepper.go_to("begin").ok());
    ASSERT_TRUE(stepper.go_to("here").ok());
    EXPECT_EQ(stepper.timeline().position(), here);
    ASSERT_TRUE(stepper.go_to("500000").ok());
    EXPECT_EQ(stepper.timeline().position().instructions, 500'000u);
    ASSERT_TRUE(stepper.go_to("0.01s").ok());
    EXPECT_GE(stepper.timeline().position().cycle, 1'000'000u);
    EXPECT_LT(stepper.timeline().position().cycle, 1'001'000u);
    const Position after_ten_milliseconds = stepper.timeline().position();
    ASSERT_TRUE(stepper.go_to("begin").ok());
    ASSERT_TRUE(stepper.go_to("10ms").ok());
    EXPECT_EQ(stepper.timeline().position(), after_ten_milliseconds);
    for (const char* bad :
         {"", "nowhere", "12x", "-1", "1e99s", "ms", "1e99ms", "99999999999999999999", "0x10", "500000+200"})
        EXPECT_FALSE(stepper.go_to(bad).ok()) << bad;
    EXPECT_FALSE(stepper.go_to(std::to_string(here.instructions + 1)).ok());
}

// A condition that is asked after each instruction: a cycle costs the host a hundred times as much as usual.
TEST(Stepper, AsksAtLeastTenTimesASecondWhetherToGoOn) {
    const auto cpu_seconds = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
    const auto session = session_in_fork("lunaix", "fork");
    Stepper stepper(*session);
    const Position end = stepper.timeline().position();
    for (const Way way : {Way::Forwards, Way::Backwards}) {
        const Position from = way == Way::Forwards ? stepper.timeline().beginning() : end;
        stepper.set_interrupted({});
        ASSERT_TRUE(stepper.go_to(from).ok());
        const double began = cpu_seconds();
        double last = began, longest = 0;
        stepper.set_interrupted([&] {
            longest = std::max(longest, cpu_seconds() - last);
            last = cpu_seconds();
            return last - began > 0.03;
        });
        const auto arrival = stepper.run_until("eax == 0x12345678 && ebx == 0x87654321", way);
        ASSERT_TRUE(arrival.ok());
        EXPECT_EQ(arrival->end, Arrival::End::Interrupted) << arrival->why;
        EXPECT_LT(std::max(longest, cpu_seconds() - last), 0.1);
        if (way == Way::Backwards) {
            EXPECT_EQ(stepper.timeline().position(), end);
            EXPECT_NE(arrival->why.find("from instruction"), std::string::npos) << arrival->why;
        }
    }
}

// The exit code of a window that is closed in the past, too.
TEST(Stepper, HasNoOutcomeWhereTheRunHasNotEnded) {
    Options options;
    options.command = Command::Step;
    options.os = "lunaix";
    options.machine.command_line = "run=forkdemo --pages 8";
    options.serial = "none";
    options.history = u64{128} << 20;
    options.limit.instructions = 100'000;
    auto session = std::move(Session::create(options)).value();
    ASSERT_EQ(session->run_to_end().code, ExitCode::LimitReached);
    EXPECT_EQ(session->outcome_here().code, ExitCode::LimitReached);
    Stepper stepper(*session);
    const Position end = stepper.timeline().position();
    ASSERT_TRUE(stepper.move(Grain::Instruction, Way::Backwards).ok());
    EXPECT_EQ(session->outcome_here().code, ExitCode::Ok);
    ASSERT_TRUE(stepper.go_to(end).ok());
    EXPECT_EQ(session->outcome_here().code, ExitCode::LimitReached);
}

} // namespace forkscope
