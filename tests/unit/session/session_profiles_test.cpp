// --profile: files that are no profile, functions that a kernel lacks, and stops that a kernel does not state.
#include <algorithm>

#include <gtest/gtest.h>

#include "emu/base/log.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "emu/session/session.hpp"
#include "emu/trace/tracepoints.hpp"

namespace forkscope {
namespace {

constexpr const char* kStop = "system = \"x\"\n[[stop]]\nnumber = \"1\"\nfunctions = [\"a\"]\n";

std::string message_of(const std::string& text) {
    const auto profile = parse_fork_profile(text, "p", "p.toml");
    if (profile.ok())
        return "no error";
    EXPECT_EQ(profile.error().code, ExitCode::Usage);
    return profile.error().message;
}

void expect_message(const std::string& text, const std::string& place, const std::string& words) {
    const std::string message = message_of(text);
    EXPECT_EQ(message.find("p.toml:" + place + ": "), 0u) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
}

// A fork demo on a built-in kernel; with a profile its tracepoints are not listened to.
struct Demo {
    explicit Demo(const std::string& os, const std::string& profile = "", const std::string& until = "") {
        Options options;
        options.command = Command::Fork;
        options.display = Display::None;
        options.serial = "none";
        options.os = os;
        options.profile = profile;
        options.until = until;
        options.machine.command_line = "run=forkdemo --pages 2";
        options.trace_forks = true;
        auto created = Session::create(options);
        EXPECT_TRUE(created.ok()) << created.error().message;
        session = std::move(created).value();
    }
    const ForkRecord& demo() const { return session->tracer()->forks().back(); }

