// What the report of one fork says, of forks played by hand.
#include <gtest/gtest.h>

#include "emu/report/fork_comparison.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "json_judge.hpp"
#include "tests/unit/observe/observe_fork_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

constexpr u32 kParentPid = 3, kChildPid = 4;

// A workload that names its pages: the child writes two, then the parent three, and each its stack.
class ForkdemoScene : public ForkScene {
  public:
    explicit ForkdemoScene(u32 parent_pages) : ForkScene(8) {
        start();
        tracepoint(TP_WORKLOAD_BEGIN, kParentPid, 1, 2);
        const u32 child = fork(parent, kParentPid, kChildPid);
        switch_to(kChildPid, child);
        return_to(kForkInstruction, 3);
        for (u32 i = 0; i < 2; ++i)
            cow_fault(child, kChildPid, kPages + i * kPageSize);
        switch_to(kParentPid, parent);
        for (u32 i = 0; i < parent_pages; ++i)
            cow_fault(parent, kParentPid, kPages + i * kPageSize);
        cow_fault(parent, kParentPid, kStack, false, 0, 0);
    }
    const ForkRecord& record() const { return *tracer->last(); }
    std::string text(const ForkReportOptions& options = {}) const {
        return document_text(fork_document(record(), options));
    }
};

void expect_says(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in:\n" << text;
}

void expect_silent(const std::string& text, const std::string& part) {
    EXPECT_EQ(text.find(part), std::string::npos) << "\"" << part << "\" is in:\n" << text;
}

} // namespace

TEST(ForkReport, ExpectsWhatTheWorkloadsParentWrites) {
    const ForkdemoScene scene(3);
    ASSERT_EQ(scene.record().cow_faults(), 6u);
    ForkReportOptions options;
    options.parent_pages = ParentPages("quiet run=forkdemo --pages 2 --parent 3");
    const CowSummary summary = cow_summary(scene.record(), options.parent_pages);
    EXPECT_EQ(summary.pages_named, 2u);
    EXPECT_EQ(summary.parent_pages, 3u);
    EXPECT_EQ(summary.constant, 1);
    EXPECT_EQ(summary.named.size(), 5u);
    ASSERT_EQ(summary.rest.size(), 1u);
    EXPECT_EQ(summary.rest[0]->record->page_address(), kStack);
    expect_says(scene.text(options), "total: 6 faults = 2 pages named by the workload + 3 that its parent writes + 1");
    expect_says(scene.text(), "total: 6 faults = 2 pages named by the workload + 4\n");
    // A page that the parent should have written and did not is missed.
    const ForkdemoScene less(2);
    options.parent_pages = ParentPages("run=forkdemo --pages 2 --parent 4");
    EXPECT_EQ(cow_summary(less.record(), options.parent_pages).constant, 5 - 2 - 4);
    expect_says(less.text(options), "+ 4 that its parent writes - 1");
}

TEST(ForkReport, KnowsWhatForkdemosParentIsToldToWrite) {
    const auto told = [](const char* line, u64 pages = 20) {
        ForkRecord fork;
        fork.in_workload = true;
        fork.pages_named = pages;
        return ParentPages(line).of(fork);
    };
    EXPECT_EQ(told("run=forkdemo --pages 20 --parent 5"), 5u);
    EXPECT_EQ(told("run=forkdemo --parent 12 --pages 20"), 12u);
    EXPECT_EQ(told("run=forkdemo --parent 12", 8), 12u);
    // Of several the one with this fork's pages; of two with as many pages, what both are told.
    EXPECT_EQ(told("run=forkdemo --pages 3 --parent 2; forkdemo --pages 20"), 0u);
    EXPECT_EQ(told("run=forkdemo --pages 20;forkdemo --pages 3 --parent 2", 3), 2u);
    EXPECT_EQ(told("run=sh -c 'forkdemo --pages 3 --parent 2' && forkdemo --pages 20 --parent 4"), 4u);
    EXPECT_EQ(told("run=forkdemo --pages 20 --parent 4; forkdemo --pages 20 --parent 4"), 4u);
    EXPECT_EQ(told("run=forkdemo --pages 20 --parent 4; forkdemo --pages 20 --parent 5"), 0u);
    for (const char* other :
         {"", "run=forkdemo --pages 20", "run=forkdemo", "run=forkdemo --pages 20 --parent",
          "run=sh --pages 20 --parent 5", "run=forkdemo --pages 20 --parent x", "run=forkdemo --pages 20 --parents 3"})
        EXPECT_EQ(told(other), 0u) << other;
}

