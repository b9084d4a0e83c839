#include <gtest/gtest.h>

#include "emu/report/fork_comparison.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "json_judge.hpp"
#include "tests/unit/observe/observe_fork_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

// Two forks of a workload that names two pages each, after one that does not belong to it.
class Workload : public ForkScene {
  public:
    Workload() : ForkScene(4) {
        start();
        const u32 earlier = fork(parent, 3, 9);
        switch_to(9, earlier);
        tracepoint(TP_PROCESS_EXIT, 9, 3, 0);
        switch_to(3, parent);
        cow_fault(parent, 3, kStack);
        tracepoint(TP_WORKLOAD_BEGIN, 3, 1, 2);
        for (u32 pid : {4u, 5u}) {
            const u32 child = fork(parent, 3, pid);
            switch_to(pid, child);
            return_to(kForkInstruction, 3);
            cow_fault(child, pid, kPages);
            cow_fault(child, pid, kPages + kPageSize);
            tracepoint(TP_PROCESS_EXIT, pid, 3, 0);
            switch_to(3, parent);
            cow_fault(parent, 3, kStack, false, 0, 0);
        }
        tracepoint(TP_WORKLOAD_END, 3, 1, 0);
    }
    ForkTally tally(const char* os) const {
        ForkReportOptions options;
        options.profile = find_fork_profile(os);
        return tally_forks(workload_forks(tracer->forks()), options);
    }
};

} // namespace

TEST(ForkComparison, SumsTheForksThatTheWorkloadMarks) {
    const Workload scene;
    EXPECT_EQ(scene.tracer->forks().size(), 3u);
    const ForkTally tally = scene.tally("lunaix");
    EXPECT_EQ(tally.forks, 2u);
    EXPECT_EQ(tally.failed, 0u);
    EXPECT_EQ(tally.system, "LunaixOS");
    const ForkRecord& one = scene.tracer->forks().back();
    EXPECT_EQ(tally.counts.frames_allocated, 2 * one.counts.frames_allocated);
    EXPECT_EQ(tally.counts.flushes, 2 * one.counts.flushes);
    Cycles cycles = 0;
    u64 protects = 0;
    for (const StopTally& stop : tally.stops) {
        EXPECT_EQ(stop.times, 2u);
        EXPECT_FALSE(stop.original.empty());
        cycles += stop.spent.cycles;
        protects += stop.counts.pte_protects;
    }
    EXPECT_EQ(cycles, tally.spent.cycles);
    EXPECT_EQ(protects, tally.counts.pte_protects);
}

TEST(ForkComparison, NamesTheConstantPageByPage) {
    const ForkTally tally = Workload().tally("minix");
    EXPECT_EQ(tally.pages_named, 4u);
    EXPECT_EQ(tally.cow_faults, 6u);
    EXPECT_EQ(tally.cow_constant(), 2);
    ASSERT_EQ(tally.constant.size(), 1u);
    EXPECT_EQ(tally.constant[0].faults, 2u);
    EXPECT_EQ(tally.constant[0].page, kStack);
    EXPECT_EQ(tally.constant[0].side, ForkSide::Parent);
    EXPECT_EQ(tally.constant[0].fault_class, FaultClass::CowReuse);
    EXPECT_EQ(tally.constant[0].memory, "stack");
    EXPECT_EQ(tally.faults[1][static_cast<u8>(FaultClass::CowCopy)], 4u);
    EXPECT_EQ(tally.faults[0][static_cast<u8>(FaultClass::KernelCopy)], 2u);
    EXPECT_EQ(tally.became_private, 2u);
}

TEST(ForkComparison, LaysSystemsSideBySideInHundredColumns) {
    ForkComparison comparison;
    comparison.workload = "two";
    comparison.command = "two";
    comparison.machine = "by hand";
    for (const char* os : {"lunaix", "minix", "freebsd"})
        comparison.systems.push_back(Workload().tally(os));
    // The largest figures that a workload of a minute brings about.
    comparison.systems[1].spent.cycles = 987654321;
    comparison.systems[0].until_private = comparison.systems[2].until_private = 98765432;
    comparison.systems[2].trouble = "the limit was reached before the workload had ended";
    comparison.systems[2].shadows_after.longest_chain = 3;
    const Document document = comparison_document(comparison);
    const std::string text = document_text(document);
    std::size_t start = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos; start = end + 1, end = text.find('\n', start)) {
        EXPECT_LE(end - start, 100u) << text.substr(start, end - start);
        EXPECT_TRUE(end == start || text[end - 1] != ' ') << text.substr(start, end - start);
    }
    for (const char* part : {"LunaixOS", "MINIX 3", "FreeBSD", "sum over all", "2b", "leaflets duplicated",
                             "handle_memory", "! FreeBSD: the limit was reached", "987,654k / 493,827k"})
        EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    for (const char* part : {"inside", "by_stop", "afterwards", "cow_summary"})
        for (const Object& row : document.shown.find(part)->rows())
            EXPECT_EQ(row.find("values")->values().size(), 3u) << cell_text(*row.find("label"));
    EXPECT_EQ(json_fault(document_json(document)), "");
}

TEST(ForkComparison, TakesAllButTheFirstProcessesForksWhereNobodyMarksAny) {
    ForkScene scene(2);
    scene.start();
    const u32 shell = scene.fork(scene.parent, 1, 4);
    scene.switch_to(4, shell);
    scene.fork(shell, 4, 5);
    const std::vector<const ForkRecord*> forks = workload_forks(scene.tracer->forks());
    ASSERT_EQ(forks.size(), 1u);
    EXPECT_EQ(forks[0]->parent_pid, 4u);
    const ForkTally empty = tally_forks({}, {});
    ForkComparison nothing;
    nothing.systems = {empty, empty};
    EXPECT_NE(document_text(comparison_document(nothing)).find("forks"), std::string::npos);
    EXPECT_NE(document_json(comparison_document(nothing)).find("\"schema\": 3"), std::string::npos);
}
