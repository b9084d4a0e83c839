#include <gtest/gtest.h>

#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/report_text.hpp"
#include "emu/report/text_writer.hpp"
#include "observe_fork_scene.hpp"
#include "tests/unit/report/json_judge.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

u64 count_of(const std::string& text, const std::string& part) {
    u64 count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

std::size_t widest_line(const std::string& text) {
    std::size_t widest = 0;
    std::size_t width = 0;
    for (char letter : text) {
        // Bytes that continue a character take no column.
        width = letter == '\n' ? 0 : width + ((static_cast<u8>(letter) & 0xC0) != 0x80 ? 1 : 0);
        widest = std::max(widest, width);
    }
    return widest;
}

std::string text_of(const ForkRecord& fork) { return document_text(fork_document(fork)); }
std::string json_of(const ForkRecord& fork) { return document_json(fork_document(fork)); }

} // namespace

TEST(ForkTracer, FoldsOneForkIntoPhasesEntriesAndFrames) {
    ForkScene scene(8);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    ASSERT_EQ(scene.tracer->forks().size(), 1u);
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_TRUE(fork.stated);
    EXPECT_TRUE(fork.left);
    EXPECT_EQ(fork.parent_pid, 3u);
    EXPECT_EQ(fork.child_pid, 4u);
    EXPECT_EQ(fork.parent_directory, scene.parent);
    EXPECT_EQ(fork.child_directory, child);
    EXPECT_EQ(fork.result, 4);
    ASSERT_EQ(fork.stops.size(), 6u);
    EXPECT_EQ(fork_stop_name(fork.stops[4].id).number, "2b");
    // 10 pages copied and 3 tables linked; 9 writable pages protected on two sides.
    EXPECT_EQ(fork.counts.pte_writes, 10u + 3u + 18u);
    EXPECT_EQ(fork.counts.pte_protects, 18u);
    EXPECT_EQ(fork.stops[4].counts.pte_protects, 18u);
    EXPECT_EQ(fork.stops[4].counts.flushes, 9u);
    EXPECT_EQ(fork.counts.frames_shared, 10u);
    EXPECT_EQ(fork.counts.frames_allocated, 1u);
    Cycles sum = 0;
    for (const ForkStop& stop : fork.stops)
        sum += stop.spent.cycles;
    EXPECT_EQ(sum, fork.spent.cycles);
    EXPECT_EQ(fork.left_cycle - fork.begin_cycle, fork.spent.cycles);
    EXPECT_TRUE(fork.findings.empty());
}

TEST(ForkTracer, SaysWhoseEntryEachWriteIs) {
    ForkScene scene(2);
    scene.start();
    scene.fork(scene.parent, 3, 4);
    const ForkRecord& fork = scene.tracer->forks().front();
    u64 sides[4] = {};
    for (const PteChange& change : fork.ptes) {
        ++sides[static_cast<int>(change.side)];
        EXPECT_TRUE(change.written);
        if (change.side == ForkSide::Parent) {
            EXPECT_TRUE(change.linear == kPages || change.linear == kPages + kPageSize || change.linear == kStack);
        }
    }
    EXPECT_EQ(sides[static_cast<int>(ForkSide::Parent)], 3u);
    EXPECT_EQ(sides[static_cast<int>(ForkSide::Child)], 3u + 4u + 3u);
    EXPECT_EQ(sides[static_cast<int>(ForkSide::Unknown)], 0u);
}

TEST(ForkTracer, AsksToSeeStoresIntoTablesThatNoWalkHasUsed) {
    std::vector<u32> watched;
    ForkTracerOptions options;
    options.watch = [&](u32 frame) { watched.push_back(frame); };
    ForkScene scene(2, options);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    EXPECT_NE(std::find(watched.begin(), watched.end(), child), watched.end());
    const u32 table = scene.get(child + (kPages >> 22) * 4) & ~kPageMask;
    EXPECT_NE(std::find(watched.begin(), watched.end(), table), watched.end());
}

TEST(ForkTracer, DoesNotTakeAStoreIntoAFrameThatWasATableForAnEntry) {
    ForkScene scene(2);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    const u32 table = scene.entry_address(scene.parent, kPages) & ~kPageMask;
    scene.write_entry(scene.parent + (kPages >> 22) * 4, 0, 2);
    scene.write_entry(table, 0x12345067);
    scene.write_entry(scene.frame(), 0x12345067);
    scene.tracepoint(TP_FORK_LEAVE, 3, 0, static_cast<u32>(-11));
    EXPECT_EQ(scene.tracer->forks().front().counts.pte_writes, 1u);
}