// Of a fork that lost its lists nothing is said that only a list could tell.
TEST(ForkReport, SaysOfDroppedListsThatTheyAre) {
    ForkTracerOptions few;
    few.keep = {.whole = 1, .forks = 100};
    ForkScene scene(8, few);
    scene.start();
    for (const u32 pid : {4u, 5u}) {
        const u32 child = scene.fork(scene.parent, kParentPid, pid);
        scene.switch_to(pid, child);
        scene.cow_fault(child, pid, kPages);
        scene.fault(kPages + 0x100000, kFaultUser, kWriteInstruction, 3);
        scene.return_to(kWriteInstruction, 3);
        scene.tracepoint(TP_PROCESS_EXIT, pid, kParentPid, 0);
        scene.switch_to(kParentPid, scene.parent);
        scene.tracepoint(TP_PROCESS_EXIT, pid, kParentPid, 0);
    }
    scene.tracepoint(TP_PROCESS_EXIT, kParentPid, 1, 0);
    const ForkRecord& first = scene.tracer->forks().front();
    ASSERT_TRUE(first.trimmed && first.ptes.empty() && first.faults.empty());
    ASSERT_TRUE(first.cow_faults() != 0 && first.other_faults != 0 && first.counts.flushes != 0);
    const std::string text = document_text(fork_document(first));
    expect_says(text, "Page-table entries changed inside fork\n  list dropped to bound memory");
    expect_says(text, "Parent and child when fork returned\n  list dropped to bound memory");
    expect_says(text, "Translations dropped inside fork\n  list dropped to bound memory");
    expect_says(text, "page by page\n  list dropped to bound memory");
    expect_says(text, "Other page faults on both sides\n  1 of them; the list was dropped");
    expect_silent(text, "\n  none\n");
    expect_silent(text, "nothing that a program may touch");

    const ForkRecord& last = scene.tracer->forks().back();
    ASSERT_FALSE(last.trimmed);
    expect_silent(document_text(fork_document(last)), "bound memory");
    EXPECT_EQ(first_whole({&first, &last}), &last);
    EXPECT_EQ(first_whole({&first}), &first);
    EXPECT_EQ(first_whole({}), nullptr);
    expect_says(document_text(fork_tree_document(scene.tracer->forks())), "1 copy-on-write faults, lists dropped");

    ForkComparison comparison;
    comparison.systems = {tally_forks({&first, &last}, {}), tally_forks({&last}, {})};
    comparison.systems[0].system = "One";
    comparison.systems[1].system = "Other";
    const std::string compared = document_text(comparison_document(comparison));
    expect_says(compared, "One: lists of some forks were dropped to bound memory");
    expect_silent(compared, "Other: lists");
}

// What a report says of both sides, in each state that they can be in.
TEST(ForkReport, SaysWhetherBothSidesAreApart) {
    ForkRecord fork = ForkdemoScene(1).record();
    const auto text = [&] { return document_text(fork_document(fork)); };
    fork.parent_ended = fork.child_ended = false;
    fork.private_cycle = 0;
    fork.still_shared = 5;
    expect_says(text(), "both private   not yet: 5 pages are still shared\n");
    fork.still_shared = 0;
    fork.leaked_pages = 2;
    expect_says(text(), "both private   no: 2 pages that one side writes and the other sees\n");
    expect_silent(text(), "still shared");
    fork.still_shared = 3;
    expect_says(text(), "the other sees; 3 are still to be copied\n");
    fork.still_shared = 0;
    fork.child_ended = true;
    fork.private_cycle = fork.left_cycle + 7;
    expect_says(text(), "the other sees; the child has ended\n");
    fork.leaked_pages = 0;
    expect_says(text(), "both private   7 cycles after fork returned; the child has ended\n");
    const std::string json = document_json(fork_document(fork));
    EXPECT_EQ(json_fault(json), "");
    expect_says(json, "\"leaked_pages\": 0");
    expect_says(json, "\"copied_pages\": 0");
}

TEST(ForkReport, SaysThatForkItselfCopiedAllPages) {
    ForkRecord fork;
    fork.left = fork.settled = true;
    fork.copied_pages = 6;
    fork.counts.system_calls = 1;
    fork.left_cycle = 100;
    fork.private_cycle = 180; // when the child was first seen
    std::string text = document_text(fork_document(fork));
    expect_says(text, "frames         6 pages copied by fork itself\n");
    expect_says(text, "both private   at once: fork copied all 6 pages and left none to be copied later\n");
    EXPECT_EQ(cycles_until_private(fork), 0u);
    expect_silent(text, "system calls\n  inside");
    // Pages that it left for later.
    fork.shared[kPages].copy_on_write = true;
    text = document_text(fork_document(fork));
    expect_says(text, "both private   80 cycles after fork returned\n");
    fork.counts.system_calls = 12;
    expect_says(document_text(fork_document(fork)), ", by 12 system calls\n");
}

