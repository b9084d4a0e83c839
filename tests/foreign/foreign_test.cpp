// Kernels that know no tracer: what the tracer says about their forks is what they print themselves.
#include <algorithm>

#include <gtest/gtest.h>

#include "foreign_run.hpp"

using namespace forkscope;

namespace {

using Lines = std::vector<std::string>;

// A program of a kernel, and what its processes see where fork is right, or wrong in the way that `words` ask for.
struct Scenario {
    const char* name;
    const char* image;
    const char* words;
    const char* values;
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

constexpr Scenario kScenarios[] = {
    {"cow_plain", "cow", "plain", "200 201 202 103, 100 101 102 303 300"},
    {"cow_untouched", "cow", "untouched", "300 301, 100 201, 100 101"},
    {"cow_chain", "cow", "chain", "200 201 202 203, 200 201 202 103, 200 201 102 103, 200 101 102 103"},
    {"cow_two", "cow", "two", "200 101, 100 201, 300 301"},
    {"cow_create", "cow", "create", "200 0, 100 101"},
    {"cow_blocked", "cow", "blocked", "100 201, 100 101, 301 101"},
    {"cow_late", "cow", "late", "400 201, 100 201, 301 101"},
    {"cow_storm", "cow", "storm rounds=20", "100 101"},
    {"cow_user_map", "cow", "plain map=user", "200 201 202 103, 100 101 102 303 300"},
    {"cow_pae", "cow_pae", "plain", "200 201 202 103, 100 101 102 303 300"},
    {"cow_pae_chain", "cow_pae", "chain", "200 201 202 203, 200 201 202 103, 200 201 102 103, 200 101 102 103"},
    {"cow_child_first", "cow", "plain first=child", "200 201 202 103, 100 101 102 303 300"},
    {"fullcopy_plain", "fullcopy", "plain", "200 101 102 103, 100 301 102 103"},
    {"fullcopy_child_first", "fullcopy", "plain first=child", "200 101 102 103, 100 301 102 103"},
    {"fullcopy_exec", "fullcopy", "exec", "400 0 0 0, 100 101 102 103"},
    {"fullcopy_create", "fullcopy", "create", "400 0 0 0, 100 101 102 103"},
    {"fullcopy_create_early", "fullcopy", "early", "400 0 0 0, 0 0 0 0"},
    {"fullcopy_spawn", "fullcopy", "spawn", "701, 700"},
    {"fullcopy_spawn_first", "fullcopy", "spawn first=child", "701, 700"},
    {"fullcopy_tree", "fullcopy", "tree", "200 101 102 103, 100 201 302 103, 100 201 102 103, 100 101 102 303"},
    {"fullcopy_again", "fullcopy", "again junk", "200, 201, 202, 100 101 102 103"},
    {"fullcopy_heir", "fullcopy", "heir junk", "500, 400, 100 101 102 303"},
    {"fullcopy_guard", "fullcopy", "again guard", "200, 201, 202, 100 101 102 103"},
    {"large_plain", "large", "plain", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_child", "large", "child", "500 501 502 603, 700 501 502 503"},
    {"large_at_fault", "large", "plain at=fault", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_at_fault_clear", "large", "plain at=fault clear", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_at_fork", "large", "plain at=fork", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_copy", "large", "plain copy", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_pae_plain", "large_pae", "plain", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"large_pae_at_fault", "large_pae", "child at=fault", "500 501 502 603, 700 501 502 503"},
    {"large_pae_copy", "large_pae", "plain copy", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"manycalls_plain", "manycalls", "plain", "200 201 102 103, 100 101 102 303"},
    {"manycalls_chain", "manycalls", "chain", "200 201 202 103, 200 201 102 103, 200 101 102 103"},
    {"manycalls_two", "manycalls", "two", "200 101 102 103, 100 201 102 103, 300 101 102 103"},
    {"fullcopy_pae", "fullcopy_pae", "plain", "200 101 102 103, 100 301 102 103"},
    {"fullcopy_pae_again", "fullcopy_pae", "again junk", "200, 201, 202, 100 101 102 103"},
    {"manycalls_pae", "manycalls_pae", "plain", "200 201 102 103, 100 101 102 303"},
    {"manycalls_pae_chain", "manycalls_pae", "chain", "200 201 202 103, 200 201 102 103, 200 101 102 103"},
    {"manycalls_dumb", "manycalls", "dumb", "200 101 102 103, 100 101 102 303"},
    {"manycalls_spawn", "manycalls", "spawn", "400 0 0 0, 100 101 102 103"},
    {"manycalls_grow", "manycalls", "grow", "3 205, 3 101 304"},
    {"manycalls_pae_grow", "manycalls_pae", "grow", "3 205, 3 101 304"},
    {"cow_orphan", "cow", "orphan reap junk", "300 101 302 103, 100 102 102 403, 100 102 102 103"},
    {"cow_pae_orphan", "cow_pae", "orphan reap junk", "300 101 302 103, 100 102 102 403, 100 102 102 103"},
    {"fullcopy_orphan", "fullcopy", "orphan reap junk", "200 101 302 103, 100 102 102 403, 100 102 102 103"},
    {"fullcopy_signal", "fullcopy", "signal", "200 101 222 103, 100 301 102 103"},
    {"fullcopy_based", "fullcopy", "plain based first=child", "200 101 102 103, 100 301 102 103"},
    {"large_filled", "large", "plain at=fork empty", "200 101 500 601 602 503, 100 101 700 701 502 503"},
    {"cow_bug_reuse", "cow", "plain bug=reuse", "200 201 202 303, 200 201 202 303 300"},
    {"cow_bug_mark", "cow", "untouched bug=mark", "100 201, 100 101"},
    {"cow_doomed", "cow", "doomed", "201, 300, 201, 301, 100 301"},
    {"cow_bug_killed", "cow", "doomed bug=mark", "300, 301, 100 301"},
    {"fullcopy_exec_then_fork", "fullcopy", "refork", "400 501 0 103, 400 0 0 103, 0 0 0 103"},
    {"fullcopy_tree_first", "fullcopy", "tree first=child",
     "200 101 102 103, 100 201 302 103, 100 201 102 103, 100 101 102 303"},
    {"cow_bug_flush", "cow", "plain bug=flush", "200 201 202 303, 100 101 102 303 300"},
    {"cow_bug_wp", "cow", "plain bug=wp", "200 201 202 103, 100 101 202 303 300"},
};

class ForeignKernels : public testing::TestWithParam<Scenario> {};

// One finding of these words; the texts of all, where there is none.
void expect_finding(const ForeignRun& run, const std::string& words) {
    const Lines findings = run.findings();
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(),
                            [&](const std::string& text) { return text.find(words) != std::string::npos; }))
        << "no finding says \"" << words << "\" among " << testing::PrintToString(findings);
}

void expect_agreement(const ForeignRun& run) {
    EXPECT_TRUE(run.traced() == run.told()) << line_difference(run.told(), run.traced());
    EXPECT_EQ(run.misplaced_faults(), Lines());
}

void expect_sound(const std::string& image, const std::string& words) {
    const ForeignRun run(image, words);
    expect_agreement(run);
    EXPECT_EQ(run.findings(), Lines());
}

void expect_equal_tables(const std::string& image, const std::string& words) {
    const ForeignRun run(image, words);
    EXPECT_TRUE(run.tables_traced() == run.tables_told()) << line_difference(run.tables_told(), run.tables_traced());
}

} // namespace

