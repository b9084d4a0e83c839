// Work that servers do: a fork and a fault as a microkernel does them, by messages.
#include <gtest/gtest.h>

#include "emu/observe/processes/message_work.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/text_writer.hpp"
#include "observe_fork_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

constexpr u32 kForker = 3;
constexpr u32 kChild = 4;
constexpr u32 kStranger = 5;
constexpr u32 kProcessServer = 10;
constexpr u32 kMemoryServer = 11;
constexpr u32 kFileServer = 12;
constexpr u32 kServerCode = 0x00400100u;
constexpr u32 kServerHeap = 0x00500000u;

// A user process forks by asking a process server, which asks a memory server and a file server.
class ServerScene : public ForkScene {
  public:
    explicit ServerScene(u32 page_count = 4) : ForkScene(page_count) {
        for (u32 pid : {kStranger, kProcessServer, kMemoryServer, kFileServer}) {
            spaces[pid] = frame();
            map(spaces[pid], kServerCode, fresh(0x90), kUser);
        }
        spaces[kForker] = parent;
        start();
    }

    // The running process asks and waits; the one asked runs on in its own code.
    void ask(u32 from, u32 to, u32 type = 1) {
        enter_system_call(kServerCode);
        tracepoint(TP_MESSAGE, from, to, type);
        run(to);
    }
    // An answer, or a message without waiting: the sender runs on.
    void tell(u32 from, u32 to) {
        enter_system_call(kServerCode);
        tracepoint(TP_MESSAGE, from, to, 2);
        return_to(kServerCode, 3);
    }
    void run(u32 pid) {
        switch_to(pid, spaces.at(pid));
        return_to(kServerCode, 3);
    }
    // `events` times ten cycles in the running process.
    void work(u32 events) {
        for (u32 i = 0; i < events; ++i)
            emit(TraceKind::AccessedDirty, 0x1000, 0, 0, 1);
    }

    void begin() {
        enter_system_call(kForkInstruction);
        tracepoint(TP_MESSAGE, kForker, kProcessServer, 1);
        run(kProcessServer);
        tracepoint(TP_FORK_ENTER, kForker, 0, 0);
        tracepoint(TP_FORK_CHILD_SLOT, kForker, 0, 0);
    }
    void make_space() {
        ask(kProcessServer, kMemoryServer);
        spaces[kChild] = frame();
        tracepoint(TP_FORK_ADDRESS_SPACE, kForker, kChild, spaces[kChild]);
        enter_system_call(kServerCode);
        write_entry(entry_address(parent, kPages), get(entry_address(parent, kPages)) & ~u32{kPteWritable});
        tracepoint(TP_FRAME_SHARE, get(entry_address(parent, kPages)) & ~kPageMask, 2, FRAME_USER);
        tracepoint(TP_HEAP_ALLOC, kServerHeap, 96, 0);
        return_to(kServerCode, 3);
        tracepoint(TP_PROCESS_START, kChild, kForker, spaces[kChild]);
        tell(kMemoryServer, kProcessServer);
        run(kProcessServer);
    }
    void finish() {
        tracepoint(TP_FORK_RUNNABLE, kForker, kChild, spaces[kChild]);
        tell(kProcessServer, kChild);
        tell(kProcessServer, kForker);
        tracepoint(TP_FORK_LEAVE, kForker, kChild, kChild);
    }
    // The child has a page of its parent's, and runs before its parent is back. Returns its directory.
    u32 let_child_run() {
        make_space();
        const u32 child = spaces[kChild];
        map(child, kPages, get(entry_address(parent, kPages)) & ~kPageMask, kUser);
        tracepoint(TP_FORK_RUNNABLE, kForker, kChild, child);
        tell(kProcessServer, kChild);
        tell(kProcessServer, kForker);
        run(kChild);
        return child;
    }
    const ForkRecord& record() const { return tracer->forks().back(); }

    std::map<u32, u32> spaces;
};

Cycles sum_of_phases(const ForkRecord& fork) {
    Cycles sum = 0;
    for (const ForkStop& stop : fork.stops)
        sum += stop.spent.cycles;
    return sum;
}

} // namespace