TEST(ForkTracer, SaysWhoCalledTheFunctionThatWrote) {
    u32 frame_pointer = 0xFF003F00u;
    ForkTracerOptions options;
    options.frame_pointer = [&] { return frame_pointer; };
    ForkScene scene(2, options);
    const u32 stack = scene.frame();
    scene.map(scene.parent, 0xFF003000u, stack, kKernelWrite);
    scene.map(scene.parent, 0xC0101000u, scene.frame(), kKernelWrite);
    scene.put(stack + 0xF00, 0xFF003F40u);
    scene.put(stack + 0xF04, 0xC0101111u);
    scene.put(stack + 0xF40, 0xFF003F20u); // back down: no chain
    scene.put(stack + 0xF44, 0xC0102222u);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    scene.write_entry(scene.entry_address(scene.parent, kPages), 0);
    frame_pointer = 0x1234;
    scene.write_entry(scene.entry_address(scene.parent, kStack), 0);
    scene.tracepoint(TP_FORK_LEAVE, 3, 0, static_cast<u32>(-11));
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_EQ(fork.ptes.at(0).callers, (std::array<u32, 3>{0xC0101111u, 0, 0}));
    EXPECT_EQ(fork.ptes.at(1).callers, (std::array<u32, 3>{}));
}

TEST(ForkTracer, CountsCopyOnWriteFaultsAsPagesNamedPlusAConstant) {
    for (u32 n : {0u, 1u, 7u, 64u, 1000u}) {
        ForkScene scene(n + 16);
        scene.start();
        scene.tracepoint(TP_WORKLOAD_BEGIN, 3, 1, n);
        const u32 child = scene.fork(scene.parent, 3, 4);
        scene.switch_to(4, child);
        scene.return_to(kForkInstruction, 3);
        for (u32 i = 0; i < n; ++i)
            scene.cow_fault(child, 4, kPages + i * kPageSize);
        scene.cow_fault(child, 4, kStack, true, 0, 0);
        scene.tracepoint(TP_PROCESS_EXIT, 4, 3, 0);
        scene.switch_to(3, scene.parent);
        scene.cow_fault(scene.parent, 3, kStack, false);
        const ForkRecord& fork = scene.tracer->forks().front();
        EXPECT_EQ(fork.cow_faults(), n + 2u);
        const CowSummary summary = cow_summary(fork);
        EXPECT_EQ(summary.pages_named, n);
        EXPECT_EQ(summary.constant, 2);
        EXPECT_EQ(summary.named.size(), n);
        ASSERT_EQ(summary.rest.size(), 2u);
        EXPECT_EQ(summary.rest[0]->record->page_address(), kStack);
        EXPECT_TRUE(fork.child_ended);
        EXPECT_NE(fork.private_cycle, 0u);
        EXPECT_TRUE(fork.findings.empty());
        const std::string text = text_of(fork);
        EXPECT_NE(
            text.find(fmt::format("total: {} faults = {} pages named by the workload + 2", grouped(n + 2), grouped(n))),
            std::string::npos)
            << text;
        EXPECT_LE(widest_line(text), 100u) << text;
        const std::string json = json_of(fork);
        EXPECT_EQ(count_of(json, "\"belongs\": true"), n + 2u);
        EXPECT_EQ(count_of(json, "\"named\": true"), n);
        EXPECT_EQ(json_fault(json), "");
    }
}

TEST(ForkTracer, KnowsWhenBothSidesArePrivate) {
    ForkScene scene(2);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_EQ(fork.still_shared, 3u);
    EXPECT_FALSE(fork.shared.at(kText).copy_on_write);
    scene.cow_fault(scene.parent, 3, kPages);
    scene.switch_to(4, child);
    scene.cow_fault(child, 4, kPages + kPageSize);
    EXPECT_EQ(fork.private_cycle, 0u);
    scene.cow_fault(child, 4, kStack);
    EXPECT_EQ(fork.still_shared, 0u);
    EXPECT_NE(fork.private_cycle, 0u);
}

