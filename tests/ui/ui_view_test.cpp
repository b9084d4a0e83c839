#include "emu/report/fork_report.hpp"
#include "emu/view/view.hpp"
#include "guest/abi/layout.h"
#include "guest/abi/tracepoints.h"
#include "tests/ui/ui_bench.hpp"

namespace forkscope {
namespace {

u64 cells(const TablesView& tables, std::size_t side, PageState state) {
    u64 found = 0;
    for (const MapRow& row : tables.rows)
        for (const PageCell& cell : row.cells[side])
            found += !row.supervisor && cell.state == state ? 1 : 0;
    return found;
}

TEST(View, ShowsEveryUserPageOfBothSidesOnceInMapAndRanges) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_RUNNABLE));
    const View view = observe(bench.machine(), &bench.tracer(), bench.symbols());
    ASSERT_TRUE(view.inside_fork);
    EXPECT_EQ(view.forks.shown.fork, bench.tracer().current()->number);
    for (std::size_t side = 0; side < 2; ++side) {
        const SpaceView& space = view.tables.sides[side];
        ASSERT_TRUE(space.present);
        u64 in_ranges = 0;
        for (const RangeRow& range : view.tables.ranges)
            if (range.states[side] != PageState::Absent)
                in_ranges += (range.end - range.start) / kPageSize;
        u64 in_map = 0;
        for (const PageState state : {PageState::Private, PageState::SharedReadOnly, PageState::SharedWritable})
            in_map += cells(view.tables, side, state);
        u64 in_table = 0;
        for (const PageEntry& entry : space.table.entries())
            in_table += entry.user() ? 1 : 0;
        EXPECT_EQ(in_map, in_table);
        EXPECT_EQ(in_ranges, in_table);
        EXPECT_GT(in_table, 8u);
        EXPECT_EQ(cells(view.tables, side, PageState::SharedReadOnly), in_table) << "protection is done";
    }
    EXPECT_EQ(view.tables.written_now, bench.tracer().current()->stops[5].counts.pte_writes);
}

TEST(View, FindsTheProgramAndItsRegions) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_RUNNABLE));
    const View view = observe(bench.machine(), &bench.tracer(), bench.symbols());
    EXPECT_NE(view.tables.sides[0].title.find("forkdemo"), std::string::npos) << view.tables.sides[0].title;
    EXPECT_NE(view.tables.sides[1].title.find("forkdemo"), std::string::npos) << view.tables.sides[1].title;
    std::set<std::string> names;
    for (const RangeRow& range : view.tables.ranges)
        names.insert(range.name);
    EXPECT_TRUE(names.count("text") == 1 && names.count("stack") == 1);
    EXPECT_NE(view.code.place.find("fork"), std::string::npos) << view.code.place;
}

// Wherever a kernel puts the stacks: the stack pointer tells, also while the kernel runs.
TEST(View, FindsTheStackByItsPointer) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_RUNNABLE));
    const auto in_stack = [](u64 address) {
        return address >= USER_STACK_TOP - USER_STACK_BYTES && address < USER_STACK_TOP;
    };
    const TablesView tables = observe_tables({bench.machine(), &bench.tracer(), bench.symbols()});
    u64 pages = 0;
    for (const RangeRow& range : tables.ranges) {
        EXPECT_TRUE(range.name != "stack" || in_stack(range.start)) << range.start;
        pages += range.name == "stack" ? (range.end - range.start) / kPageSize : 0;
    }
    EXPECT_GE(pages, 2u);
    for (const MapRow& row : tables.rows)
        EXPECT_EQ(row.name == "stack", !row.supervisor && in_stack(row.linear + 62 * kPageSize))
            << row.linear << ": " << row.name;
}

// The child has ended, and older forks have sides that live: the newest is still the one to look at.
TEST(View, ShowsTheNewestForkWhateverBecameOfIt) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_WORKLOAD_END));
    const ForkRecord newest = *bench.tracer().last();
    ASSERT_TRUE(newest.in_workload && newest.child_ended && !newest.parent_ended);
    const View view = observe(bench.machine(), &bench.tracer(), bench.symbols());
    EXPECT_EQ(view.tables.fork, newest.number);
    EXPECT_EQ(view.forks.shown.fork, newest.number);
    EXPECT_TRUE(view.tables.sides[0].present);
    EXPECT_FALSE(view.tables.sides[1].present);
    EXPECT_EQ(view.tables.sides[1].title, fmt::format("pid {} has ended", newest.child_pid));
    EXPECT_FALSE(view.tables.writes.empty());

    // The parent ends, too: what is loaded now is shown.
    bench.run_cycles(100'000'000);
    const TablesView after = observe_tables({bench.machine(), &bench.tracer(), bench.symbols()});
    EXPECT_EQ(after.fork, 0u);
    EXPECT_TRUE(after.sides[0].present && !after.sides[1].present);
    EXPECT_EQ(after.note, fmt::format("the present address space; both sides of fork {} have ended", newest.number));
}