TEST_P(ForeignKernels, ShowWhatTheyAreMadeToShow) {
    const ForeignRun run(GetParam().image, GetParam().words);
    EXPECT_EQ(run.values(), GetParam().values) << run.console();
    EXPECT_EQ(!run.lines("killed").empty(), std::string(GetParam().words).find("bug=mark") != std::string::npos);
}

TEST_P(ForeignKernels, RunTheSameOnBothEnginesAndWithoutATracer) {
    ForeignRun block(GetParam().image, GetParam().words);
    ForeignRun untraced(GetParam().image, GetParam().words, EngineKind::Block, ForeignRun::Traced::No);
    ForeignRun interpreter(GetParam().image, GetParam().words, EngineKind::Interpreter);
    EXPECT_EQ(block.console(), interpreter.console());
    EXPECT_EQ(block.hash(), interpreter.hash());
    EXPECT_EQ(block.hash(), untraced.hash());
    EXPECT_EQ(block.traced(), interpreter.traced());
    EXPECT_EQ(untraced.traced(), "");
}

// But for the one whose result depends on how long a TLB keeps what nobody flushed.
TEST_P(ForeignKernels, PrintTheSameOnQemu) {
    if (std::string(GetParam().words).find("bug=flush") != std::string::npos)
        GTEST_SKIP() << "a stale translation may live longer or shorter on another machine";
    const std::string qemu = ForeignRun::console_of_qemu(GetParam().image, GetParam().words);
    if (qemu.empty())
        GTEST_SKIP() << "qemu-system-i386 is not installed (./run test installs it)";
    EXPECT_EQ(ForeignRun(GetParam().image, GetParam().words).console(), qemu);
}

