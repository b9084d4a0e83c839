#include "emu/report/stepper/step_commands.hpp"
#include "emu/view/view.hpp"
#include "tests/unit/stepper/stepped_session.hpp"

namespace forkscope {
namespace {

// Inside the fork demo's fork, before its pages are protected.
class Inspecting : public ::testing::Test {
  protected:
    View view() { return observe(*session, choices); }
    Result<std::string> show(const std::string& words) { return choose(choices, words, *session); }
    u64 here() const { return session->machine().instructions(); }

    std::unique_ptr<Session> session = session_in_fork("lunaix", "stop:2b");
    Stepper stepper{*session};
    StepCommands commands{stepper};
    Choices choices;
};

bool says(const Inspection& shown, const std::string& text) { return shown.text().find(text) != std::string::npos; }

// Of every kind of row there is one at least; each says what it is, changes nothing, and all its offers are commands.
TEST_F(Inspecting, SaysOfEachRowWhatItIsAndChangesNothing) {
    stepper.set_bookmark("here");
    ASSERT_TRUE(stepper.add_breakpoint("stop == 5").ok());
    View shown = view();
    shown.points = observe_points(stepper);
    std::vector<Subject> subjects;
    const auto add = [&](const auto& rows) {
        EXPECT_FALSE(rows.empty());
        for (const auto& row : rows)
            subjects.push_back(row.subject());
    };
    add(shown.tables.ranges);
    add(shown.tables.writes);
    add(shown.forks.rows);
    add(shown.faults.rows);
    add(shown.processes.rows);
    add(shown.events.rows);
    for (const CodeLine& line : shown.code.lines)
        subjects.push_back(line.subject);
    for (const TlbRow& row : shown.tlb.rows)
        subjects.push_back(translation_subject(row, shown));
    for (std::size_t i = 0; i < shown.forks.shown.stops.size(); ++i)
        subjects.push_back(shown.forks.shown.subject(i));
    for (const StackView::Row& row : shown.stack.rows)
        subjects.push_back(row.subject);
    for (const StackView::Row& row : shown.stack.variables)
        subjects.push_back(row.subject);
    for (const MemoryRow& row : shown.memory.rows)
        subjects.insert(subjects.end(), row.words.begin(), row.words.end());
    for (const StackWord& word : shown.registers.stack)
        subjects.push_back(shown.registers.subject(word));
    subjects.push_back(shown.source.subject(shown.source.line - shown.source.first));
    subjects.push_back(RegisterSubject{"eax", shown.registers.now.reg<u32>(kEax)});
    subjects.push_back(PhysicalSubject{0xb8000});
    subjects.insert(subjects.end(), shown.points.breakpoints.begin(), shown.points.breakpoints.end());
    subjects.insert(subjects.end(), shown.points.bookmarks.begin(), shown.points.bookmarks.end());
    subjects.insert(subjects.end(), shown.points.branches.begin(), shown.points.branches.end());
    const u64 hash = session->machine().hash();
    std::set<std::size_t> kinds;
    for (const Subject& subject : subjects) {
        if (!is_something(subject))
            continue;
        const Inspection found = inspect(subject, *session);
        EXPECT_FALSE(found.title.empty()) << subject.index();
        EXPECT_FALSE(found.offers.empty() && found.lines.empty()) << found.title;
        if (!moment_of(subject).empty()) {
            EXPECT_EQ(found.offers.front().command, moment_of(subject));
        }
        for (const Inspection::Offer& offer : found.offers)
            if (offer.command.starts_with("show ")) {
                Choices tried;
                EXPECT_TRUE(choose(tried, offer.command.substr(5), *session).ok()) << offer.command;
            }
        kinds.insert(subject.index());
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<Subject> - 1) << "a kind of row is in no panel of this moment";
    EXPECT_EQ(session->machine().hash(), hash);
}

TEST_F(Inspecting, SaysWhoMapsAFrameAndWhatTheWalkReads) {
    const TablesView tables = view().tables;
    const u32 parent = tables.sides[0].table.space().root, child = tables.sides[1].table.space().root;
    const Inspection page = inspect(PageSubject{child, 0xbfffe000}, *session);
    EXPECT_TRUE(says(page, "table entry ")) << page.text();
    EXPECT_TRUE(says(page, fmt::format("bfffe000 in pid {} ({:08x})", 3, parent)) &&
                says(page, fmt::format("({:08x})", child)))
        << page.text();
    EXPECT_EQ(page.why, fmt::format("why 0xbfffe000 in {:#x} entry", child));
    EXPECT_NE(commands.execute(page.why).text.find("written by"), std::string::npos);
}

// Each leads before the instruction that did it: one step on, it is as it was seen.
TEST_F(Inspecting, GoesToTheMomentThatMadeARow) {
    const u64 present = here();
    const View shown = view();
    const u32 child = shown.tables.sides[1].table.space().root;
    const auto entry = [&] {
        return AddressSpaceReader(session->machine().mmu().paging())
            .walk(AddressSpace(child), LinearAddress(0xbfffe000))
            .table_entry;
    };
    const u64 seen = entry();
    EXPECT_EQ(commands.execute(moment_of(PageSubject{child, 0xbfffe000})).code, ExitCode::Ok);
    EXPECT_LT(here(), present);
    EXPECT_NE(entry(), seen);
    commands.execute("step");
    EXPECT_EQ(entry(), seen);

    const WriteRow& write = shown.tables.writes.front();
    EXPECT_EQ(commands.execute(moment_of(write.subject())).code, ExitCode::Ok);
    EXPECT_EQ(here(), write.change.instructions);
    EXPECT_EQ(session->machine().cpu().linear_eip(), write.change.eip);

    const FaultRow& fault = shown.faults.rows.front();
    EXPECT_EQ(commands.execute(moment_of(fault.subject())).code, ExitCode::Ok);
    EXPECT_EQ(session->machine().cpu().linear_eip(), fault.record->eip);

    for (const std::size_t stop : {0, 1}) {
        EXPECT_EQ(commands.execute(moment_of(shown.forks.shown.subject(stop))).code, ExitCode::Ok);
        ASSERT_NE(session->tracer()->current(), nullptr);
        EXPECT_EQ(session->tracer()->current()->stops.size(), stop + 1) << "it has just begun";
    }

    commands.execute("goto end");
    const u32 eax = session->machine().registers().reg<u32>(kEax);
    EXPECT_EQ(commands.execute(moment_of(RegisterSubject{"eax", eax})).code, ExitCode::Ok);
    EXPECT_EQ(session->machine().registers().reg<u32>(kEax), eax);
    commands.execute("back");
    EXPECT_NE(session->machine().registers().reg<u32>(kEax), eax);
}

TEST_F(Inspecting, ShowsThenAgainstNow) {
    ASSERT_TRUE(show("then").ok());
    const u64 then = here();
    EXPECT_EQ(view().tables.names[0], "then");
    commands.execute("step stop"); // the pages are protected
    const TablesView tables = view().tables;
    EXPECT_EQ(tables.sides[0].title, fmt::format("instruction {}", then));
    u64 differ = 0;
    for (const MapRow& row : tables.rows)
        for (const PageCell& cell : row.cells[1])
            differ += cell.written ? 1 : 0;
    EXPECT_GT(differ, 8u);
    ASSERT_TRUE(show("fork").ok());
    EXPECT_EQ(view().tables.names[0], "parent");
}

TEST_F(Inspecting, ShowsAnyTwoSpacesAndFollowsAProcess) {
    ASSERT_TRUE(show("spaces 1 3").ok());
    const TablesView two = view().tables;
    EXPECT_TRUE(two.sides[0].present && two.sides[1].present);
    EXPECT_NE(two.sides[0].title.find("pid 1"), std::string::npos) << two.sides[0].title;
    EXPECT_NE(two.sides[0].table.space().root, two.sides[1].table.space().root);
    ASSERT_TRUE(show("process 1").ok());
    const View followed = view();
    EXPECT_NE(followed.tables.sides[0].title.find("pid 1"), std::string::npos);
    std::string marked;
    for (const ProcessRow& row : followed.processes.rows)
        marked += row.followed ? fmt::format("{} {:08x};", row.pid, row.space) : "";
    EXPECT_EQ(marked, fmt::format("1 {:08x};", choices.followed->now(session->tracer())));
    EXPECT_NE(followed.memory.place.find("in space"), std::string::npos) << followed.memory.place;
    EXPECT_FALSE(show("process 999").ok());
    EXPECT_FALSE(show("spaces 1").ok());
}

TEST_F(Inspecting, ShowsMemoryCodeAndValuesThatWereAskedFor) {
    ASSERT_TRUE(show("memory fork_process").ok());
    const View shown = view();
    const u32 address = *session->symbols().address_of("fork_process");
    EXPECT_EQ(shown.memory.rows[shown.memory.chosen].address, address & ~15u);
    ASSERT_TRUE(show("physical 0x100000").ok());
    const MemoryView physical = view().memory;
    EXPECT_EQ(physical.place, "physical");
    ASSERT_TRUE(show("memory 0xc0100000").ok());
    EXPECT_EQ(physical.rows[physical.chosen].bytes, view().memory.rows[view().memory.chosen].bytes);
    EXPECT_EQ(physical.rows[physical.chosen].bytes.find("--"), std::string::npos);
    ASSERT_TRUE(show("code fork_process").ok());
    EXPECT_EQ(view().code.lines[view().code.current].address, address);
    EXPECT_FALSE(view().code.lines[view().code.current].current) << "it does not run next";
    ASSERT_TRUE(show("print 6*7").ok());
    ASSERT_TRUE(show("print nonsense").ok());
    const StackView stack = view().stack;
    ASSERT_EQ(stack.printed.size(), 2u);
    EXPECT_EQ(stack.printed[0].text, "6*7 = 42");
    EXPECT_EQ(stack.printed[1].text.find('\n'), std::string::npos) << stack.printed[1].text;
    ASSERT_FALSE(stack.variables.empty());
    EXPECT_TRUE(std::any_of(stack.variables.begin(), stack.variables.end(), [](const StackView::Row& row) {
        return row.text.starts_with("main_thread = ");
    })) << stack.variables.front().text;
    EXPECT_NE(commands.execute("locals").text.find("main_thread = "), std::string::npos);
    EXPECT_FALSE(show("memory nowhere").ok());
    EXPECT_FALSE(show("nothing").ok());
    EXPECT_FALSE(show("").ok());
}

TEST_F(Inspecting, LeavesTracepointInstructionsOut) {
    ASSERT_TRUE(show("code fork_process").ok());
    const auto count = [&](const std::string& word) {
        const CodeView code = view().code;
        return std::count_if(code.lines.begin(), code.lines.end(), [&](const CodeLine& line) {
            return line.text.starts_with(word) && line.kind == CodeLine::Kind::Instruction;
        });
    };
    EXPECT_GT(count("out"), 0);
    ASSERT_TRUE(show("tracepoints off").ok());
    EXPECT_EQ(count("out"), 0);
    EXPECT_GT(count("mov"), 0);
    const CodeView code = view().code;
    EXPECT_TRUE(std::any_of(code.lines.begin(), code.lines.end(),
                            [](const CodeLine& line) { return line.note == "tracepoint"; }));
}

// In the past the list ends with what came just before it, not with the future.
TEST_F(Inspecting, ListsNoEventsOfTheFuture) {
    const u64 present = here();
    commands.execute("back stop 2");
    ASSERT_LT(here(), present);
    const EventsView events = view().events;
    ASSERT_FALSE(events.rows.empty());
    for (const EventRow& row : events.rows)
        EXPECT_LE(row.event.instructions, here());
}

} // namespace
} // namespace forkscope
