#include "emu/ui/run_control.hpp"
#include "guest/abi/tracepoints.h"
#include "tests/ui/ui_bench.hpp"

namespace forkscope {
namespace {

using ui::Command;
using ui::RunControl;

// Frames until the machine stands; false if it does not within so many.
bool run_frames(RunControl& control, int frames) {
    for (int i = 0; i < frames && control.running(); ++i)
        control.advance(1.0 / 60);
    return !control.running();
}

std::string status_of(const RunControl& control) {
    View view;
    control.describe(view);
    return view.status;
}

TEST(RunControl, StopsAtEachStopOfAForkInTheGuestsOrder) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    std::vector<u32> seen;
    for (int i = 0; i < 8; ++i) {
        control.obey(Command::NextStop);
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
    control.obey(Command::NextFault);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("page fault at"), std::string::npos) << status_of(control);
    const Machine& machine = bench.machine();
    EXPECT_FALSE(
        machine.mmu().paging().look(LinearAddress(machine.registers().cr2), Privilege::User, AccessKind::Write).ok);
}

TEST(RunControl, StepsOneInstructionAndShowsTheRegistersOfBefore) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(Command::NextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    const u32 before = bench.machine().registers().eip;
    const u64 count = bench.machine().instructions();
    control.obey(Command::StepInstruction);
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
            control.obey(i % 2 == 0 ? Command::NextStop : Command::NextFault);
            ASSERT_TRUE(run_frames(control, 2000));
            control.obey(Command::StepInstruction);
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
    control.obey(Command::RunOrPause);
    EXPECT_TRUE(control.running());
    control.obey(Command::RunOrPause);
    EXPECT_FALSE(control.running());
    EXPECT_NE(status_of(control).find("paused"), std::string::npos);
}

TEST(RunControl, ForgetsAnEarlierWishWhenItIsToldAnother) {
    UiBench bench("run=forkdemo --pages 2");
    RunControl control(bench.session());
    control.obey(Command::NextFault);
    control.obey(Command::NextStop);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("fork, stop 0"), std::string::npos) << status_of(control);
    control.obey(Command::NextFault);
    control.obey(Command::RunOrPause); // pause
    control.obey(Command::RunOrPause);
    ASSERT_TRUE(run_frames(control, 2000));
    EXPECT_NE(status_of(control).find("the guest powered the machine off"), std::string::npos)
        << "pausing cancels the request to stop at the next fault: " << status_of(control);
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
    control.obey(Command::RunOrPause);
    ASSERT_TRUE(run_frames(control, 2)) << "the pause is the debugger's";
    EXPECT_NE(status_of(control).find("gdb holds the machine"), std::string::npos) << status_of(control);
    const Cycles stands = bench.session().machine().now();
    for (const Command command : {Command::RunOrPause, Command::StepInstruction, Command::NextStop}) {
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
    control.obey(Command::RunOrPause);
    control.advance(1.0 / 60);
    EXPECT_TRUE(control.running());
    debugger.says = Debugger::Wants::Run;
    control.advance(1.0 / 60);
    control.obey(Command::RunOrPause);
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