INSTANTIATE_TEST_SUITE_P(Of, ForeignKernels, testing::ValuesIn(kScenarios), testing::PrintToStringParamName());

// The pages of a kernel mapped low are not the program's.
TEST(ForeignForks, OfAKernelMappedLowAreCounted) { expect_sound("cow", "plain"); }

TEST(ForeignForks, AreCountedWithPae) { expect_sound("cow_pae", "plain"); }

// Nothing was written between the two forks: the second takes no right to write from anybody.
TEST(ForeignForks, OfAnUntouchedChildAreCounted) {
    const ForeignRun run("cow", "untouched");
    ASSERT_LT(run.console().rfind("fork "), run.console().find("fault ")) << run.console();
    expect_sound("cow", "untouched");
}

TEST(ForeignForks, OfAChainAreCounted) { expect_sound("cow", "chain"); }

TEST(ForeignForks, OfOneParentTwiceAreCounted) { expect_sound("cow", "two"); }

// The parent gets back the right to write from a child that has ended, and the next child has the same directory.
TEST(ForeignForks, WhoseDirectoriesWereOfEndedProcessesAreCounted) {
    const Lines forks = ForeignRun("cow", "doomed").lines("fork");
    ASSERT_EQ(forks.size(), 4u);
    ASSERT_EQ(forks[0], forks[2]);
    expect_sound("cow", "doomed");
}

TEST(ForeignForks, InAStormAreCounted) { expect_sound("cow", "storm rounds=20"); }

// A process from the fresh image shares no more than its code with who made it.
TEST(ForeignForks, AreNotFreshProcesses) {
    const ForeignRun run("cow", "create");
    ASSERT_EQ(run.lines("create").size(), 1u);
    expect_sound("cow", "create");
}

TEST(ForeignForks, WhoseChildRunsFirstAreCounted) { expect_sound("cow", "plain first=child"); }

// The parent writes before the child has run: what was copied is to be compared when it is copied.
TEST(ForeignForks, ThatCopyEveryPageAreCounted) { expect_sound("fullcopy", "plain"); }

TEST(ForeignForks, ThatCopyEveryPageAreCountedWhereTheChildRunsFirst) { expect_sound("fullcopy", "plain first=child"); }

TEST(ForeignForks, ThatCopyEveryPageAreCountedInATree) { expect_sound("fullcopy", "tree"); }

// What wait() fills with bytes that read as present entries was the dead child's; the next child has its frames.
TEST(ForeignForks, OfChildrenInFramesOfDeadOnesAreCounted) {
    const ForeignRun run("fullcopy", "again junk");
    const Lines forks = run.lines("fork");
    ASSERT_EQ(forks.size(), 3u);
    ASSERT_EQ(forks[0], forks[1]);
    expect_sound("fullcopy", "again junk");
    for (const ForkRecord& fork : run.tracer().forks()) {
        EXPECT_EQ(fork.counts.system_calls, 1u) << "fork " << fork.number;
        EXPECT_TRUE(std::all_of(fork.ptes.begin(), fork.ptes.end(),
                                [&](const PteChange& change) {
                                    return change.directory == fork.parent_directory ||
                                           change.directory == fork.child_directory;
                                }))
            << "fork " << fork.number;
    }
}

// A program that exec put into a dead child's directory is not that child.
TEST(ForeignForks, OfAProgramInADeadChildsDirectoryAreNotItsForks) {
    const ForeignRun run("fullcopy", "heir junk");
    expect_sound("fullcopy", "heir junk");
    std::vector<const ForkRecord*> forks;
    for (const ForkRecord& fork : run.tracer().forks())
        forks.push_back(&fork);
    ASSERT_EQ(forks.size(), 4u);
    ASSERT_EQ(forks[3]->parent_directory, forks[1]->child_directory);
    EXPECT_EQ(forks[3]->made_parent, 0u);
}

// A page below the stack is the kernel's in the parent; fork copies it like any other, and opens it to the child.
TEST(ForeignForks, ThatCopyAPageClosedToTheParentAreCounted) { expect_sound("fullcopy", "again guard"); }