TEST(MessageWork, FollowsRequestsThroughServersAndBack) {
    MessageWork work;
    work.delivered(3, 10);
    work.delivered(10, 11);
    EXPECT_EQ(work.clients_of(11), (std::vector<u32>{10, 3}));
    work.delivered(11, 10);
    EXPECT_TRUE(work.clients_of(11).empty());
    EXPECT_EQ(work.clients_of(10), std::vector<u32>{3});
    work.delivered(10, 3);
    EXPECT_TRUE(work.clients_of(10).empty());
    EXPECT_TRUE(work.clients_of(3).empty());
}

TEST(MessageWork, ComesBackToARequestThatWaitedForAnotherServer) {
    MessageWork work;
    work.delivered(3, 10);
    work.delivered(10, 12); // without waiting for the answer
    work.delivered(5, 10);
    EXPECT_EQ(work.clients_of(10), std::vector<u32>{5});
    work.delivered(10, 5);
    EXPECT_TRUE(work.clients_of(10).empty());
    EXPECT_EQ(work.clients_of(12), (std::vector<u32>{10, 3}));
    work.delivered(12, 10);
    EXPECT_EQ(work.clients_of(10), std::vector<u32>{3});
}

TEST(MessageWork, TakesTheFirstMessageToANewbornForTheAnswerThatItsMakerAwaits) {
    MessageWork work;
    work.delivered(3, 10);
    work.started(4, 3);
    work.delivered(10, 4);
    EXPECT_TRUE(work.clients_of(4).empty());
    EXPECT_EQ(work.clients_of(10), std::vector<u32>{3});
    // One whose maker waits for no other process is a server like any other.
    work.started(6, 1);
    work.delivered(10, 6);
    EXPECT_EQ(work.clients_of(6), (std::vector<u32>{10, 3}));
}

TEST(MessageWork, StaysBoundedWhateverIsStated) {
    MessageWork work;
    for (u32 i = 0; i < 100000; ++i) {
        work.delivered(i % 7000, (i * 31) % 6000);
        work.notified(i % 5, i % 9000);
        work.started(i, i % 10);
        if (i % 3 == 0)
            work.ended(i % 4000);
    }
    work.delivered(1, 1);
    EXPECT_LE(work.clients_of(1).size(), 8u);
}

TEST(ServerFork, CountsWhatServersDoForIt) {
    ServerScene scene;
    scene.begin();
    scene.make_space();
    scene.ask(kProcessServer, kFileServer);
    scene.tracepoint(TP_FORK_FILES, kForker, kChild, 0);
    scene.tell(kFileServer, kProcessServer);
    scene.run(kProcessServer);
    scene.finish();
    ASSERT_EQ(scene.tracer->forks().size(), 1u);
    const ForkRecord& fork = scene.record();
    EXPECT_EQ(fork.parent_pid, kForker);
    EXPECT_EQ(fork.child_pid, kChild);
    EXPECT_EQ(fork.parent_directory, scene.parent);
    EXPECT_EQ(fork.child_directory, scene.spaces[kChild]);
    ASSERT_EQ(fork.stops.size(), 5u);
    EXPECT_EQ(fork_stop_name(fork.stops[3].id).number, "4");
    // To the process server, to memory and back, to files and back, to the child, to the parent.
    EXPECT_EQ(fork.counts.messages, 7u);
    EXPECT_EQ(fork.counts.pte_protects, 1u);
    EXPECT_EQ(fork.counts.frames_shared, 1u);
    EXPECT_EQ(fork.counts.heap_bytes, 96u);
    EXPECT_EQ(fork.stops[2].counts.heap_objects, 1u);
    // To the process server, to memory and back, to files and back.
    EXPECT_EQ(fork.counts.space_switches, 5u);
    EXPECT_EQ(fork.counts.system_calls, 8u);
    // Two servers answered and needed three events each until another ran.
    EXPECT_EQ(fork.left_cycle - fork.begin_cycle, fork.spent.cycles + 60);
    EXPECT_EQ(sum_of_phases(fork), fork.spent.cycles);
    EXPECT_TRUE(fork.findings.empty());
}