TEST(ForkTracer, GivesAFaultToTheNewestForkThatSharedThePage) {
    ForkScene scene(2);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    const u32 second = scene.fork(scene.parent, 3, 5);
    EXPECT_EQ(scene.tracer->forks().back().still_shared, 3u);
    scene.cow_fault(scene.parent, 3, kPages);
    scene.switch_to(4, child);
    scene.return_to(kForkInstruction, 3);
    const u32 grandchild = scene.fork(child, 4, 6);
    scene.cow_fault(child, 4, kPages);
    scene.switch_to(6, grandchild);
    scene.cow_fault(grandchild, 6, kStack);
    scene.switch_to(5, second);
    scene.cow_fault(second, 5, kStack);
    std::vector<u64> faults;
    for (const ForkRecord& fork : scene.tracer->forks())
        faults.push_back(fork.cow_faults());
    EXPECT_EQ(faults, (std::vector<u64>{0, 2, 2}));
    EXPECT_EQ(scene.tracer->forks().back().made_parent, 1u);
    const std::string tree = document_text(fork_tree_document(scene.tracer->forks(), 3));
    EXPECT_NE(tree.find("pid 6  fork 3"), std::string::npos) << tree;
    EXPECT_EQ(count_of(tree, "<- this one"), 1u);
}

TEST(ForkTracer, FindsAForkInTheHardwareStreamAlone) {
    ForkScene scene(8);
    scene.tracepoints = false;
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    EXPECT_TRUE(scene.tracer->forks().empty());
    // The parent makes another system call before the child runs for the first time.
    scene.enter_system_call(0x00010700);
    scene.return_to(0x00010700, 3);
    scene.load_cr3(child);
    scene.return_to(kForkInstruction, 3);
    ASSERT_EQ(scene.tracer->forks().size(), 1u);
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_FALSE(fork.stated);
    EXPECT_TRUE(fork.stops.empty());
    EXPECT_EQ(fork.parent_directory, scene.parent);
    EXPECT_EQ(fork.child_directory, child);
    // The child's directory is not shown by any window, so that its tables become known when they are used.
    EXPECT_EQ(fork.counts.pte_protects, 9u);
    EXPECT_EQ(fork.counts.pte_found, 10u);
    EXPECT_EQ(fork.ptes.back().side, ForkSide::Child);
    EXPECT_FALSE(fork.ptes.back().written);
    EXPECT_EQ(fork.still_shared, 9u);
    EXPECT_GT(fork.spent.cycles, 0u);
    scene.cow_fault(child, 4, kPages);
    scene.load_cr3(scene.parent);
    scene.cow_fault(scene.parent, 3, kPages, false);
    EXPECT_EQ(fork.cow_faults(), 2u);
    EXPECT_NE(text_of(fork).find("none stated"), std::string::npos);
}

TEST(ForkTracer, TakesSysenterForASystemCall) {
    for (const bool sysenter : {false, true}) {
        ForkScene scene(8);
        scene.sysenter = sysenter;
        scene.start();
        scene.fork(scene.parent, 3, 4);
        EXPECT_EQ(scene.tracer->forks().front().counts.system_calls, 1u) << (sysenter ? "SYSENTER" : "INT");
        EXPECT_EQ(scene.tracer->forks().front().counts.privilege_switches, 1u);
    }
    ForkScene silent(8);
    silent.sysenter = true;
    silent.tracepoints = false;
    silent.start();
    silent.load_cr3(silent.fork(silent.parent, 3, 4));
    ASSERT_EQ(silent.tracer->forks().size(), 1u);
    EXPECT_FALSE(silent.tracer->forks().front().stated);
}