// A child that runs first may fork before its own fork is known to be one.
TEST(ForeignForks, ThatCopyEveryPageAreCountedInATreeThatBeginsAtItsEnd) {
    expect_sound("fullcopy", "tree first=child");
}

// A new directory is filled, loaded and run in the same system call, and the old one is freed.
TEST(ForeignForks, AreNotExec) {
    const ForeignRun run("fullcopy", "exec");
    ASSERT_EQ(run.lines("exec").size(), 1u);
    expect_sound("fullcopy", "exec");
}

// Whoever exec gave up its directory for is not the parent of the process that gets it.
TEST(ForeignForks, AreNotExecWhoseOldDirectoryIsTheNextChilds) {
    const ForeignRun run("fullcopy", "refork");
    ASSERT_EQ(run.lines("exec").size(), 1u);
    const Lines forks = run.lines("fork");
    ASSERT_EQ(forks.size(), 2u);
    const auto child = [](const std::string& line) {
        return line.substr(line.find("child="), line.find(" pages") - line.find("child="));
    };
    ASSERT_EQ(child(forks[0]), child(forks[1])) << run.console();
    expect_sound("fullcopy", "refork");
}

// The code of both is equal byte by byte, as they have the same image; or even all is, but for where the new one
// begins.
TEST(ForeignForks, AreNotSpawnedCopiesOfTheImage) {
    for (const char* words : {"create", "early"}) {
        ASSERT_EQ(ForeignRun("fullcopy", words).lines("create").size(), 1u);
        expect_sound("fullcopy", words);
    }
}

// All that the image holds is the same on both sides: a copy goes on behind its maker's call, a fresh process where its
// program begins.
TEST(ForeignForks, AreNotSpawnedFromAnImageWithData) {
    for (const char* image : {"fullcopy", "fullcopy_pae"})
        for (const char* words : {"spawn", "spawn first=child"}) {
            SCOPED_TRACE(fmt::format("{} {}", image, words));
            ASSERT_EQ(ForeignRun(image, words).lines("create").size(), 1u);
            expect_sound(image, words);
        }
}

// The calls that others make a fork of: here nothing that the new process has is its maker's.
TEST(ForeignForks, AreNotSpawnedByManyCalls) {
    ASSERT_EQ(ForeignRun("manycalls", "spawn").lines("create").size(), 1u);
    expect_sound("manycalls", "spawn");
}

// 4 MB by one entry, with PAE 2 MB, which both sides have and either copies as a whole.
TEST(ForeignForks, ThatShareALargePageAreCounted) {
    for (const char* image : {"large", "large_pae"})
        for (const char* words : {"plain", "child"}) {
            SCOPED_TRACE(fmt::format("{} {}", image, words));
            expect_sound(image, words);
        }
}

// Once a write needs a piece of it, each piece is shared or copied on its own.
TEST(ForeignForks, ThatShareALargePageUntilItIsSplitAreCounted) {
    for (const char* image : {"large", "large_pae"})
        for (const char* words : {"plain at=fault", "child at=fault", "plain at=fault clear", "plain at=fork"}) {
            SCOPED_TRACE(fmt::format("{} {}", image, words));
            expect_sound(image, words);
            const ForeignRun run(image, words);
            ASSERT_FALSE(run.tracer().forks().empty());
            const ForkRecord& fork = run.tracer().forks().back();
            EXPECT_GT(fork.shared.size(), 500u) << "pieces";
            EXPECT_GT(fork.still_shared, std::string(words).rfind("plain", 0) == 0 ? 500u : 0u)
                << "that nobody wrote to";
        }
}

TEST(ForeignForks, ThatCopyALargePageAtOnceAreCounted) {
    for (const char* image : {"large", "large_pae"}) {
        expect_sound(image, "plain copy");
        const ForeignRun run(image, "plain copy");
        for (const ForkRecord& fork : run.tracer().forks())
            EXPECT_EQ(fork.still_shared, 0u);
    }
}

// The entry leads to a table that is filled afterwards, with pieces that never had the right to write; or with pieces
// that lose it one by one.
TEST(ForeignForks, ThatSplitALargePageBeforeTheyShareItAreCounted) {
    for (const char* image : {"large", "large_pae"})
        for (const char* words : {"plain at=fork empty", "plain at=fork first", "plain at=fork clear"}) {
            SCOPED_TRACE(fmt::format("{} {}", image, words));
            expect_sound(image, words);
            const ForeignRun run(image, words);
            ASSERT_FALSE(run.tracer().forks().empty());
            EXPECT_GT(run.tracer().forks().back().still_shared, 500u);
        }
}