TEST(ServerFork, IsTheCurrentOneWhileAServerWorksForIt) {
    ServerScene scene;
    scene.begin();
    ASSERT_NE(scene.tracer->current(), nullptr);
    EXPECT_EQ(scene.tracer->current()->parent_pid, kForker);
    scene.run(kStranger);
    EXPECT_EQ(scene.tracer->current(), nullptr);
    scene.run(kProcessServer);
    EXPECT_NE(scene.tracer->current(), nullptr);
}

TEST(ServerFork, GoesOnWithAStepThatIsStatedAgainWithItsDirectory) {
    ServerScene scene;
    scene.begin();
    scene.ask(kProcessServer, kMemoryServer);
    scene.tracepoint(TP_FORK_ADDRESS_SPACE, kForker, 0, 0);
    scene.work(5);
    scene.spaces[kChild] = scene.frame();
    scene.tracepoint(TP_FORK_ADDRESS_SPACE, kForker, 0, scene.spaces[kChild]);
    scene.work(5);
    const ForkRecord* fork = scene.tracer->current();
    ASSERT_NE(fork, nullptr);
    ASSERT_EQ(fork->stops.size(), 3u); // enter, child slot, address space
    EXPECT_EQ(fork->stops.back().id, u32{TP_FORK_ADDRESS_SPACE});
    EXPECT_EQ(fork->child_directory, scene.spaces[kChild]);
}

TEST(ServerFork, LeavesOutOthersAndIdleTime) {
    ServerScene quiet;
    quiet.begin();
    quiet.make_space();
    quiet.finish();

    ServerScene busy;
    busy.begin();
    busy.make_space();
    const Cycles before = busy.cycle;
    // Preempted: another process runs, then none, then the process server continues.
    busy.tracepoint(TP_CONTEXT_SWITCH, kStranger, 1, busy.spaces[kStranger]);
    busy.load_cr3(busy.spaces[kStranger]);
    busy.enter_system_call(kServerCode);
    busy.tracepoint(TP_HEAP_ALLOC, kServerHeap, 5000, 0);
    busy.return_to(kServerCode, 3);
    busy.work(50);
    busy.tracepoint(TP_CONTEXT_SWITCH, 0, 0, 0);
    busy.emit(TraceKind::Halt);
    busy.work(50);
    busy.tracepoint(TP_CONTEXT_SWITCH, kProcessServer, 1, busy.spaces[kProcessServer]);
    const Cycles away = busy.cycle - before;
    busy.finish();
    EXPECT_GE(away, 1000u);
    // The switch away is told when it happens, so that the fork pays for the way to it.
    EXPECT_EQ(busy.record().spent.cycles, quiet.record().spent.cycles + 10);
    EXPECT_EQ(busy.record().counts.heap_bytes, 96u);
    EXPECT_EQ(busy.record().counts.system_calls, quiet.record().counts.system_calls);
    EXPECT_EQ(sum_of_phases(busy.record()), busy.record().spent.cycles);
}

TEST(ServerFork, LeavesOutWhatAServerDoesForAnotherClientMeanwhile) {
    ServerScene scene;
    scene.begin();
    scene.make_space();
    // The process server asks the file server without waiting, and serves a stranger.
    scene.tell(kProcessServer, kFileServer);
    scene.run(kStranger);
    scene.ask(kStranger, kProcessServer);
    const u64 messages = scene.tracer->current() == nullptr ? 0 : scene.tracer->current()->counts.messages;
    EXPECT_EQ(messages, 0u) << "nobody who runs now works for the fork";
    scene.enter_system_call(kServerCode);
    scene.tracepoint(TP_HEAP_ALLOC, kServerHeap, 7777, 0);
    scene.return_to(kServerCode, 3);
    scene.tell(kProcessServer, kStranger);
    scene.run(kFileServer);
    scene.tracepoint(TP_FORK_FILES, kForker, kChild, 0);
    scene.work(20);
    scene.tell(kFileServer, kProcessServer);
    scene.run(kProcessServer);
    scene.finish();
    const ForkRecord& fork = scene.record();
    EXPECT_EQ(fork.counts.heap_bytes, 96u);
    EXPECT_EQ(fork.counts.messages, 7u);
    EXPECT_GE(fork.stops[3].spent.cycles, 200u);
    EXPECT_LT(fork.spent.cycles, fork.left_cycle - fork.begin_cycle);
}

