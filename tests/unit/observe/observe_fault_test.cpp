#include <gtest/gtest.h>

#include "observe_fork_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

// One process; every closed fault is kept.
struct FaultScene : ForkScene {
    FaultScene() : ForkScene(4) {
        tracer->set_fault_listener([this](const FaultRef& fault) { closed.push_back(*fault); });
        start();
    }
    // Plays a fault on an absent page that the kernel resolves with the frame.
    void fill_page(u32 page, u32 with, u32 error_code, u32 stated, u8 at_cpl = 3) {
        make_table(parent, page);
        const u32 at = at_cpl == 3 ? kWriteInstruction : 0xC0103000u;
        fault(page + 8, error_code, at, at_cpl);
        tracepoint(TP_FAULT_ENTER, 3, page + 8, error_code);
        write_entry(entry_address(parent, page), with | kUserWrite);
        if (stated != 0)
            tracepoint(TP_FAULT_LEAVE, 3, page + 8, stated);
        return_to(at, at_cpl);
    }
    const FaultRecord& only() const {
        EXPECT_EQ(closed.size(), 1u);
        return closed.at(0);
    }
    std::vector<FaultRecord> closed;
};

} // namespace

TEST(FaultRecord, HoldsEveryLevelOfTheWalkBeforeAndAfter) {
    FaultScene scene;
    const u32 zero = scene.fresh(0);
    scene.make_table(scene.parent, 0x50000000);
    const Cycles before = scene.cycle;
    scene.fill_page(0x50000000, zero, kFaultWrite | kFaultUser, 0);
    const FaultRecord& fault = scene.only();
    EXPECT_FALSE(fault.before.present);
    EXPECT_NE(fault.before.directory_entry, 0u);
    EXPECT_EQ(fault.before.table_entry, 0u);
    EXPECT_TRUE(fault.after.writable());
    EXPECT_EQ(fault.after.frame, zero);
    EXPECT_EQ(fault.before.table_entry_address, fault.after.table_entry_address);
    EXPECT_EQ(fault.pid, 3u);
    EXPECT_EQ(fault.begin_cycle, before + 10);
    EXPECT_EQ(fault.spent.cycles, fault.end_cycle - fault.begin_cycle);
    EXPECT_EQ(fault.pte_writes, 1u);
    EXPECT_EQ(fault.frames_taken, std::vector<u32>{zero});
    EXPECT_EQ(scene.tracer->faults().open_count(), 0u);
}

TEST(FaultRecord, ClassifiesFromTheHardwareAlone) {
    FaultScene scene;
    scene.tracepoints = false;
    scene.fill_page(0x50000000, scene.fresh(0), kFaultWrite | kFaultUser, 0);
    scene.fill_page(0x50001000, scene.fresh(7), kFaultUser, 0);
    scene.fill_page(0xBFFF0000, scene.fresh(0), kFaultWrite | kFaultUser, 0);
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUser);
    scene.cow_fault(scene.parent, 3, kPages, true);
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUser);
    scene.cow_fault(scene.parent, 3, kPages, false);
    // Writable in the tables: only a stale translation can have faulted.
    scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.return_to(kWriteInstruction, 3);
    // It is not mapped: the program is sent to its signal handler.
    scene.fault(0x00000004, kFaultUser, kWriteInstruction);
    scene.return_to(0x00010900, 3);
    // And once more before its handler has mapped anything.
    scene.fault(0x00000008, kFaultUser, kWriteInstruction + 4);
    scene.return_to(0x00010900, 3);
    const FaultClass expected[] = {FaultClass::DemandZero, FaultClass::File,     FaultClass::Stack,
                                   FaultClass::CowCopy,    FaultClass::CowReuse, FaultClass::Spurious,
                                   FaultClass::Protection};
    ASSERT_EQ(scene.closed.size(), std::size(expected));
    for (std::size_t i = 0; i < std::size(expected); ++i) {
        EXPECT_EQ(fault_class_name(scene.closed[i].fault_class), std::string(fault_class_name(expected[i]))) << i;
        EXPECT_TRUE(scene.closed[i].findings.empty());
        EXPECT_EQ(scene.closed[i].resolved, expected[i] != FaultClass::Protection);
    }
}