// A space with copies of all its maker's pages, however its program begins.
TEST(ForkTracer, TakesACopyForAForkThatGoesOnBehindTheCall) {
    constexpr u32 kEntry = kText + 0x10;
    struct Case {
        bool sysenter, child_first;
        u32 begins; // 0: by a switch of tasks, without a return
        std::size_t forks;
    };
    for (const Case& how :
         {Case{false, false, kForkInstruction, 1}, Case{false, true, kForkInstruction, 1},
          Case{false, false, kEntry, 0}, Case{false, true, kEntry, 0}, Case{true, false, kForkInstruction, 1},
          Case{true, true, kForkInstruction, 1}, Case{true, false, kEntry, 0}, Case{true, true, kEntry, 0},
          Case{false, false, 0, 1}, Case{false, true, 0, 1}}) {
        SCOPED_TRACE(::testing::Message()
                     << (how.sysenter ? "SYSENTER" : "INT") << (how.child_first ? ", the child first, at " : ", at ")
                     << std::hex << how.begins);
        ForkScene scene(4);
        scene.tracepoints = false;
        scene.sysenter = how.sysenter;
        scene.start();
        scene.enter_system_call(kForkInstruction);
        const u32 child = scene.frame();
        // Nobody sees who writes its tables; a page of the caller's is read-only for a while.
        const u32 entry = scene.entry_address(scene.parent, kPages);
        const u32 page = scene.get(entry);
        scene.write_entry(entry, page & ~u32{kPteWritable});
        scene.write_entry(entry, page);
        scene.map(child, kText, scene.fresh(0x90), kUser);
        for (const u32 linear : scene.writable_pages())
            scene.map(child, linear, scene.fresh(linear == kStack ? 0x55 : static_cast<u8>((linear >> kPageShift) + 1)),
                      kUserWrite);
        if (!how.child_first)
            scene.return_to(kForkInstruction, 3);
        scene.load_cr3(child);
        if (how.begins != 0)
            scene.return_to(how.begins, 3);
        scene.enter_system_call(kForkInstruction + 0x40);
        if (how.child_first) {
            scene.load_cr3(scene.parent);
            scene.return_to(kForkInstruction, 3);
        }
        ASSERT_EQ(scene.tracer->forks().size(), how.forks);
        if (how.forks != 0) {
            EXPECT_EQ(scene.tracer->last()->child_directory, child);
            EXPECT_EQ(scene.tracer->last()->copied_pages, 6u);
        }
    }
}

TEST(ForkTracer, DoesNotTakeANewProgramForAFork) {
    ForkScene scene(4);
    scene.tracepoints = false;
    scene.start();
    scene.enter_system_call(0x00010700);
    const u32 fresh = scene.frame();
    scene.map(fresh, kText, scene.fresh(0x90), kUser);
    scene.map(fresh, kStack, scene.fresh(0), kUserWrite);
    scene.load_cr3(fresh);
    scene.return_to(kText, 3);
    EXPECT_TRUE(scene.tracer->forks().empty());
}

TEST(ForkTracer, NoticesAMissingFlush) {
    ForkScene scene(3);
    scene.start();
    scene.fork(scene.parent, 3, 4, false);
    ASSERT_EQ(scene.tracer->forks().front().findings.size(), 1u);
    EXPECT_NE(scene.tracer->forks().front().findings[0].find("4 pages of the parent were write-protected without a "
                                                             "flush"),
              std::string::npos);
}

TEST(ForkTracer, NoticesAPageThatOnlyOneSideMayWriteInTheSameFrame) {
    ForkScene scene(3);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    const u32 child = scene.frame();
    scene.map(child, kPages, scene.get(scene.entry_address(scene.parent, kPages)) & ~kPageMask, kUser);
    scene.tracepoint(TP_FORK_RUNNABLE, 3, 4, child);
    scene.tracepoint(TP_FORK_LEAVE, 3, 4, 4);
    ASSERT_EQ(scene.tracer->forks().front().findings.size(), 1u);
    EXPECT_NE(scene.tracer->forks().front().findings[0].find("only the parent may write"), std::string::npos);
}

TEST(ForkTracer, KeepsAFailedForkAsSuch) {
    ForkScene scene(3);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    scene.tracepoint(TP_FORK_LEAVE, 3, 0, static_cast<u32>(-12));
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_TRUE(fork.failed);
    EXPECT_EQ(fork.result, -12);
    EXPECT_NE(text_of(fork).find("failed with error 12"), std::string::npos);
    EXPECT_EQ(json_fault(json_of(fork)), "");
}

TEST(ForkTracer, InterleavesForksOfSeveralProcesses) {
    ForkScene scene(2);
    const u32 other = scene.frame();
    scene.map(other, kText, scene.fresh(0x90), kUser);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    scene.switch_to(7, other);
    scene.return_to(kText, 3);
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 7, 0, 0);
    scene.write_entry(scene.entry_address(other, kText), 0);
    scene.switch_to(3, scene.parent);
    scene.tracepoint(TP_FORK_LEAVE, 3, 0, static_cast<u32>(-11));
    scene.return_to(kForkInstruction, 3);
    scene.switch_to(7, other);
    scene.tracepoint(TP_FORK_LEAVE, 7, 0, static_cast<u32>(-11));
    ASSERT_EQ(scene.tracer->forks().size(), 2u);
    EXPECT_EQ(scene.tracer->forks().front().parent_pid, 3u);
    EXPECT_EQ(scene.tracer->forks().front().counts.pte_writes, 0u);
    EXPECT_EQ(scene.tracer->forks().back().counts.pte_writes, 1u);
    EXPECT_LT(scene.tracer->forks().front().spent.cycles,
              scene.tracer->forks().front().left_cycle - scene.tracer->forks().front().begin_cycle);
}

