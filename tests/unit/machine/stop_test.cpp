// Why a run ends: breakpoints with owners, stops that somebody asks for, and what outlives reset and restore.
#include <gtest/gtest.h>

#include "emu/base/trace_vocabulary.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kProgram = 0x1000;
constexpr u32 kResetVector = 0xFFFFFFF0;
// inc ax; inc cx; inc dx; jmp kProgram
constexpr u8 kLoop[] = {0x40, 0x41, 0x42, 0xEB, 0xFB};
// mov al, 1; out 92h, al: the machine's reset
constexpr u8 kReset[] = {0xB0, 0x01, 0xE6, 0x92};

class Stops : public testing::Test {
  protected:
    Stops() : machine(std::move(Machine::create({}).value())) {}

    void start(std::span<const u8> code) {
        ASSERT_TRUE(machine->mmu().poke_physical(PhysicalAddress(kProgram), code));
        CpuState state = machine->registers();
        state.segments[kCs] = SegmentCache::at_reset(0, 0);
        state.eip = kProgram;
        machine->cpu().set_state(state);
    }
    StopReason run(u64 instructions = 100) { return machine->run({kNever, machine->instructions() + instructions}); }
    u32 eip() const { return machine->cpu().linear_eip(); }

    std::unique_ptr<Machine> machine;
};

TEST_F(Stops, NameTheBreakpointThatWasSetFirstAtTheAddress) {
    start(kLoop);
    OwnedBreakpoints& breakpoints = machine->breakpoints();
    const auto one = breakpoints.new_owner();
    const auto other = breakpoints.new_owner();
    const u32 first = breakpoints.add(one, kProgram + 2);
    const u32 second = breakpoints.add(other, kProgram + 2);
    const u32 start_of_loop = breakpoints.add(other, kProgram);
    const auto expect = [&](u32 id, u32 address) {
        const StopReason reason = run();
        EXPECT_EQ(reason.kind, StopKind::Breakpoint);
        EXPECT_EQ(reason.id, id);
        EXPECT_EQ(eip(), address);
    };
    expect(start_of_loop, kProgram);
    expect(first, kProgram + 2);
    expect(start_of_loop, kProgram);
    EXPECT_FALSE(breakpoints.remove(other, first)) << "only who set it may take it away";
    EXPECT_TRUE(breakpoints.remove(one, first));
    EXPECT_FALSE(breakpoints.remove(one, first));
    expect(second, kProgram + 2);
    breakpoints.remove_all(one);
    expect(start_of_loop, kProgram);
    breakpoints.remove_all(other);
    EXPECT_TRUE(breakpoints.all().empty());
    EXPECT_EQ(run().kind, StopKind::Limit);
}

TEST_F(Stops, LetAStepLeaveTheBreakpointOnWhichItBegins) {
    start(kLoop);
    const auto owner = machine->breakpoints().new_owner();
    machine->breakpoints().add(owner, kProgram);
    const u32 next = machine->breakpoints().add(owner, kProgram + 1);
    const StopReason reason = machine->step();
    EXPECT_EQ(reason.kind, StopKind::Breakpoint) << "the step ends on another one";
    EXPECT_EQ(reason.id, next);
    EXPECT_EQ(eip(), kProgram + 1);
    EXPECT_EQ(machine->instructions(), 1u);
    EXPECT_EQ(machine->step().kind, StopKind::Limit);
    EXPECT_EQ(eip(), kProgram + 2);
}

TEST_F(Stops, ComeAgainAfterAReset) {
    start(kReset);
    const u32 id = machine->breakpoints().add(machine->breakpoints().new_owner(), kResetVector);
    const StopReason reason = run();
    EXPECT_EQ(reason.kind, StopKind::Breakpoint);
    EXPECT_EQ(reason.id, id);
    EXPECT_EQ(eip(), kResetVector);
}

TEST_F(Stops, ComeAgainAfterARestoreAndLeaveNoTraceInTheHash) {
    start(kLoop);
    const Snapshot before = machine->snapshot();
    const u64 hash = machine->hash();
    const u32 id = machine->breakpoints().add(machine->breakpoints().new_owner(), kProgram + 2);
    EXPECT_EQ(machine->hash(), hash);
    for (int i = 0; i < 3; ++i) {
        const StopReason reason = run();
        EXPECT_EQ(reason.kind, StopKind::Breakpoint) << i;
        EXPECT_EQ(reason.id, id);
        EXPECT_EQ(machine->instructions(), 2u);
        ASSERT_TRUE(machine->restore(before).ok());
        EXPECT_EQ(machine->hash(), hash);
    }
}

TEST_F(Stops, ComeOnceForEachArrivalAlsoWhereNothingRetiresInBetween) {
    start(kLoop);
    const auto owner = machine->breakpoints().new_owner();
    machine->breakpoints().add(owner, kProgram);
    EXPECT_EQ(run().kind, StopKind::Breakpoint);
    // Somebody moves the program counter, as a debugger may.
    machine->breakpoints().add(owner, kProgram + 3);
    CpuState state = machine->registers();
    state.eip = kProgram + 3;
    machine->cpu().set_state(state);
    EXPECT_EQ(run().kind, StopKind::Breakpoint);
    EXPECT_EQ(eip(), kProgram + 3);
}

TEST_F(Stops, NameWhoAskedFirst) {
    start(kLoop);
    machine->request_stop(5);
    machine->request_stop(6);
    StopReason reason = run();
    EXPECT_EQ(reason.kind, StopKind::Requested);
    EXPECT_EQ(reason.id, 5u);
    EXPECT_EQ(machine->instructions(), 0u);
    machine->request_stop();
    reason = run();
    EXPECT_EQ(reason.kind, StopKind::Requested);
    EXPECT_EQ(reason.id, 0u);
    EXPECT_EQ(run().kind, StopKind::Limit);
}

// Asks for a stop while the guest's reset is under way.
class AsksAtReset : public TraceSink {
  public:
    explicit AsksAtReset(Machine& machine) : machine_(machine) { machine_.set_trace_sink(this); }
    ~AsksAtReset() override { machine_.set_trace_sink(nullptr); }
    TraceKinds kinds() const override { return trace_kinds({TraceKind::TlbFlush}); }
    void on_event(const TraceEvent&) override { machine_.request_stop(9); }

  private:
    Machine& machine_;
};

TEST_F(Stops, AreNotLostInAReset) {
    start(kReset);
    const AsksAtReset observer(*machine);
    const StopReason reason = run();
    EXPECT_EQ(reason.kind, StopKind::Requested);
    EXPECT_EQ(reason.id, 9u);
    EXPECT_EQ(eip(), kResetVector);
}

} // namespace
} // namespace forkscope::test
