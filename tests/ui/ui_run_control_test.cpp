#include <fstream>

#include "emu/ui/run_control.hpp"
#include "guest/abi/tracepoints.h"
#include "tests/ui/ui_bench.hpp"

namespace forkscope {
namespace {

using ui::Command;
using ui::move_by;
using ui::RunControl;

const Command kStep = move_by(Grain::Instruction), kBack = move_by(Grain::Instruction, Way::Backwards);
const Command kNextStop = move_by(Grain::Stop), kNextFault = move_by(Grain::Fault);
constexpr u64 kHistory = u64{64} << 20;
const Command kRunOrPause = {.kind = Command::Kind::RunOrPause};

// Frames until the machine stands; false if it does not within so many.
bool run_frames(RunControl& control, int frames) {
    for (int i = 0; i < frames && control.running(); ++i)
        control.advance(1.0 / 60);
    return !control.running();
}

std::string status_of(RunControl& control) {
    View view;
    control.describe(view);
    return view.status;
}

TEST(RunControl, StopsAtEachStopOfAForkInTheGuestsOrder) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    std::vector<u32> seen;
    for (int i = 0; i < 8; ++i) {
        control.obey(kNextStop);
        ASSERT_TRUE(run_frames(control, 2000));
        const ForkRecord* fork = bench.tracer().current();
        seen.push_back(fork != nullptr ? fork->stops.back().id : u32{TP_FORK_LEAVE});
    }
    const std::vector<u32> expected = {TP_FORK_ENTER,     TP_FORK_CHILD_SLOT, TP_FORK_FILES,    TP_FORK_ADDRESS_SPACE,
                                       TP_FORK_REGISTERS, TP_FORK_PROTECT,    TP_FORK_RUNNABLE, TP_FORK_LEAVE};
    EXPECT_EQ(seen, expected);
    EXPECT_NE(status_of(control).find("fork returns"), std::string::npos) << status_of(control);
}

TEST(RunControl, StopsAtThePageFaultBeforeTheHandlerHasDoneAnything) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(kNextFault);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("page fault at"), std::string::npos) << status_of(control);
    const Machine& machine = bench.machine();
    EXPECT_FALSE(
        machine.mmu().paging().look(LinearAddress(machine.registers().cr2), Privilege::User, AccessKind::Write).ok);
}

TEST(RunControl, StepsOneInstructionAndShowsTheRegistersOfBefore) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(kNextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    const u32 before = bench.machine().registers().eip;
    const u64 count = bench.machine().instructions();
    control.obey(kStep);
    EXPECT_EQ(bench.machine().instructions(), count + 1);
    View view;
    control.describe(view);
    EXPECT_TRUE(view.registers.compare);
    EXPECT_EQ(view.registers.before.eip, before);
    EXPECT_NE(bench.machine().registers().eip, before);
}

TEST(RunControl, NeverGetsAheadOfRealTime) {
    UiBench bench("");
    RunControl control(bench.session());
    for (int i = 0; i < 30; ++i)
        control.advance(1.0 / 60);
    const u64 rate = bench.machine().cycles_per_second();
    EXPECT_LE(bench.machine().now(), rate / 2 + rate / 100);
    EXPECT_GT(bench.machine().now(), rate / 100);
}

TEST(RunControl, IsNotFeltByTheGuest) {
    u64 instructions = 0;
    u64 hash = 0;
    {
        UiBench bench("run=forkdemo --pages 4");
        RunControl control(bench.session());
        for (int i = 0; i < 5; ++i) {
            control.obey(i % 2 == 0 ? kNextStop : kNextFault);
            ASSERT_TRUE(run_frames(control, 2000));
            control.obey(kStep);
        }
        instructions = bench.machine().instructions();
        hash = bench.machine().hash();
    }
    UiBench straight("run=forkdemo --pages 4");
    straight.machine().run({kNever, instructions});
    EXPECT_EQ(straight.machine().instructions(), instructions);
    EXPECT_EQ(straight.machine().hash(), hash);
}

