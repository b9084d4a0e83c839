// The stepper's commands as a person or a script writes them.
#include <fmt/format.h>

#include "emu/base/random.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/stepper/step_commands.hpp"
#include "tests/unit/stepper/stepped_session.hpp"

namespace forkscope {

namespace {

struct Console {
    std::unique_ptr<Session> session = session_in_fork();
    Stepper stepper{*session};
    StepCommands commands{stepper};

    std::string said(const std::string& command, ExitCode code = ExitCode::Ok) {
        const StepAnswer answer = commands.execute(command);
        EXPECT_EQ(answer.code, code) << command << ": " << answer.text;
        return answer.text;
    }
};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST(StepCommands, GoForwardsAndBackwards) {
    Console console;
    const u64 begin = console.session->machine().instructions();
    console.said("step 5");
    EXPECT_EQ(console.session->machine().instructions(), begin + 5);
    console.said("b 3");
    EXPECT_EQ(console.session->machine().instructions(), begin + 2);
    console.said("");
    EXPECT_EQ(console.session->machine().instructions(), begin - 1) << "Enter repeats";
    console.said("goto end");
    EXPECT_EQ(console.session->machine().instructions(), begin + 5);
    EXPECT_TRUE(holds(console.said("reverse until fork_process"), "fork_process"));
    console.said("goto end");
    EXPECT_TRUE(holds(console.said("continue until stop == 2"), "the guest states"));
}

TEST(StepCommands, ShowWhatIsThere) {
    Console console;
    EXPECT_TRUE(holds(console.said("where"), "fork.c:"));
    EXPECT_TRUE(holds(console.said("stack"), "sys_fork"));
    EXPECT_TRUE(holds(console.said("stack 1"), "*#1"));
    EXPECT_TRUE(holds(console.said("registers"), "cr3"));
    EXPECT_TRUE(holds(console.said("source 6"), "alloc_process"));
    EXPECT_TRUE(holds(console.said("pte 0xbfffe000"), "frame"));
    EXPECT_TRUE(holds(console.said("x fork_process 16"), "55"));
    EXPECT_TRUE(holds(console.said("tlb"), "filled"));
    EXPECT_TRUE(holds(console.said("fork"), "fork"));
    EXPECT_TRUE(holds(console.said("print *current_process"), "pid"));
    EXPECT_TRUE(holds(console.said("help"), "reverse"));
}

TEST(StepCommands, GradeWhatIsExpected) {
    Console console;
    EXPECT_TRUE(holds(console.said("expect cr3 != 0"), "yes"));
    EXPECT_TRUE(holds(console.said("expect cr3 == 0", ExitCode::Findings), "no"));
    console.said("expect cr3 ==", ExitCode::Usage);
}

TEST(StepCommands, DeleteBookmarksByNameAndBreakpointsByNumber) {
    Console console;
    console.said("mark here");
    console.said("mark there");
    console.said("break 0x12345678");
    EXPECT_TRUE(holds(console.said("delete here"), "bookmark here is gone"));
    EXPECT_EQ(console.said("mark").substr(0, 6), "there ");
    EXPECT_TRUE(holds(console.said("goto here", ExitCode::Usage), "no place"));
    EXPECT_TRUE(holds(console.said("delete here", ExitCode::Usage), "no breakpoint or bookmark 'here'"));
    EXPECT_TRUE(holds(console.said("breaks"), "0x12345678"));
    EXPECT_TRUE(holds(console.said("delete 1"), "breakpoint 1 is gone"));
    EXPECT_TRUE(holds(console.said("delete", ExitCode::Usage), "no breakpoint or bookmark"));
}

// An address is whatever has a value: registers and sums, too.
TEST(StepCommands, TakeRegistersAndSumsForAddresses) {
    Console console;
    const Machine& machine = console.session->machine();
    const u32 esp = static_cast<u32>(machine.registers().gpr[4]);
    EXPECT_EQ(console.said("x esp 16"), console.said(fmt::format("x {} 16", esp)));
    EXPECT_EQ(console.said("x esp+4 esp-esp+16"), console.said(fmt::format("x {} 16", esp + 4)));
    EXPECT_EQ(console.said("xp cr3 16"), console.said(fmt::format("xp {} 16", machine.registers().cr3)));
    EXPECT_EQ(console.said("pte $esp"), console.said(fmt::format("pte {}", esp)));
    EXPECT_EQ(console.said("pte cr2 + 4096"), console.said(fmt::format("pte {}", machine.registers().cr2 + 4096)));
    EXPECT_EQ(console.said("why esp byte"), console.said(fmt::format("why {} byte", esp)));
    EXPECT_TRUE(holds(console.said("x u32(5)", ExitCode::Usage), "no value here"));
    EXPECT_TRUE(holds(console.said("x fault", ExitCode::Usage), "neither an address"));
    EXPECT_TRUE(holds(console.said("x", ExitCode::Usage), "missing"));
    EXPECT_TRUE(holds(console.said("x 0xc0100000 4100"), "4096 of 4100 bytes: more are shown from 0xc0101000 on"));
}

// Nothing that was typed is passed over.
TEST(StepCommands, RefuseWordsTooMany) {
    Console console;
    for (const char* line : {"where now", "registers x", "locals 3", "tlb 4", "screen 1", "breaks 1", "forks all"})
        EXPECT_TRUE(holds(console.said(line, ExitCode::Usage), "stands alone")) << line;
    for (const char* line : {"step line fault", "step 3 4", "next fault", "back stop 2 entry"})
        EXPECT_TRUE(holds(console.said(line, ExitCode::Usage), "too many")) << line;
    console.said("x fork_process 16 32", ExitCode::Usage);
    console.said("x fork_process nowhere", ExitCode::Usage);
    console.said("type", ExitCode::Usage);
    console.said("branch 4294967297", ExitCode::Usage);
    console.said("why 0xbfffe000 in 3", ExitCode::Usage);
    console.said("step 0", ExitCode::Usage);
}

TEST(StepCommands, SayWhatIsWrong) {
    Console console;
    EXPECT_TRUE(holds(console.said("setp", ExitCode::Usage), "did you mean 'step'"));
    EXPECT_TRUE(holds(console.said("step sideways", ExitCode::Usage), "grain"));
    EXPECT_TRUE(holds(console.said("break pte(", ExitCode::Usage), "^"));
    EXPECT_TRUE(holds(console.said("delete 9", ExitCode::Usage), "no breakpoint"));
    EXPECT_TRUE(holds(console.said("branch 9", ExitCode::Usage), "no branch"));
    EXPECT_TRUE(holds(console.said("goto nowhere", ExitCode::Usage), "no place"));
    EXPECT_TRUE(holds(console.said("set cr1 5", ExitCode::Usage), "neither"));
}

TEST(StepCommands, StartABranchAndSaySo) {
    Console console;
    console.said("step 10");
    console.said("back 5");
    EXPECT_TRUE(holds(console.said("set eax 7"), "branch 2"));
    EXPECT_TRUE(holds(console.said("branches"), "* branch 2"));
    console.said("branch 1");
    EXPECT_TRUE(holds(console.said("branches"), "* branch 1"));
    EXPECT_TRUE(holds(console.said("drop 2"), "forgotten"));
}

TEST(StepCommands, AnswerAnyText) {
    Console console;
    Random random(7);
    const std::string words[] = {"step",  "back", "goto",  "break",    "x",    "pte",  "set",         "print",
                                 "stack", "mark", "until", "continue", "0x10", "-1",   "99999999999", "\"",
                                 "(",     "*",    "eax",   "fork",     "line", "\x1b["};
    for (int i = 0; i < 300; ++i) {
        std::string line;
        for (u64 n = random.below(5); n != 0; --n)
            line += words[random.below(std::size(words))] + (random.below(3) != 0 ? " " : "");
        if (line.starts_with("continue") || line.starts_with("c "))
            continue; // may run to the guest's end, and has its own tests
        const StepAnswer answer = console.commands.execute(line);
        Document document;
        document.data = answer.data;
        EXPECT_FALSE(document_json(document).empty());
    }
}

} // namespace forkscope