// The parent's tables are cleared, and its frames filled with other bytes, before its child runs.
TEST(ForeignForks, WhoseParentEndsBeforeTheChildRunsAreCounted) {
    for (const auto& [image, words] : {std::pair{"cow", "orphan reap junk"},
                                       {"cow_pae", "orphan reap junk"},
                                       {"fullcopy", "orphan reap junk"},
                                       {"fullcopy_pae", "orphan reap junk"},
                                       {"cow", "orphan"},
                                       {"fullcopy", "orphan junk"}}) {
        SCOPED_TRACE(fmt::format("{} {}", image, words));
        const ForeignRun run(image, words);
        const std::string& console = run.console();
        const Lines forks = run.lines("fork");
        ASSERT_EQ(forks.size(), 3u) << console;
        ASSERT_LT(console.find(forks[1]), console.find("exit space")) << console;
        ASSERT_LT(console.find("exit space"), console.find("value")) << console;
        expect_sound(image, words);
        std::vector<const ForkRecord*> found;
        for (const ForkRecord& fork : run.tracer().forks())
            found.push_back(&fork);
        ASSERT_EQ(found.size(), 3u);
        EXPECT_TRUE(found[1]->parent_ended);
        // Whose tables stay as they were has not ended, as far as anybody can see.
        EXPECT_EQ(found[1]->child_ended, std::string(words).find("junk") != std::string::npos);
        EXPECT_EQ(found[1]->made_parent, found[0]->number);
        // The third has the first one's child's directory, and is nobody's grandchild.
        EXPECT_EQ(found[2]->child_directory, found[0]->child_directory);
        EXPECT_EQ(found[2]->made_parent, 0u);
    }
}

// Its first instruction is the handler's, and not the one behind the call that made it.
TEST(ForeignForks, WhoseChildHandlesASignalFirstAreCounted) {
    for (const char* image : {"fullcopy", "fullcopy_pae"})
        for (const char* words : {"signal", "signal first=child"}) {
            SCOPED_TRACE(fmt::format("{} {}", image, words));
            expect_sound(image, words);
        }
}

// Where an interrupt came from is said in CS, where it returns to is not.
TEST(ForeignForks, OfProgramsWhoseCodeSegmentHasABaseAreCounted) {
    for (const auto& [image, words] : {std::pair{"fullcopy", "plain based"},
                                       {"fullcopy", "plain based first=child"},
                                       {"fullcopy", "tree based first=child"},
                                       {"fullcopy", "spawn based first=child"},
                                       {"fullcopy", "signal based"},
                                       {"cow", "chain based"}}) {
        SCOPED_TRACE(fmt::format("{} {}", image, words));
        expect_sound(image, words);
    }
}

// An empty child, a page map for each page and for the parent's own, a start: one fork; its faults return without the
// kernel. The parent copies its stack before its fork is over.
TEST(ForeignForks, OfManyCallsAreCounted) {
    const ForeignRun run("manycalls", "plain");
    ASSERT_LT(run.console().find("fault "), run.console().find("fork ")) << run.console();
    expect_sound("manycalls", "plain");
}

TEST(ForeignForks, OfManyCallsAreCountedInAChain) { expect_sound("manycalls", "chain"); }

// Four pointers at any 32 bytes are a space: it is known before CR3 holds it. A copy of them in the kernel's data is
// none.
TEST(ForeignForks, OfSpacesThatPointersLeadToAreCounted) {
    for (const auto& [image, words] : {std::pair{"fullcopy_pae", "plain"},
                                       {"fullcopy_pae", "plain first=child"},
                                       {"fullcopy_pae", "tree"},
                                       {"fullcopy_pae", "exec"},
                                       {"fullcopy_pae", "create"},
                                       {"fullcopy_pae", "again"},
                                       {"manycalls_pae", "plain"},
                                       {"manycalls_pae", "chain"},
                                       {"manycalls_pae", "two"},
                                       {"manycalls_pae", "spawn"},
                                       {"fullcopy_pae", "plain saved"},
                                       {"fullcopy_pae", "tree saved"},
                                       {"manycalls_pae", "two saved"}}) {
        SCOPED_TRACE(fmt::format("{} {}", image, words));
        expect_sound(image, words);
        // Of a child that runs first the kernel's half is not known to be a table's when it is written.
        if (std::string(words).find("first=child") == std::string::npos)
            expect_equal_tables(image, words);
    }
}