TEST(RunControl, SaysThatItPausedAndWhy) {
    UiBench bench("");
    bench.session().stops().set_limit({.instructions = 100'000});
    RunControl control(bench.session());
    ASSERT_TRUE(run_frames(control, 100));
    EXPECT_NE(status_of(control).find("the limit is reached"), std::string::npos) << status_of(control);
    control.obey(kRunOrPause);
    EXPECT_TRUE(control.running());
    control.obey(kRunOrPause);
    EXPECT_FALSE(control.running());
    EXPECT_NE(status_of(control).find("paused"), std::string::npos);
}

TEST(RunControl, ForgetsAnEarlierWishWhenItIsToldAnother) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(kNextFault);
    control.obey(kNextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("fork, stop 0"), std::string::npos) << status_of(control);
    control.obey(kNextFault);
    control.obey(kRunOrPause); // pause
    control.obey(kRunOrPause);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("the guest powered the machine off"), std::string::npos)
        << "pausing cancels the request to stop at the next fault: " << status_of(control);
}

class BothWays : public testing::Test {
  protected:
    void obey(const Command& command) {
        control.obey(command);
        ASSERT_TRUE(run_frames(control, 2000)) << "it runs on and on";
    }
    TimelineView timeline() {
        View view;
        control.describe(view);
        return view.timeline;
    }
    Position here() { return bench.machine().position(); }
    void go_to(u64 instructions) { obey({.kind = Command::Kind::GoTo, .number = instructions}); }

    UiBench bench{"run=forkdemo --pages 2", "lunaix", kHistory};
    RunControl control{bench.session()};
};

TEST_F(BothWays, StopBackwardsWhereTheyStopForwards) {
    for (int i = 0; i < 3; ++i)
        obey(kNextStop);
    for (const ui::MoveKey& key : ui::move_keys()) {
        SCOPED_TRACE(key.button);
        if (key.function_key == 0) // the demo is too short for all of them: below
            continue;
        const Position origin = timeline().end;
        std::vector<std::pair<Position, u64>> seen;
        for (int i = 0; i < 4; ++i) {
            obey(move_by(key.grain));
            seen.emplace_back(here(), bench.machine().hash());
            EXPECT_GT(here(), i == 0 ? origin : seen[seen.size() - 2].first);
            EXPECT_FALSE(control.in_past());
        }
        for (int i = 2; i >= 0; --i) {
            obey(move_by(key.grain, Way::Backwards));
            EXPECT_EQ(here(), seen[static_cast<std::size_t>(i)].first);
            EXPECT_EQ(bench.machine().hash(), seen[static_cast<std::size_t>(i)].second);
            EXPECT_TRUE(control.in_past());
            EXPECT_NE(ui::timeline_text(timeline()).find("in the past, "), std::string::npos);
        }
        for (std::size_t i = 1; i < 4; ++i) {
            obey(move_by(key.grain));
            EXPECT_EQ(here(), seen[i].first);
        }
        EXPECT_FALSE(control.in_past());
    }
}

TEST(RunControl, MovesByEachOtherGrainBothWays) {
    UiBench bench("run=forkstorm 20", "lunaix", kHistory);
    RunControl control(bench.session());
    for (const Grain grain : {Grain::SystemCall, Grain::ContextSwitch, Grain::TlbFill, Grain::TlbFlush}) {
        SCOPED_TRACE(static_cast<int>(grain));
        std::array<Position, 2> seen;
        for (Position& position : seen) {
            control.obey(move_by(grain));
            ASSERT_TRUE(run_frames(control, 2000));
            position = bench.machine().position();
        }
        EXPECT_GT(seen[1], seen[0]);
        control.obey(move_by(grain, Way::Backwards));
        EXPECT_EQ(bench.machine().position(), seen[0]);
        control.obey(move_by(grain));
        EXPECT_EQ(bench.machine().position(), seen[1]);
    }
}