TEST(ServerFork, TheChildDoesNotWorkForItsParent) {
    ServerScene scene;
    scene.begin();
    scene.make_space();
    scene.tracepoint(TP_FORK_RUNNABLE, kForker, kChild, scene.spaces[kChild]);
    scene.tell(kProcessServer, kChild);
    const Cycles before = scene.cycle;
    scene.switch_to(kChild, scene.spaces[kChild]);
    scene.work(100);
    scene.run(kProcessServer);
    scene.tell(kProcessServer, kForker);
    scene.tracepoint(TP_FORK_LEAVE, kForker, kChild, kChild);
    EXPECT_GE(scene.cycle - before, 1000u);
    EXPECT_LT(scene.record().stops.back().spent.cycles, 300u);
}

TEST(ServerFork, FollowsAChildThatRunsAndEndsBeforeItsParentIsBack) {
    ServerScene scene;
    scene.begin();
    const u32 child = scene.let_child_run();
    scene.cow_fault(child, kChild, kPages);
    scene.tracepoint(TP_PROCESS_EXIT, kChild, kForker, 0);
    scene.switch_to(kForker, scene.parent);
    scene.tracepoint(TP_FORK_LEAVE, kForker, kChild, kChild);
    const ForkRecord& fork = scene.record();
    EXPECT_EQ(fork.cow_faults(), 1u);
    ASSERT_EQ(fork.faults.size(), 1u);
    EXPECT_EQ(fork.faults[0].side, ForkSide::Child);
    EXPECT_TRUE(fork.faults[0].belongs);
    EXPECT_TRUE(fork.child_ended);
    EXPECT_NE(fork.private_cycle, 0u);
    EXPECT_LT(fork.child_first_run, fork.left_cycle);
    ASSERT_GE(fork.differences.size(), 2u);
    EXPECT_EQ(fork.differences[1].start, kPages);
    EXPECT_EQ(fork.differences[1].difference, PageDifference::Same) << "as fork left it, not as the child did";
}

TEST(ServerFork, FollowsAForkOfAChildWhoseParentIsNotBackYet) {
    ServerScene scene;
    scene.tracepoint(TP_WORKLOAD_BEGIN, kForker, 1, 0);
    scene.begin();
    const u32 child = scene.let_child_run();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, kChild, 0, 0);
    const u32 grandchild = scene.frame();
    scene.map(grandchild, kPages, scene.get(scene.entry_address(child, kPages)) & ~kPageMask, kUser);
    scene.tracepoint(TP_FORK_RUNNABLE, kChild, 6, grandchild);
    scene.tracepoint(TP_FORK_LEAVE, kChild, 6, 6);
    scene.return_to(kForkInstruction, 3);
    scene.switch_to(6, grandchild);
    scene.cow_fault(grandchild, 6, kPages);
    scene.switch_to(kForker, scene.parent);
    scene.tracepoint(TP_FORK_LEAVE, kForker, kChild, kChild);
    ASSERT_EQ(scene.tracer->forks().size(), 2u);
    const ForkRecord& first = scene.tracer->forks().front();
    EXPECT_TRUE(first.left);
    EXPECT_EQ(first.child_pid, kChild);
    EXPECT_EQ(scene.record().made_parent, first.number);
    EXPECT_TRUE(scene.record().in_workload) << "children of the workload belong to it";
    EXPECT_EQ(scene.record().cow_faults(), 1u) << "read-only since the fork that has not left yet";
    EXPECT_EQ(first.cow_faults(), 0u);
}

TEST(ServerFork, DoesNotTakeAnEarlierForksFaultForItsOwn) {
    ServerScene scene;
    scene.fork(scene.parent, kForker, 7);
    scene.begin();
    scene.run(kForker);
    // The kernel puts the answer on the stack, which the first fork has left read-only.
    scene.cow_fault(scene.parent, kForker, kStack, true, 0, 0);
    scene.tracepoint(TP_FORK_LEAVE, kForker, 0, static_cast<u32>(-12));
    EXPECT_EQ(scene.tracer->forks().front().cow_faults(), 1u);
    EXPECT_EQ(scene.record().cow_faults(), 0u);
    EXPECT_EQ(scene.record().faults.size(), 1u);
    EXPECT_TRUE(scene.record().faults[0].in_fork);
}