// Only the guest can say that it refused a write for want of memory; otherwise it should have allowed it.
TEST(ForkTracer, FindsARefusedWriteUnlessTheGuestSaysThatNoMemoryWasLeft) {
    for (const u32 stated : {u32{FAULT_NO_MEMORY}, u32{FAULT_PROTECTION}})
        for (const bool killed : {true, false}) {
            ForkScene scene(2);
            scene.start();
            const u32 child = scene.fork(scene.parent, 3, 4);
            scene.switch_to(4, child);
            scene.fault(kPages + 4, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
            scene.tracepoint(TP_FAULT_ENTER, 4, kPages + 4, 7);
            scene.tracepoint(TP_FAULT_LEAVE, 4, kPages + 4, stated);
            if (killed)
                scene.tracepoint(TP_PROCESS_EXIT, 4, 3, 9);
            else
                scene.return_to(0x00010900, 3); // to a signal handler
            const ForkRecord& fork = scene.tracer->forks().front();
            EXPECT_EQ(fork.findings.size(), stated == FAULT_NO_MEMORY ? 0u : 1u) << stated << killed;
            if (!killed) {
                ASSERT_EQ(fork.faults.size(), 1u);
                EXPECT_EQ(fork.faults[0].record->fault_class, stated_fault_class(stated));
                EXPECT_FALSE(fork.faults[0].belongs);
            }
        }
}

TEST(ForkTracer, BoundsItsMemoryInAStormOfForks) {
    ForkTracerOptions options;
    options.keep.whole = 4;
    options.keep.forks = 10;
    options.most_active = 6;
    ForkScene scene(1, options);
    scene.start();
    for (u32 i = 0; i < 100; ++i)
        scene.fork(scene.parent, 3, 10 + i);
    EXPECT_EQ(scene.tracer->forks().size(), 10u);
    EXPECT_EQ(scene.tracer->forgotten(), 90u);
    EXPECT_EQ(scene.tracer->forks().back().number, 100u);
    EXPECT_TRUE(scene.tracer->forks().front().trimmed);
    EXPECT_TRUE(scene.tracer->forks().front().ptes.empty());
    EXPECT_GT(scene.tracer->forks().front().counts.pte_writes, 0u);
    EXPECT_FALSE(scene.tracer->forks().back().trimmed);
}

TEST(ForkTracer, KeepsTheChosenForkWholeInAStormOfForks) {
    ForkTracerOptions options;
    options.keep = {.whole = 4, .forks = 10, .chosen = 3};
    options.most_active = 6;
    ForkScene scene(1, options);
    scene.start();
    for (u32 i = 0; i < 100; ++i)
        scene.fork(scene.parent, 3, 10 + i);
    ASSERT_NE(scene.tracer->fork(3), nullptr);
    EXPECT_FALSE(scene.tracer->fork(3)->trimmed);
    EXPECT_FALSE(scene.tracer->fork(3)->ptes.empty());
    EXPECT_EQ(scene.tracer->forks().size(), 10u);
}

TEST(ForkTracer, SurvivesAnyStreamOfEvents) {
    ForkScene scene(2);
    scene.start();
    u64 state = 88172645463325252ull;
    const auto random = [&state](u64 bound) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % bound;
    };
    const u32 frames[] = {scene.parent, scene.frame(), scene.frame(), 0, 0xFFFFF000u, 0x00A00000u};
    for (int i = 0; i < 200000; ++i) {
        const auto any = [&] { return random(3) == 0 ? random(~u64{0}) : frames[random(6)] + random(4) * 4; };
        const auto kind = static_cast<TraceKind>(random(static_cast<u64>(TraceKind::Count)));
        scene.cpl = static_cast<u8>(random(4));
        scene.cr3 = frames[random(6)];
        const u64 first = kind == TraceKind::Tracepoint ? 0x10 + random(0x30) : any();
        scene.emit(kind, first, any(), kind == TraceKind::InterruptReturn ? random(4) : any(), any());
    }
    for (const ForkRecord& fork : scene.tracer->forks()) {
        (void)text_of(fork);
        (void)json_of(fork);
    }
    (void)document_text(fork_tree_document(scene.tracer->forks()));
}