// A kernel may return from SYSENTER anywhere, so that nothing but the privilege tells that the call is over.
// The kernel only tells the program of its fault; the program's handler copies the page by system calls and goes back
// to the access without the kernel.
TEST(FaultRecord, IsResolvedWhereTheProgramsOwnHandlerHasThePageMapped) {
    FaultScene scene;
    scene.tracepoints = false;
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUser);
    scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.return_to(0x00010900, 3);
    EXPECT_TRUE(scene.closed.empty());
    scene.enter_system_call(0x00010950);
    scene.write_entry(scene.entry_address(scene.parent, kPages + kPageSize), scene.fresh(9) | kUserWrite);
    EXPECT_TRUE(scene.closed.empty());
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUserWrite);
    ASSERT_EQ(scene.closed.size(), 1u);
    EXPECT_EQ(scene.closed[0].page, FaultClass::CowCopy);
    EXPECT_TRUE(scene.closed[0].resolved);
    EXPECT_TRUE(scene.closed[0].findings.empty());
    scene.return_to(0x00010950, 3);
    EXPECT_EQ(scene.closed.size(), 1u);
    EXPECT_EQ(scene.tracer->faults().open_count(), 0u);
}

TEST(FaultRecord, OutlivesAReturnFromSysenterElsewhere) {
    FaultScene scene;
    scene.sysenter = true;
    scene.enter_system_call(kForkInstruction);
    scene.fault(kPages + 8, kFaultWrite, 0xC0103000u, 0);
    scene.return_to(0xC0103000u, 0);
    EXPECT_EQ(scene.closed.size(), 1u);
    scene.return_to(0x00010900, 3);
    scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.enter_system_call(0x00010A00); // from its signal handler
    scene.return_to(0x00010B00, 3);
    EXPECT_EQ(scene.tracer->faults().open_count(), 1u) << "the return belongs to the call, not to the fault";
    scene.return_to(kWriteInstruction, 3);
    ASSERT_EQ(scene.closed.size(), 2u);
    EXPECT_TRUE(scene.closed.back().resolved);
}

TEST(FaultRecord, DiesWithTheProcessThatStoodInIt) {
    FaultScene scene;
    scene.tracepoint(TP_PROCESS_START, 4, 3, scene.parent);
    scene.switch_to(4, scene.parent);
    scene.fault(kPages, kFaultUser, kWriteInstruction);
    EXPECT_EQ(scene.tracer->faults().open_count(), 1u);
    scene.tracepoint(TP_PROCESS_EXIT, 4, 3, 0);
    EXPECT_EQ(scene.tracer->faults().open_count(), 0u);
    // Another process with its pid: a server that works for it must not work for that old fault.
    scene.tracepoint(TP_PROCESS_START, 4, 3, scene.parent);
    scene.switch_to(4, scene.parent);
    scene.return_to(kWriteInstruction, 3);
    EXPECT_TRUE(scene.closed.empty());
}

TEST(FaultRecord, IsOneThingForAllWhoKnowIt) {
    ForkScene scene(4);
    FaultRef heard;
    scene.tracer->set_fault_listener([&](const FaultRef& fault) { heard = fault; });
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    scene.switch_to(4, child);
    scene.cow_fault(child, 4, kPages);
    ASSERT_EQ(scene.tracer->forks().front().faults.size(), 1u);
    EXPECT_EQ(scene.tracer->forks().front().faults[0].record, heard);
}

TEST(FaultRecord, CallsTheKernelsOwnAccessAKernelCopyAndKeepsWhatHappenedToThePage) {
    FaultScene scene;
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUser);
    scene.enter_system_call(kForkInstruction);
    scene.cow_fault(scene.parent, 3, kPages, true, 0, 0);
    EXPECT_EQ(scene.only().fault_class, FaultClass::KernelCopy);
    EXPECT_EQ(scene.only().page, FaultClass::CowCopy);
    EXPECT_TRUE(scene.only().findings.empty());
}

TEST(FaultRecord, BelievesTheGuestWhereTheHardwareCannotTell) {
    FaultScene scene;
    scene.fill_page(0x50000000, scene.fresh(0), kFaultWrite | kFaultUser, FAULT_STACK);
    scene.fill_page(0x50001000, scene.fresh(0), kFaultUser, FAULT_FILE);
    EXPECT_EQ(scene.closed.at(0).fault_class, FaultClass::Stack);
    EXPECT_EQ(scene.closed.at(1).fault_class, FaultClass::File);
    EXPECT_TRUE(scene.closed.at(0).findings.empty());
}

