// Values, stacks and locals as Debian's gdb says them, on a core file of the same moment.
#include "symbols_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

const std::vector<std::string> kCommon{"*current_process",
                                       "current_process",
                                       "&current_process->pid",
                                       "current_process->state",
                                       "current_process->name",
                                       "boot_info",
                                       "boot_info.usable[0].end",
                                       "frames[3]",
                                       "free_lists",
                                       "plain",
                                       "shifted[4]",
                                       "sizeof(struct process)",
                                       "(unsigned char)300",
                                       "(char)65",
                                       "-1 > 1u",
                                       "7/2*3-1",
                                       "1 << 4 | 3",
                                       "0xFFFFFFFF + 1",
                                       "current_process->pid + 1",
                                       "&current_process->children",
                                       "*current_process->parent",
                                       "root",
                                       "*root",
                                       "current_thread",
                                       "*current_thread",
                                       "fork_process",
                                       "&fork_process",
                                       "*fork_process",
                                       "'a' + 1",
                                       "!current_process",
                                       "&frames[3] - frames",
                                       "(struct list*)&processes",
                                       "*((struct list*)&processes)->next",
                                       "*frames@4",
                                       "~0",
                                       "-current_process->pid",
                                       "current_process != 0 && current_process->pid == 3",
                                       "$eip",
                                       "$esp",
                                       "$eax",
                                       "sequence",
                                       "caps_lock",
                                       "screen_enabled",
                                       "no_such_thing",
                                       "current_process->no_such_member",
                                       "*1",
                                       "1 +",
                                       "(1"};

// Where gdb has an error we have one, too, or a value that says it cannot be read.
void expect_as_gdb(StoppedGuest& guest, const CallStack& stack, const std::vector<std::string>& expressions) {
    std::vector<std::string> commands;
    for (const std::string& expression : expressions)
        commands.push_back("print " + expression);
    const std::vector<std::string> answers = guest.gdb(commands);
    for (std::size_t i = 0; i < expressions.size(); ++i) {
        const Result<ValueNode> ours = print(stack, stack.rows().front(), expressions[i]);
        if (answers[i].starts_with("error:"))
            EXPECT_TRUE(!ours.ok() || ours->failed) << expressions[i] << ": " << to_text(*ours) << "\n" << answers[i];
        else
            EXPECT_EQ(ours.ok() ? to_text(ours.value()) : ours.error().message, answers[i]) << expressions[i];
    }
}

// "#0  0x… in f (a=1) at guest/kernel/f.c:3": without the address, and of the path the name alone.
std::string plain_frame(std::string line) {
    if (const std::size_t in = line.find(" in "); line.find("0x") == 4 && in < line.find('('))
        line = line.substr(0, 4) + line.substr(in + 4);
    const std::size_t at = line.rfind(" at ");
    const std::size_t slash = line.rfind('/');
    if (at != std::string::npos && slash != std::string::npos && slash > at)
        line = line.substr(0, at + 4) + line.substr(slash + 1);
    return line;
}

} // namespace

TEST(SymbolsAsGdb, PrintsValuesOfTheKernel) {
    if (!have_gdb())
        GTEST_SKIP() << "no gdb here";
    for (const char* os : {"lunaix", "minix", "freebsd"}) {
        SCOPED_TRACE(os);
        StoppedGuest guest(os, "symbol:fork_process");
        expect_as_gdb(guest, guest.stack(), kCommon);
    }
}

// At each stop of each fork: deep within inlined functions. gdb cannot go beyond the interrupt's entry, written by
// hand.
TEST(SymbolsAsGdb, UnwindsToTheSameFramesWithTheSameArguments) {
    if (!have_gdb())
        GTEST_SKIP() << "no gdb here";
    u32 frames = 0;
    for (const char* os : {"lunaix", "minix", "freebsd"})
        for (const char* until : {"stop:2", "stop:2b", "stop:3", "stop:5"}) {
            SCOPED_TRACE(std::string(os) + " " + until);
            StoppedGuest guest(os, until);
            const CallStack stack = guest.stack();
            const std::string theirs = guest.gdb({"bt"})[0];
            std::size_t from = 0;
            for (std::size_t i = 0; i < stack.rows().size() && from < theirs.size(); ++i) {
                if (!stack.frame_of(stack.rows()[i]).in_kernel)
                    break; // gdb has the kernel's symbols alone
                const std::size_t end = std::min(theirs.find('\n', from), theirs.size());
                const std::string line = theirs.substr(from, end - from);
                if (line.find("trap_common") != std::string::npos || line.empty())
                    break;
                EXPECT_EQ(plain_frame(stack.text(i)), plain_frame(line));
                from = end + 1;
                ++frames;
            }
        }
    EXPECT_GT(frames, 50u);
}

TEST(SymbolsAsGdb, SaysLocalsOfEachRow) {
    if (!have_gdb())
        GTEST_SKIP() << "no gdb here";
    u32 known = 0;
    for (const char* os : {"lunaix", "minix", "freebsd"})
        for (const char* until : {"stop:2", "stop:5"}) {
            SCOPED_TRACE(std::string(os) + " " + until);
            StoppedGuest guest(os, until);
            const CallStack stack = guest.stack();
            std::vector<std::string> commands;
            std::vector<std::string> ours;
            for (std::size_t i = 0; i < stack.rows().size() && !stack.rows()[i].scopes.empty(); ++i) {
                if (!stack.frame_of(stack.rows()[i]).in_kernel)
                    break;
                for (const Variable& variable : stack.variables(stack.rows()[i])) {
                    commands.push_back(fmt::format("frame apply level {} -q print {}", i, variable.name));
                    ours.push_back(
                        fmt::format("#{} {} = {}", i, variable.name, to_text(stack.reader().read(variable.value))));
                    known += ours.back().find("optimized out") == std::string::npos;
                }
            }
            const std::vector<std::string> answers = guest.gdb(commands);
            for (std::size_t i = 0; i < ours.size(); ++i)
                EXPECT_EQ(ours[i].substr(ours[i].find(" = ") + 3), answers[i]) << ours[i] << "\n" << commands[i];
        }
    EXPECT_GT(known, 30u);
}