TEST(View, NamesForksByDirectoriesWherePidsAreUnknown) {
    ForkRecord fork;
    fork.number = 7;
    fork.parent_directory = 0x3df000;
    fork.child_directory = 0x3ed000;
    EXPECT_EQ(fork_row(fork, false).parent, "003df000");
    EXPECT_EQ(fork_row(fork, false).child, "003ed000");
    fork.parent_pid = 2;
    fork.child_directory = 0;
    EXPECT_EQ(fork_row(fork, true).parent, "2");
    EXPECT_EQ(fork_row(fork, true).child, "…");
    fork.child_pid = 3;
    EXPECT_EQ(fork_row(fork, false).child, "3");
    fork.failed = true;
    EXPECT_EQ(fork_row(fork, false).child, "failed");
}

TEST(View, ListsTheRunningInstructionWithItsSymbolAndSource) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_PROTECT));
    const CodeView code = observe_code({bench.machine(), &bench.tracer(), bench.symbols()});
    ASSERT_LT(code.current, code.lines.size());
    EXPECT_EQ(code.lines[code.current].address, bench.machine().cpu().linear_eip());
    EXPECT_TRUE(code.lines[code.current].current);
    int sources = 0;
    u32 last = 0;
    for (const CodeLine& line : code.lines) {
        sources += line.kind == CodeLine::Kind::Source ? 1 : 0;
        if (line.kind != CodeLine::Kind::Instruction)
            continue;
        EXPECT_GT(line.address, last);
        last = line.address;
    }
    EXPECT_GT(sources, 2);
}

TEST(View, CallsATlbEntryStaleWhenThePageTableChangesBehindIt) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_ENTER));
    Machine& machine = bench.machine();
    EXPECT_EQ(tlb_view(machine.mmu()).stale, 0u);
    // A present user entry of the data side: its table entry loses the right to write, without INVLPG.
    const Tlb& tlb = machine.mmu().tlb();
    const TlbEntry* chosen = nullptr;
    for (u32 set = 0; set < tlb.geometry(TlbArray::Data4K).sets; ++set)
        for (u32 way = 0; way < tlb.geometry(TlbArray::Data4K).ways; ++way)
            if (const TlbEntry& entry = tlb.entry(TlbArray::Data4K, set, way);
                entry.valid() && (entry.entry & kPteWritable) != 0 && (entry.entry & kPteUser) != 0)
                chosen = &entry;
    ASSERT_NE(chosen, nullptr);
    const Walk walk = machine.mmu().paging().look(LinearAddress(chosen->tag), Privilege::Supervisor, AccessKind::Read);
    const u32 weaker = static_cast<u32>(walk.at(1).entry) & ~u32{kPteWritable};
    const std::array<u8, 4> bytes = {static_cast<u8>(weaker), static_cast<u8>(weaker >> 8),
                                     static_cast<u8>(weaker >> 16), static_cast<u8>(weaker >> 24)};
    ASSERT_TRUE(machine.mmu().poke_physical(walk.at(1).entry_address, bytes));
    const TlbView view = tlb_view(machine.mmu());
    EXPECT_EQ(view.stale, 1u);
    ASSERT_FALSE(view.rows.empty());
    EXPECT_FALSE(view.rows[0].agrees);
    EXPECT_EQ(view.rows[0].verdict, "no: read-only now");
    EXPECT_EQ(view.rows[0].entry.tag, chosen->tag);
}

// The window has the figures that the report has, also while servers and others run.
TEST(View, ShowsTheSameCyclesOfAStopAsTheReport) {
    UiBench bench("run=forkdemo --pages 8", "minix");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_LEAVE));
    const StopsView shown = observe(bench.machine(), &bench.tracer(), bench.symbols()).forks.shown;
    const ForkRecord& record = *bench.tracer().fork(shown.fork);
    const Document report = fork_document(record);
    const Rows& rows = report.data.find("stops")->rows();
    ASSERT_EQ(rows.size(), shown.stops.size());
    u64 other = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const ForkStop& stop = shown.stops[i];
        EXPECT_EQ(rows[i].find("own_cycles")->value(), stop.spent.cycles);
        EXPECT_EQ(rows[i].find("elapsed_cycles")->value(), stop.end_cycle - stop.begin_cycle);
        other += stop.end_cycle - stop.begin_cycle - stop.spent.cycles;
    }
    EXPECT_EQ(report.data.find("elapsed_cycles")->value() - report.data.find("own_cycles")->value(), other);
    EXPECT_GT(other, 0u) << "the kernel's own work between servers is nobody's";
}

TEST(View, CountsTheTimeOfTheStopThatRuns) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_ADDRESS_SPACE));
    bench.run_cycles(500);
    const StopsView shown = observe(bench.machine(), &bench.tracer(), bench.symbols()).forks.shown;
    ASSERT_FALSE(shown.left);
    const ForkStop& running = shown.stops.back();
    EXPECT_EQ(running.end_cycle, bench.machine().now());
    EXPECT_EQ(running.spent.cycles, running.end_cycle - running.begin_cycle);
    EXPECT_GE(running.spent.cycles, 500u);
}

TEST(View, ListsFaultsNewestFirstAndEachOnce) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_LEAVE));
    bench.run_cycles(2'000'000);
    const View view = observe(bench.machine(), &bench.tracer(), bench.symbols());
    ASSERT_GE(view.faults.rows.size(), 8u);
    for (std::size_t i = 1; i < view.faults.rows.size(); ++i)
        EXPECT_GT(view.faults.rows[i - 1].record->number, view.faults.rows[i].record->number);
}

} // namespace
} // namespace forkscope