// What a fork's thread spent, and what passed meanwhile, have one name each.
TEST(ForkReport, TellsOwnCyclesFromElapsedOnes) {
    ForkRecord fork = ForkdemoScene(1).record();
    fork.left_cycle = fork.begin_cycle;
    fork.spent.cycles = 0;
    for (std::size_t i = 0; i < fork.stops.size(); ++i) {
        ForkStop& stop = fork.stops.edit(i);
        stop.spent.cycles = 10;
        stop.begin_cycle = fork.left_cycle;
        stop.end_cycle = fork.left_cycle += 10;
        fork.spent.cycles += 10;
    }
    const auto total = static_cast<unsigned long long>(fork.spent.cycles);
    std::string text = document_text(fork_document(fork));
    expect_says(text, fmt::format("inside fork    {} own cycles, ", total));
    expect_silent(text, "elapsed");
    // Another process runs for a while.
    fork.stops.edit(1).end_cycle += 500;
    fork.left_cycle += 500;
    text = document_text(fork_document(fork));
    expect_says(text, fmt::format("inside fork    {} own cycles, ", total));
    expect_says(text, fmt::format("elapsed        {} cycles from its beginning to its return\n", total + 500));
    expect_says(text, fmt::format("  1    {:<24}{:>10}{:>10} ", "child slot", 10, 510));
    const std::string json = document_json(fork_document(fork));
    EXPECT_EQ(json_fault(json), "");
    expect_says(json, "\"schema\": 3");
    expect_says(json, fmt::format("\"own_cycles\": {},\n", total));
    expect_says(json, fmt::format("\"elapsed_cycles\": {},\n", total + 500));
    expect_says(json, "\"own_cycles\": 10, \"untraced_cycles\": null, \"elapsed_cycles\": 510, ");
    // Two tracepoints of 4 x 2 + 1 cycles in one stop, more than there were in another.
    fork.counts.tracepoints = 4;
    fork.stops.edit(0).counts.tracepoints = 1;
    fork.stops.edit(1).counts.tracepoints = 3;
    ForkReportOptions options;
    expect_silent(document_text(fork_document(fork, options)), "untraced");
    options.tracepoint = {.out = 2, .set_up = 1};
    text = document_text(fork_document(fork, options));
    expect_says(text, fmt::format("untraced       {} own cycles without the 4 tracepoints\n", total - 4 * 9));
    expect_says(text, "about 9 each, 4 OUTs of 2 and 1 before them\n");
    expect_says(document_json(fork_document(fork, options)), "\"own_cycles\": 10, \"untraced_cycles\": 1, ");
    expect_says(document_json(fork_document(fork, options)), "\"own_cycles\": 10, \"untraced_cycles\": 0, ");
    expect_says(document_json(fork_document(fork)), "\"untraced_cycles\": null,\n");
    fork.left = false;
    expect_says(document_json(fork_document(fork)), "\"elapsed_cycles\": null,\n");
}

// One cause alone would say the own cycles twice; with all causes the lines still fit.
TEST(ForkReport, PrintsNoColumnTwiceAndNoLineTooLong) {
    ForkRecord fork = ForkdemoScene(1).record();
    fork.spent.by_cause = {};
    fork.spent.by_cause[0] = fork.spent.cycles = 12345678;
    expect_silent(document_text(fork_document(fork)), "Where the cycles went");
    for (Cycles& cycles : fork.spent.by_cause)
        cycles = 1234567;
    for (std::size_t i = 0; i < fork.stops.size(); ++i)
        fork.stops.edit(i).spent.by_cause = fork.spent.by_cause;
    ForkReportOptions options;
    options.estimated_causes = ~0u;
    const std::string text = document_text(fork_document(fork, options));
    expect_says(text, "Where the cycles went\n  stop what");
    std::size_t start = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos; start = end + 1, end = text.find('\n', start))
        EXPECT_LE(end - start, 100u) << text.substr(start, end - start);
}

// User and supervisor by what the entries say: kernels lie low, and programs high.
TEST(ForkReport, NamesMemoryByRightsAndNotByAddress) {
    const ForkRecord fork;
    FaultRecord fault;
    fault.address = 0xEEBFC000;
    fault.after.present = true;
    fault.after.rights = kPteUser | kPteWritable;
    EXPECT_EQ(memory_name(fork, fault, {}), "mapped memory");
    fault.address = 0x00100000;
    EXPECT_EQ(memory_name(fork, fault, {}), "mapped memory");
    fault.after.rights = kPteWritable;
    EXPECT_EQ(memory_name(fork, fault, {}), "supervisor memory");
    fault.after.present = false;
    EXPECT_EQ(memory_name(fork, fault, {}), "mapped memory") << "nobody knows";
    fault.before.present = true;
    EXPECT_EQ(memory_name(fork, fault, {}), "supervisor memory");
}

// A stack is where its pointer was seen: of the parent when it forked, or of who takes the fault.
TEST(ForkReport, NamesAStackByItsPointer) {
    ForkRecord fork;
    EXPECT_EQ(memory_name(fork, 0xEEBFD010, {}), "mapped memory");
    fork.stacks = {{0xEEBFC100, 0xEEBFDFF0}};
    EXPECT_EQ(memory_name(fork, 0xEEBFD010, {}), "stack");
    EXPECT_EQ(memory_name(fork, 0xEEBFBFFC, {}), "mapped memory") << "nothing grows here";
    FaultRecord fault;
    fault.address = 0xEEBFBFFC;
    EXPECT_EQ(memory_name(fork, fault, {}), "mapped memory");
    fault.in_stack = true;
    EXPECT_EQ(memory_name(fork, fault, {}), "stack");
}