// The child goes on behind the first of the calls that make it.
TEST(ForeignForks, OfManyCallsThatCopyEveryPageAreCounted) {
    expect_sound("manycalls", "dumb");
    expect_sound("manycalls_pae", "dumb");
}

TEST(ForeignForks, OfManyCallsAreCountedTwice) { expect_sound("manycalls", "two"); }

// A user stack at EEBFD000h, or with PAE at 2EBFD000h: no address tells, and its pointer does.
TEST(ForeignStacks, AreKnownByTheirPointers) {
    for (const char* image : {"manycalls", "manycalls_pae"}) {
        SCOPED_TRACE(image);
        expect_sound(image, "grow");
        const ForeignRun run(image, "grow");
        ASSERT_EQ(run.lines("grown").size(), 8u) << run.console();
        EXPECT_TRUE(run.growth_traced() == run.growth_told())
            << line_difference(run.growth_told(), run.growth_traced());
        // Each side copies its pages of the stack, and one of data.
        const Lines faults = run.cow_names();
        EXPECT_EQ(faults.size(), 10u);
        for (const std::string& fault : faults)
            EXPECT_EQ(fault.find("ebf") != std::string::npos ? "stack" : "mapped memory",
                      fault.substr(fault.find(' ', fault.find("page=")) + 1))
                << fault;
    }
}

TEST(ForeignTables, OfACopyOnWriteForkHoldEveryEntry) {
    expect_equal_tables("cow", "plain");
    expect_equal_tables("cow", "untouched");
    expect_equal_tables("cow", "chain");
    expect_equal_tables("cow_pae", "plain");
}

TEST(ForeignTables, OfAForkThatCopiesEveryPageHoldEveryEntry) { expect_equal_tables("fullcopy", "plain"); }

TEST(ForeignTables, OfAForkByManyCallsHoldEveryEntry) {
    expect_equal_tables("manycalls", "plain");
    expect_equal_tables("manycalls", "two");
}

// Who wrote the child's tables is the parent: not who write-protected pages last, or still sits in such a call.
TEST(ForeignForks, HaveTheParentThatWroteTheChildsTables) {
    for (const char* words : {"blocked", "late"}) {
        SCOPED_TRACE(words);
        ASSERT_EQ(ForeignRun("cow", words).lines("noticed").size(), 1u);
        expect_sound("cow", words);
    }
}

// The page tables themselves can be written by programs, and every store to them is still seen.
TEST(ForeignForks, AreCountedWhereProgramsCanReachThePageTables) {
    const ForeignRun run("cow", "plain map=user");
    expect_agreement(run);
}

TEST(ForeignBugs, AWriteGrantedWhileTheOtherSideStillMapsTheFrameIsFound) {
    const ForeignRun run("cow", "plain bug=reuse");
    expect_agreement(run);
    expect_finding(run, "still maps");
}

TEST(ForeignBugs, AMarkLostByASecondForkIsFound) {
    const ForeignRun run("cow", "untouched bug=mark");
    expect_agreement(run);
    expect_finding(run, "mark");
    expect_finding(run, "killed");
}

// A process that was killed inside a fault never comes back from it: the next one in its frames that faults in the same
// way is not the answer.
TEST(ForeignBugs, EachProcessKilledForALostMarkIsFoundInItsOwnFork) {
    const ForeignRun run("cow", "doomed bug=mark");
    const Lines killed = run.lines("killed");
    ASSERT_EQ(killed.size(), 2u);
    ASSERT_EQ(killed[0], killed[1]);
    expect_agreement(run);
    Lines found = run.findings();
    std::erase_if(found, [](const std::string& text) { return text.find("neither got a copy") == std::string::npos; });
    ASSERT_EQ(found.size(), 2u) << testing::PrintToString(found);
    EXPECT_EQ(found[0].rfind("fork 2:", 0), 0u) << found[0];
    EXPECT_EQ(found[1].rfind("fork 4:", 0), 0u) << found[1];
    for (const std::string& text : found)
        EXPECT_NE(text.find("the process was killed"), std::string::npos) << text;
}

TEST(ForeignBugs, AMissingFlushIsFound) {
    const ForeignRun run("cow", "plain bug=flush");
    expect_agreement(run);
    expect_finding(run, "without a flush");
}

TEST(ForeignBugs, AKernelWriteThroughAReadOnlyEntryIsFound) {
    const ForeignRun run("cow", "plain bug=wp");
    expect_agreement(run);
    expect_finding(run, "CR0.WP");
}