TEST(FaultRecord, LetsTheGuestSayThatAPageWasInMemoryAlreadyButNotThatItIsNew) {
    FaultScene scene;
    scene.fill_page(0x50000000, scene.fresh(7), kFaultUser, FAULT_RESIDENT);
    scene.fill_page(0x50001000, scene.fresh(0), kFaultWrite | kFaultUser, FAULT_COW_COPY);
    scene.fill_page(0x50002000, scene.fresh(7), kFaultUser, FAULT_DEMAND_ZERO);
    EXPECT_EQ(scene.closed.at(0).fault_class, FaultClass::Resident);
    EXPECT_TRUE(scene.closed.at(0).findings.empty());
    EXPECT_EQ(scene.closed.at(1).fault_class, FaultClass::CowCopy);
    EXPECT_TRUE(scene.closed.at(1).findings.empty());
    EXPECT_EQ(scene.closed.at(2).findings.size(), 1u);
}

TEST(FaultRecord, BelievesThatAPageWasNewWhichAnotherThreadHasWrittenMeanwhile) {
    FaultScene scene;
    scene.fill_page(0x50000000, scene.fresh(7) | kPteDirty, kFaultUser, FAULT_DEMAND_ZERO);
    EXPECT_EQ(scene.only().fault_class, FaultClass::DemandZero);
    EXPECT_TRUE(scene.only().findings.empty());
}

TEST(FaultRecord, NoticesThatTheGuestSaysAnotherThingThanTheHardwareShows) {
    FaultScene scene;
    scene.write_entry(scene.entry_address(scene.parent, kPages), scene.fresh(1) | kUser);
    scene.cow_fault(scene.parent, 3, kPages, true, FAULT_COW_REUSE);
    ASSERT_EQ(scene.only().findings.size(), 1u);
    EXPECT_NE(scene.only().findings[0].find("cow-reuse, the hardware shows cow-copy"), std::string::npos);
    EXPECT_EQ(scene.only().fault_class, FaultClass::CowCopy);
}

TEST(FaultRecord, NoticesACopyThatIsNotEqual) {
    FaultScene scene;
    const u32 entry = scene.entry_address(scene.parent, kPages);
    scene.write_entry(entry, scene.fresh(1) | kUser);
    scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.write_entry(entry, scene.fresh(2) | kUserWrite);
    scene.return_to(kWriteInstruction, 3);
    ASSERT_EQ(scene.only().findings.size(), 1u);
    EXPECT_NE(scene.only().findings[0].find("same bytes"), std::string::npos);
}

TEST(FaultRecord, KeepsNestedFaultsApart) {
    FaultScene scene;
    scene.make_table(scene.parent, 0x50000000);
    scene.fault(0x50000000, kFaultUser, kWriteInstruction);
    scene.fill_page(0x50001000, scene.fresh(0), kFaultWrite, 0, 0);
    scene.write_entry(scene.entry_address(scene.parent, 0x50000000), scene.fresh(0) | kUserWrite);
    scene.return_to(kWriteInstruction, 3);
    ASSERT_EQ(scene.closed.size(), 2u);
    EXPECT_EQ(scene.closed[0].depth, 1u);
    EXPECT_EQ(scene.closed[0].page_address(), 0x50001000u);
    EXPECT_EQ(scene.closed[1].depth, 0u);
    EXPECT_EQ(scene.closed[1].pte_writes, 2u);
}

TEST(FaultRecord, DoesNotChargeTheTimeOfOtherProcesses) {
    FaultScene scene;
    const u32 other = scene.frame();
    scene.make_table(scene.parent, 0x50000000);
    scene.fault(0x50000000, kFaultUser, kWriteInstruction);
    const Cycles away = scene.cycle;
    scene.switch_to(9, other);
    for (int i = 0; i < 100; ++i)
        scene.emit(TraceKind::Halt);
    scene.switch_to(3, scene.parent);
    const Cycles back = scene.cycle;
    scene.write_entry(scene.entry_address(scene.parent, 0x50000000), scene.fresh(0) | kUserWrite);
    scene.return_to(kWriteInstruction, 3);
    const FaultRecord& fault = scene.only();
    EXPECT_LT(fault.spent.cycles, fault.end_cycle - fault.begin_cycle - 1000);
    EXPECT_EQ(fault.spent.cycles + (back - away), fault.end_cycle - fault.begin_cycle + 30);
}

TEST(FaultRecord, ClosesAFaultWhoseInstructionFaultsAgainWithoutAReturnSeen) {
    FaultScene scene;
    for (int i = 0; i < 1000; ++i)
        scene.fault(0x50000000, kFaultUser, kWriteInstruction);
    EXPECT_EQ(scene.closed.size(), 999u);
    EXPECT_EQ(scene.tracer->faults().open_count(), 1u);
    for (u32 i = 0; i < 1000; ++i)
        scene.fault(0x50000000 + i * kPageSize, kFaultUser, kWriteInstruction);
    EXPECT_LE(scene.tracer->faults().open_count(), 64u);
}