    std::unique_ptr<Session> session;
};

std::vector<std::string> numbers(const ForkRecord& fork) {
    std::vector<std::string> numbers;
    for (const ForkStop& stop : fork.stops)
        numbers.emplace_back(fork_stop_name(stop.id).number);
    return numbers;
}

// A line a stop: where and when it begins and ends, what it did.
std::string stops_of(const ForkRecord& fork) {
    std::string text;
    for (const ForkStop& stop : fork.stops)
        text += fmt::format("{} {:08x} {} {} {} {}\n", fork_stop_name(stop.id).number, stop.eip,
                            stop.begin_instructions, stop.end_instructions, stop.spent.cycles, stop.counts.pte_writes);
    return text;
}

} // namespace

TEST(ForkProfiles, SayWhatIsWrongAndWhere) {
    expect_message("system = \"x\"\nsystem = [\n", "2:10", "no TOML");
    expect_message("system = \"x\"\n", "1:1", "[[stop]]");
    expect_message("system = 5\n", "1:10", "give text between quotes");
    expect_message("system = \"\"\n", "1:10", "1 to 256");
    expect_message("stop = 5\nsystem = \"x\"\n", "1:8", "[[stop]]");
    expect_message(std::string("sistem = 1\n") + kStop, "1:1", "unknown key 'sistem'");
    expect_message(std::string(kStop) + "function = \"b\"\n", "5:1", "number, functions and original");
    expect_message("system = \"x\"\n[[stop]]\nnumber = 1\nfunctions = [\"a\"]\n", "3:10", "number is a number");
    expect_message("system = \"x\"\n[[stop]]\nnumber = \"9\"\nfunctions = [\"a\"]\n", "3:10", "0, 1, 1b");
    expect_message("system = \"x\"\n[[stop]]\nnumber = \"1\"\nfunctions = \"a\"\n", "4:13", "give an array");
    expect_message("system = \"x\"\n[[stop]]\nnumber = \"1\"\nfunctions = []\n", "4:13", "give 1 to 16");
    expect_message("system = \"x\"\n[[stop]]\nnumber = \"1\"\nfunctions = [\"a\", 2]\n", "4:19", "a function");
    expect_message("system = \"x\"\n[[stop]]\nnumber = \"1\"\n", "2:1", "functions is missing");
    expect_message(std::string(kStop) + "[[stop]]\nnumber = \"1\"\nfunctions = [\"b\"]\n", "6:10", "line 2");
    expect_message(std::string(kStop) + "[[stop]]\nnumber = \"2\"\nfunctions = [\"a\"]\n", "7:14", "begins stop 1");
    expect_message(std::string(kStop) + "[process]\nroot = \"r\"\n", "5:1", "pid is missing");
    expect_message(std::string(kStop) + "[process]\npid = true\n", "6:7", "true or false");
    expect_message("process = 1\n" + std::string(kStop), "1:11", "[process]");
    EXPECT_EQ(message_of(kStop), "no error");
}

// Texts that toml++ has assertions against.
TEST(ForkProfiles, AreRefusedWhereTheParserGivesUp) {
    for (const char* text : {"[.a]\n", "[[.a]]\n", "[]\n", "[=]\n", "[\x01]\n", "[\xc2\x85]\n", ".a = 1\n", "a. = 1\n"})
        EXPECT_NE(message_of(text).find("no TOML"), std::string::npos) << text;
}

TEST(ForkProfiles, OfStrangersAreBounded) {
    EXPECT_NE(message_of(std::string(70'000, '#')).find("at most 65536"), std::string::npos);
    std::string deep = "a";
    for (int i = 0; i < 20'000; ++i)
        deep += ".a";
    expect_message(deep + " = 1\n", "1:1001", "give at most 1000");
    std::string nested = "a = ";
    for (int i = 0; i < 400; ++i)
        nested += '[';
    expect_message(nested, "1:261", "no TOML");
    // Every prefix of a whole profile is a profile or an error.
    for (std::size_t length = 0; length < std::string(kStop).size(); ++length)
        EXPECT_NE(message_of(std::string(kStop).substr(0, length)), "");
}

TEST(ForkProfiles, AreThereForOurSystemsAndForTwoOthers) {
    for (const char* name : {"lunaix", "minix", "freebsd"}) {
        const ForkProfile* profile = find_fork_profile(name);
        ASSERT_NE(profile, nullptr) << name;
        for (const char* stop : {"0", "1", "2", "2b", "3", "4", "5", "F"})
            EXPECT_FALSE(profile->functions_at(stop).empty()) << name << " " << stop;
        EXPECT_TRUE(profile->functions_at("7").empty());
    }
    EXPECT_EQ(embedded_profile_names(), (std::vector<std::string>{"freebsd", "linux", "lunaix", "minix", "xv6"}));
    EXPECT_EQ(find_fork_profile("plan9"), nullptr);
    EXPECT_NE(open_fork_profile("/nowhere/plan9").error().message.find("xv6"), std::string::npos);
}

TEST(ForkProfiles, WhoseFunctionsTheKernelLacksAreRefused) {
    Options options;
    options.command = Command::Fork;
    options.display = Display::None;
    options.serial = "none";
    options.profile = "xv6";
    const auto session = Session::create(options);
    ASSERT_FALSE(session.ok());
    EXPECT_EQ(session.error().code, ExitCode::Usage);
    EXPECT_EQ(session.error().message.find("guest/profiles/xv6.toml:"), 0u) << session.error().message;
    EXPECT_NE(session.error().message.find("'fork' for stop 0; correct the name"), std::string::npos);
}

// A kernel that states its stops, and the same kernel of which nobody listens to that.
TEST(ForkProfiles, ShowTheStopsThatTracepointsShow) {
    for (const std::string os : {"lunaix", "freebsd"}) {
        const Demo stated(os), silent(os, os);
        EXPECT_EQ(stated.session->run_to_end().code, ExitCode::Ok);
        EXPECT_EQ(silent.session->run_to_end().code, ExitCode::Ok);
        EXPECT_EQ(stated.session->machine().hash(), silent.session->machine().hash()) << os;
        const ForkStore& forks = silent.session->tracer()->forks();
        ASSERT_EQ(forks.size(), stated.session->tracer()->forks().size());
        auto fork = forks.begin();
        for (const ForkRecord& said : stated.session->tracer()->forks()) {
            EXPECT_FALSE(fork->stated);
            EXPECT_EQ(numbers(*fork), numbers(said)) << os;
            EXPECT_EQ(fork->parent_pid, said.parent_pid);
            EXPECT_EQ(fork->child_pid, said.child_pid);
            EXPECT_EQ(fork->cow_faults(), said.cow_faults());
            for (std::size_t i = 0; i < std::min(fork->stops.size(), said.stops.size()); ++i) {
                const ForkStop& a = fork->stops[i];
                const ForkStop& b = said.stops[i];
                EXPECT_EQ(a.counts.pte_protects, b.counts.pte_protects) << os << " " << i;
                EXPECT_EQ(a.counts.flushes, b.counts.flushes) << os << " " << i;
            }
            ++fork;
        }
    }
}

// Nobody is to wait for stops that cannot come.
TEST(ForkProfiles, OfServersSayThatTheyFindNoForks) {
    static std::string said;
    set_message_writer([](std::string_view lines) { said += lines; });
    const Demo minix("minix", "minix"), lunaix("lunaix", "lunaix");
    set_message_writer(nullptr);
    EXPECT_NE(said.find("--profile minix: stops lie in the program service/"), std::string::npos) << said;
    EXPECT_EQ(said.find("lunaix"), std::string::npos) << said;
    EXPECT_EQ(minix.session->run_to_end().code, ExitCode::Ok);
    EXPECT_TRUE(minix.session->tracer()->forks().empty()) << "then the message is wrong";
}

TEST(ForkProfiles, ShowTheSameStopsAgainAfterGoingBack) {
    const Demo run("lunaix", "lunaix", "stop:2b");
    Session& session = *run.session;
    session.keep_past();
    ASSERT_EQ(session.run_to_end().code, ExitCode::Ok) << session.outcome().message;
    EXPECT_EQ(session.place().find("region_maybe_cow"), 0u) << session.place();
    while (session.run_slice(session.machine().cycles_per_second()) || session.outcome().code != ExitCode::Ok) {
    }
    const Position end = session.timeline()->position();
    const ForkRecord first = run.demo();
    ASSERT_EQ(numbers(first), (std::vector<std::string>{"0", "1", "4", "2", "3", "2b", "5"}));
    // Into the middle of stop 2, to the place where it begins, and to where stop 3 does.
    for (const u64 place : {first.stops[3].begin_instructions + 100, first.stops[3].begin_instructions,
                            first.stops[4].begin_instructions}) {
        ASSERT_TRUE(session.timeline()->go_to(place).ok());
        ASSERT_TRUE(session.timeline()->go_to(end).ok());
        EXPECT_EQ(stops_of(run.demo()), stops_of(first));
    }
}

} // namespace forkscope