// What a row stands for and what is typed go the same way.
TEST(RunControl, ObeysWordsAndAnswersClicks) {
    UiBench bench("run=forkdemo --pages 2", "lunaix", kHistory);
    RunControl control(bench.session());
    control.obey(kNextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    const u64 stop = bench.machine().instructions(), hash = bench.machine().hash();
    const auto answer = [&] {
        View view;
        control.describe(view);
        return view.answer;
    };
    control.obey({.kind = Command::Kind::Inspect, .subject = RegisterSubject{"eax", 0xc0100000}});
    EXPECT_EQ(answer().title, "eax = c0100000");
    EXPECT_FALSE(answer().offers.empty());
    control.obey(ui::say("show memory 0xc0100000"));
    ASSERT_TRUE(control.choices().memory.has_value());
    EXPECT_EQ(bench.machine().hash(), hash);
    control.obey(ui::say("break fault"));
    View view;
    control.describe(view);
    ASSERT_EQ(view.points.breakpoints.size(), 1u);
    control.obey(kRunOrPause);
    ASSERT_TRUE(run_frames(control, 2000)) << "the breakpoint does not stop a run";
    EXPECT_GT(bench.machine().instructions(), stop);
    control.obey(ui::say("delete 1"));
    control.obey(ui::say(fmt::format("goto {}", stop)));
    EXPECT_TRUE(control.in_past());
    EXPECT_EQ(bench.machine().hash(), hash);
    control.obey(ui::say("nonsense"));
    EXPECT_NE(answer().lines.at(0).find("there is no command"), std::string::npos);
}

TEST_F(BothWays, SaysBothEndsOfHistory) {
    obey(kNextStop);
    const Position end = here();
    const u64 hash = bench.machine().hash();
    obey({.kind = Command::Kind::Reverse});
    EXPECT_NE(status_of(control).find("the beginning of history"), std::string::npos) << status_of(control);
    EXPECT_EQ(here(), timeline().beginning);
    EXPECT_NE(ui::timeline_text(timeline()).find("the beginning of history, "), std::string::npos);
    obey(kBack);
    EXPECT_NE(status_of(control).find("the beginning of history"), std::string::npos) << status_of(control);
    obey(kRunOrPause); // as it went, and no further
    EXPECT_NE(status_of(control).find("the present"), std::string::npos) << status_of(control);
    EXPECT_EQ(here(), end);
    EXPECT_EQ(bench.machine().hash(), hash);
    EXPECT_EQ(ui::timeline_text(timeline()), "the present");
    obey(kBack);
    obey(move_by(Grain::Fault));
    EXPECT_NE(status_of(control).find("the present"), std::string::npos) << "no fault lies between";
    EXPECT_EQ(here(), end);
}

TEST_F(BothWays, ComeBackFromTheGuestsEnd) {
    obey(kRunOrPause); // it has been running: a pause
    obey(kNextStop);
    control.obey(kRunOrPause);
    ASSERT_TRUE(run_frames(control, 4000));
    EXPECT_NE(status_of(control).find("powered the machine off"), std::string::npos) << status_of(control);
    const Position end = here();
    obey(move_by(Grain::Stop, Way::Backwards));
    EXPECT_LT(here(), end);
    EXPECT_NE(status_of(control).find("fork returns"), std::string::npos) << status_of(control);
    obey(kRunOrPause);
    EXPECT_EQ(here(), end);
}

// A kernel that loads an interrupt table of no entries, and then has a breakpoint.
std::string kernel_that_faults_thrice() {
    constexpr u32 kMagic = 0x1BADB002, kHasAddresses = 0x10000, kBase = 0x100000, kHeader = 32;
    const u32 header[] = {kMagic, kHasAddresses, ~(kMagic + kHasAddresses) + 1, kBase, kBase, 0, 0, kBase + kHeader};
    std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
    bytes += std::string("\x90\x0F\x01\x1D\x00\x01\x10\x00\xCC", 9); // nop; lidt [kBase + 0x100]; int3
    bytes.resize(0x200);
    const std::string path = testing::TempDir() + "triple_fault.bin";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
}

TEST(RunControl, ComesBackFromATripleFault) {
    Options options;
    options.kernel_path = kernel_that_faults_thrice();
    options.trace_forks = true;
    options.history = kHistory;
    auto session = Session::create(options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    RunControl control(**session);
    ASSERT_TRUE(run_frames(control, 200));
    const Machine& machine = (*session)->machine();
    ASSERT_TRUE(machine.cpu().shut_down());
    EXPECT_NE(status_of(control).find("triple fault"), std::string::npos) << status_of(control);
    const Position end = machine.position();
    control.obey(kStep);
    EXPECT_EQ(machine.position(), end) << "nothing comes after it";
    control.obey(kBack);
    EXPECT_FALSE(machine.cpu().shut_down());
    EXPECT_LT(machine.position(), end);
    EXPECT_EQ(machine.cpu().linear_eip(), 0x100028u) << "before the breakpoint";
    control.obey(kStep);
    EXPECT_TRUE(machine.cpu().shut_down());
    EXPECT_EQ(machine.position(), end);
    EXPECT_NE(status_of(control).find("triple fault"), std::string::npos) << status_of(control);
}

TEST_F(BothWays, KeepTheMarksOfWhatComesAfter) {
    std::vector<Position> stops;
    for (int i = 0; i < 5; ++i) {
        obey(kNextStop);
        stops.push_back(here());
    }
    obey(kNextFault);
    obey(kRunOrPause);
    const TimelineView before = timeline();
    ASSERT_GE(before.stops.size(), 4u);
    ASSERT_FALSE(before.faults.empty());
    go_to(before.beginning.instructions + 1000);
    EXPECT_EQ(here().instructions, before.beginning.instructions + 1000);
    EXPECT_TRUE(bench.tracer().forks().empty()) << "the tracer went back, too";
    const TimelineView past = timeline();
    EXPECT_EQ(past.stops.size(), before.stops.size());
    EXPECT_EQ(past.faults.size(), before.faults.size());
    EXPECT_EQ(past.end, before.end);
    const auto first = std::find_if(past.stops.begin(), past.stops.end(), [&](const TimelineMark& mark) {
        return mark.instructions == stops[0].instructions;
    });
    ASSERT_NE(first, past.stops.end()) << "stop 0 is marked where F11 stops, not where its system call begins";
    EXPECT_EQ(first->stop, u32{TP_FORK_ENTER});
    int found = 0;
    for (const TimelineMark& mark : past.stops)
        for (const Position& stop : stops)
            if (mark.instructions == stop.instructions) {
                go_to(mark.instructions);
                EXPECT_EQ(here(), stop) << mark.text();
                ++found;
            }
    EXPECT_GE(found, 3) << "marks that do not crowd lead to where F11 stops";
    go_to(before.end.instructions + 5); // a drag beyond the bar's end
    EXPECT_EQ(here(), before.end);
    EXPECT_FALSE(control.in_past());
}

TEST_F(BothWays, StartABranchByAKeyInThePast) {
    for (int i = 0; i < 3; ++i)
        obey(kNextStop);
    const Position end = here();
    const u64 hash = bench.machine().hash();
    obey(move_by(Grain::Stop, Way::Backwards));
    bench.session().inject({.kind = InputKind::Key, .size = 1, .data = 0x1E});
    control.advance(1.0 / 60);
    EXPECT_NE(status_of(control).find("this is branch 2 now"), std::string::npos) << status_of(control);
    EXPECT_EQ(ui::timeline_text(timeline()), "the present of branch 2");
    EXPECT_EQ(timeline().branches.size(), 2u);
    obey(kNextStop);
    EXPECT_FALSE(control.in_past());
    obey({.kind = Command::Kind::Branch, .number = 1});
    EXPECT_EQ(here(), end);
    EXPECT_EQ(bench.machine().hash(), hash);
    EXPECT_NE(status_of(control).find("the end of branch 1"), std::string::npos) << status_of(control);
    obey({.kind = Command::Kind::Branch, .number = 7});
    EXPECT_NE(status_of(control).find("there is no branch 7"), std::string::npos) << status_of(control);
    EXPECT_EQ(here(), end);
}

TEST_F(BothWays, EndWhereSomebodyWantsIt) {
    obey(kNextStop);
    for (int i = 0; i < 4; ++i) { // on the way there, checkpoints are laid
        const u64 count = here().instructions;
        go_to(count / 2);
        go_to(count);
    }
    const Position before = here();
    int asked = 0;
    View view;
    control.set_interrupted([&] {
        control.describe(view);
        return ++asked > 1;
    });
    obey({.kind = Command::Kind::Reverse});
    EXPECT_EQ(asked, 2);
    EXPECT_NE(view.status.find("Esc ends it"), std::string::npos) << view.status;
    EXPECT_NE(status_of(control).find("interrupted"), std::string::npos) << status_of(control);
    EXPECT_EQ(here(), before);
}

TEST(RunControl, SaysThatThereIsNoWayBack) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(kNextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    const u64 count = bench.machine().instructions();
    for (const Command& command : {kBack, Command{.kind = Command::Kind::Reverse}, move_by(Grain::Line)}) {
        control.obey(command);
        EXPECT_NE(status_of(control).find("no past is kept"), std::string::npos) << status_of(control);
        EXPECT_EQ(bench.machine().instructions(), count);
    }
    View view;
    control.describe(view);
    EXPECT_FALSE(view.timeline.kept);
}

// Somebody with a debugger, and what the window may do then.
struct SomeDebugger final : Debugger {
    Wants poll() override { return says; }
    Wants wants() const override { return says; }
    void go_back() override {}
    bool stopped(const StopReason&, const std::optional<Outcome>&) override { return false; }
    void wait(int) override {}
    bool attached() const override { return there; }
    void pause() override { says = Wants::Hold; }
    void release() override { says = Wants::Run; }

    Wants says = Wants::Run;
    bool there = true;
};

TEST(RunControl, FollowsADebuggerAndLeavesItTheMachine) {
    UiBench bench("");
    SomeDebugger debugger;
    bench.session().set_debugger(&debugger);
    RunControl control(bench.session());
    control.advance(1.0 / 60);
    EXPECT_TRUE(control.running());
    control.obey(kRunOrPause);
    ASSERT_TRUE(run_frames(control, 2)) << "the pause is the debugger's";
    EXPECT_NE(status_of(control).find("gdb holds the machine"), std::string::npos) << status_of(control);
    const Cycles stands = bench.session().machine().now();
    for (const Command& command : {kRunOrPause, kStep, kBack, kNextStop, Command{.kind = Command::Kind::GoTo}}) {
        control.obey(command);
        control.advance(1.0 / 60);
        EXPECT_FALSE(control.running());
        EXPECT_NE(status_of(control).find("continue there"), std::string::npos) << status_of(control);
    }
    EXPECT_EQ(bench.session().machine().now(), stands);
    debugger.says = Debugger::Wants::Run;
    control.advance(1.0 / 60);
    EXPECT_TRUE(control.running());
    EXPECT_GT(bench.session().machine().now(), stands);
    debugger.there = false; // gone, and the machine waits for the next one
    debugger.says = Debugger::Wants::Hold;
    ASSERT_TRUE(run_frames(control, 2));
    control.obey(kRunOrPause);
    control.advance(1.0 / 60);
    EXPECT_TRUE(control.running());
    debugger.says = Debugger::Wants::Run;
    control.advance(1.0 / 60);
    control.obey(kRunOrPause);
    ASSERT_FALSE(control.running()) << "nobody debugs: the pause is the window's";
    debugger.there = true;
    debugger.says = Debugger::Wants::Hold;
    control.advance(1.0 / 60);
    EXPECT_NE(status_of(control).find("gdb holds the machine"), std::string::npos) << status_of(control);
    debugger.says = Debugger::Wants::Run;
    control.advance(1.0 / 60);
    EXPECT_TRUE(control.running()) << "gdb continues, whoever had stopped the machine before";
    bench.session().set_debugger(nullptr);
}

} // namespace
} // namespace forkscope