TEST(ServerFork, CopesWithStopsInAnyOrderRepeatedAndWithoutMessages) {
    ServerScene scene;
    scene.run(kProcessServer);
    for (u32 id : {TP_FORK_RUNNABLE, TP_FORK_FILES, TP_FORK_PID, TP_FORK_FILES, TP_FORK_ENTER, TP_FORK_PROTECT}) {
        scene.tracepoint(id, kForker, 0, 0);
        scene.work(10);
    }
    scene.tracepoint(TP_FORK_LEAVE, kForker, 0, static_cast<u32>(-11));
    ASSERT_EQ(scene.tracer->forks().size(), 1u);
    const ForkRecord& fork = scene.record();
    // The server that states a stop works for the fork until the next; ENTER begins a new fork.
    ASSERT_EQ(fork.stops.size(), 2u);
    EXPECT_GE(fork.stops[1].spent.cycles, 100u);
    EXPECT_EQ(sum_of_phases(fork), fork.spent.cycles);
    EXPECT_EQ(fork_stop_name(TP_FORK_PID).number, "1b");
}

TEST(ServerFault, BelongsToWhoFaultedThoughAServerResolvesIt) {
    ServerScene scene;
    const u32 child = scene.fork(scene.parent, kForker, kChild);
    scene.spaces[kChild] = child;
    scene.run(kChild);
    // The kernel stops the child and tells the memory server.
    scene.fault(kPages + 4, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.tracepoint(TP_FAULT_ENTER, kChild, kPages + 4, 7);
    scene.tracepoint(TP_MESSAGE, kChild, kMemoryServer, 9);
    scene.run(kMemoryServer);
    scene.work(30);
    scene.enter_system_call(kServerCode);
    const u32 entry = scene.entry_address(child, kPages);
    const u32 old = scene.get(entry) & ~kPageMask;
    const u32 copy = scene.frame();
    scene.tracepoint(TP_FRAME_ALLOC, copy, 1, FRAME_USER);
    std::memcpy(scene.memory.host(PhysicalAddress(copy)), scene.memory.host(PhysicalAddress(old)), kPageSize);
    scene.tracepoint(TP_FRAME_COPY, old, copy, FRAME_USER);
    scene.write_entry(entry, copy | kUserWrite);
    scene.return_to(kServerCode, 3);
    // Meanwhile the parent writes to the old frame, which is its own now, and others take their time.
    scene.fill(old, 0xEE);
    scene.switch_to(kStranger, scene.spaces[kStranger]);
    scene.work(500);
    scene.switch_to(kChild, child);
    scene.tracepoint(TP_FAULT_LEAVE, kChild, kPages + 4, FAULT_COW_COPY);
    scene.return_to(kWriteInstruction, 3);

    const ForkRecord& fork = scene.record();
    ASSERT_EQ(fork.faults.size(), 1u);
    const FaultRecord& fault = *fork.faults[0].record;
    EXPECT_TRUE(fork.faults[0].belongs);
    EXPECT_EQ(fault.page, FaultClass::CowCopy);
    EXPECT_EQ(fault.fault_class, FaultClass::CowCopy);
    EXPECT_EQ(fault.stated, FaultClass::CowCopy);
    EXPECT_TRUE(fault.resolved);
    EXPECT_EQ(fault.messages, 1u);
    EXPECT_EQ(fault.pte_writes, 1u);
    EXPECT_EQ(fault.frames_copied, 1u);
    EXPECT_EQ(fault.frames_taken, std::vector<u32>{copy});
    EXPECT_GE(fault.spent.cycles, 300u) << "the server's work belongs to it";
    EXPECT_LT(fault.spent.cycles, 1000u) << "the stranger's does not";
    EXPECT_TRUE(fork.findings.empty()) << fork.findings[0];
}

TEST(ServerFault, OfAnotherThreadOnTheSamePageIsSpuriousWhenTheFirstIsResolved) {
    ServerScene scene;
    const u32 child = scene.fork(scene.parent, kForker, kChild);
    const auto run_thread = [&](u32 thread) {
        scene.tracepoint(TP_CONTEXT_SWITCH, kChild, thread, child);
        scene.load_cr3(child);
    };
    const u32 entry = scene.entry_address(child, kPages);
    const auto begin_fault = [&](u32 thread) {
        run_thread(thread);
        scene.fault(kPages + 4 * thread, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction + thread * 16);
    };
    begin_fault(1);
    begin_fault(2);
    run_thread(1);
    const u32 copy = scene.frame();
    std::memcpy(scene.memory.host(PhysicalAddress(copy)),
                scene.memory.host(PhysicalAddress(scene.get(entry) & ~kPageMask)), kPageSize);
    scene.write_entry(entry, copy | kUserWrite);
    scene.tracepoint(TP_FAULT_LEAVE, kChild, kPages + 4, FAULT_COW_COPY);
    scene.return_to(kWriteInstruction + 16, 3);
    scene.fill(copy, 0xAB);
    run_thread(2);
    scene.tracepoint(TP_FAULT_LEAVE, kChild, kPages + 8, FAULT_SPURIOUS);
    scene.return_to(kWriteInstruction + 32, 3);
    const ForkRecord& fork = scene.record();
    EXPECT_TRUE(fork.findings.empty()) << fork.findings[0];
    EXPECT_EQ(fork.cow_faults(), 1u);
    ASSERT_EQ(fork.faults.size(), 2u);
    EXPECT_EQ(fork.faults[1].record->page, FaultClass::Spurious);
}

TEST(ServerFault, NoticesACopyThatDoesNotHoldTheSameBytes) {
    ServerScene scene;
    const u32 child = scene.fork(scene.parent, kForker, kChild);
    scene.spaces[kChild] = child;
    scene.run(kChild);
    scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.tracepoint(TP_MESSAGE, kChild, kMemoryServer, 9);
    scene.run(kMemoryServer);
    scene.write_entry(scene.entry_address(child, kPages), scene.fresh(0x77) | kUserWrite);
    scene.tracepoint(TP_FAULT_LEAVE, kChild, kPages, FAULT_COW_COPY);
    scene.switch_to(kChild, child);
    scene.return_to(kWriteInstruction, 3);
    ASSERT_EQ(scene.record().findings.size(), 1u);
    EXPECT_NE(scene.record().findings[0].find("does not hold the same bytes"), std::string::npos);
}

TEST(ShadowObjects, AreCountedInsideForkAndAfterIt) {
    ForkScene scene(4);
    scene.start();
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    scene.tracepoint(TP_SHADOW_CREATE, 3, 0xC1000000, 2);
    scene.tracepoint(TP_FORK_RUNNABLE, 3, 4, scene.frame());
    scene.tracepoint(TP_FORK_LEAVE, 3, 4, 4);
    scene.return_to(kForkInstruction, 3);
    scene.tracepoint(TP_SHADOW_CREATE, 4, 0xC1000040, 3);
    scene.tracepoint(TP_SHADOW_CHAIN, 4, 0xC1000040, 4);
    scene.tracepoint(TP_SHADOW_COLLAPSE, 3, 0xC1000040, 2);
    scene.tracepoint(TP_SHADOW_BYPASS, 3, 0xC1000040, 1);
    scene.tracepoint(TP_SHADOW_CREATE, 99, 0xC1000080, 9); // of another process
    const ForkRecord& fork = scene.tracer->forks().front();
    EXPECT_EQ(fork.shadows_inside.created, 1u);
    EXPECT_EQ(fork.shadows_inside.longest_chain, 2u);
    EXPECT_EQ(fork.shadows_after.created, 1u);
    EXPECT_EQ(fork.shadows_after.collapsed, 1u);
    EXPECT_EQ(fork.shadows_after.bypassed, 1u);
    EXPECT_EQ(fork.shadows_after.longest_chain, 4u);
    EXPECT_NE(document_text(fork_document(fork))
                  .find("shadow objects afterwards: 1 made, 1 collapsed, 1 bypassed; longest chain 4"),
              std::string::npos);
}
