// Where a session stops, and what it says of it: one condition of each kind, on the built-in guest.
#include <algorithm>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "emu/session/session.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {
namespace {

std::unique_ptr<Session> session_of(const std::string& until, const std::string& append = "run=forkdemo --pages 2",
                                    Command command = Command::Run) {
    Options options;
    options.command = command;
    options.machine.command_line = append;
    options.until = until;
    options.trace_forks = true;
    auto session = Session::create(options);
    EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
    return std::move(session).value();
}

struct Case {
    const char* until;
    std::function<bool(Session&)> holds;
};

TEST(SessionStops, AtEachKindOfConditionWhereItIsMet) {
    const auto at = [](const char* symbol) {
        return [symbol](Session& session) {
            return session.symbols().address_of(symbol) == session.machine().cpu().linear_eip();
        };
    };
    const auto tracepoint = [](u32 id) {
        return [id](Session& session) {
            const ForkRecord* fork = session.tracer()->current();
            return fork != nullptr && !fork->stops.empty() && fork->stops.back().id == id;
        };
    };
    for (const auto& [until, holds] :
         {Case{"symbol:fork_process", at("fork_process")}, Case{"fork", tracepoint(TP_FORK_ENTER)},
          Case{"stop:2b", tracepoint(TP_FORK_PROTECT)}, Case{"tracepoint:fork_files", tracepoint(TP_FORK_FILES)},
          Case{"stop:0", tracepoint(TP_FORK_ENTER)}, Case{"phase:3", tracepoint(TP_FORK_REGISTERS)},
          Case{"serial:child 4 wrote", [](Session&) { return true; }},
          Case{"screen:child 4 wrote", [](Session&) { return true; }}}) {
        const auto session = session_of(until);
        const Outcome outcome = session->run_to_end();
        EXPECT_EQ(outcome.code, ExitCode::Ok) << until;
        EXPECT_EQ(session->outcome().why, fmt::format("--until {} is met", until));
        EXPECT_TRUE(holds(*session)) << until;
    }
}

// init, sh and forkdemo lie at the same addresses, and each has something there.
TEST(SessionStops, AtAProgramsFunctionInThatProgramAlone) {
    for (const char* program : {"bin/init", "bin/sh", "forkdemo"}) {
        const auto session = session_of(fmt::format("symbol:{}:main", program), "run=forkdemo --pages 2");
        EXPECT_EQ(session->run_to_end().code, ExitCode::Ok);
        EXPECT_EQ(session->outcome().why, fmt::format("--until symbol:{}:main is met", program));
        const u32 space = session->machine().mmu().control().space_of(session->machine().registers().cr3).root;
        EXPECT_NE(session->symbols().program_of(space).find(program), std::string::npos);
        EXPECT_EQ(session->place().find("main ("), 0u) << session->place();
    }
}

// dup_proc exists only inlined in fork_process; pmap_activate is inlined in many places.
TEST(SessionStops, AtFunctionsThatAreInlined) {
    const auto session = session_of("symbol:dup_proc");
    session->run_to_end();
    const auto calls = session->symbols().inline_chain("", session->machine().cpu().linear_eip());
    EXPECT_TRUE(std::any_of(calls.begin(), calls.end(), [](const Location& call) { return call.symbol == "dup_proc"; }))
        << session->place();
    EXPECT_TRUE(session->machine().breakpoints().all().empty());
    EXPECT_GT(session->symbols().places_of("pmap_activate").size(), 2u);
    const auto other = session_of("symbol:pmap_activate");
    other->run_to_end();
    EXPECT_EQ(other->place().find("pmap_activate"), 0u) << other->place();
}

TEST(SessionStops, OnceForEachConditionAndGoesOnAfterIt) {
    const auto session = session_of("symbol:fork_process");
    const u32 address = *session->symbols().address_of("fork_process");
    session->run_to_end();
    EXPECT_EQ(session->machine().cpu().linear_eip(), address);
    EXPECT_TRUE(session->machine().breakpoints().all().empty()) << "a condition that was met is gone";
    const Outcome outcome = session->run_to_end();
    EXPECT_EQ(outcome.code, ExitCode::Ok);
    EXPECT_EQ(session->outcome().why, "the guest powered the machine off");
}

// "lunaix$ " with the cursor behind it, and a command typed there.
TEST(SessionStops, AtTextWithBlanksOnSerialPortAndScreen) {
    for (const char* until : {"serial:$ ", "screen:$ ", "screen:$  ", "screen:$\\n", "serial:$ echo  a b\\na b\\n"}) {
        Options options;
        options.until = until;
        options.trace_forks = true;
        options.type_text = "echo  a b\\n";
        options.limit = {.cycle = 200'000'000};
        auto session = Session::create(options);
        ASSERT_TRUE(session.ok());
        EXPECT_EQ((*session)->run_to_end().code, ExitCode::Ok) << until;
        EXPECT_EQ((*session)->outcome().why, fmt::format("--until {} is met", until));
    }
}

TEST(SessionStops, AtTheLimitUnlessAConditionIsMetThere) {
    Options options;
    options.limit = {.instructions = 200'000};
    options.machine.command_line = "run=forkdemo --pages 2";
    auto limited = std::move(Session::create(options)).value();
    EXPECT_EQ(limited->run_to_end().code, ExitCode::LimitReached);
    EXPECT_EQ(limited->outcome().why, "the limit is reached");
    EXPECT_EQ(limited->machine().instructions(), 200'000u);
    EXPECT_TRUE(limited->step()) << "a step goes past the limit";
    options.until = fmt::format("address:{:x}", limited->machine().cpu().linear_eip());
    options.limit.instructions = limited->machine().instructions();
    auto both = std::move(Session::create(options)).value();
    both->run_to_end();
    const Outcome& outcome = both->outcome();
    EXPECT_TRUE(outcome.code == ExitCode::Ok || both->machine().instructions() < options.limit.instructions);
}

TEST(SessionStops, AtSomebodyElsesBreakpointWhichStays) {
    const auto session = session_of("");
    OwnedBreakpoints& breakpoints = session->machine().breakpoints();
    const u32 id = breakpoints.add(breakpoints.new_owner(), *session->symbols().address_of("fork_process"));
    EXPECT_EQ(session->run_to_end().code, ExitCode::Ok);
    EXPECT_EQ(session->outcome().why.find(fmt::format("breakpoint {} at ", id)), 0u) << session->outcome().why;
    EXPECT_NE(session->place().find("fork_process"), std::string::npos) << session->place();
    EXPECT_EQ(breakpoints.all().size(), 1u);
}

TEST(SessionStops, WhenAFaceOrTheHostAsksForIt) {
    const auto session = session_of("");
    session->stops().end_run({ExitCode::RuntimeError, "the disk is full", "no space"});
    session->stops().end_run({ExitCode::LimitReached, "later", ""});
    EXPECT_EQ(session->run_to_end().code, ExitCode::RuntimeError);
    EXPECT_EQ(session->outcome().why, "the disk is full") << "the first to ask is named";
    EXPECT_EQ(session->run_to_end().code, ExitCode::Ok) << "asked once, ended once";
}

TEST(SessionStops, BesideOthersBreakpointsAtTheSameAddress) {
    const auto session = session_of("symbol:fork_process");
    OwnedBreakpoints& breakpoints = session->machine().breakpoints();
    const auto debugger = breakpoints.new_owner();
    const u32 address = *session->symbols().address_of("fork_process");
    breakpoints.add(debugger, address);
    session->run_to_end();
    EXPECT_EQ(session->outcome().why, "--until symbol:fork_process is met");
    ASSERT_EQ(breakpoints.all().size(), 1u) << "the debugger's is left alone";
    EXPECT_EQ(breakpoints.all().front().owner, debugger);
}

TEST(SessionStops, InTheWorkloadAloneWhereOneIsAskedFor) {
    for (const auto& [command, in_workload] : {std::pair{Command::Fork, true}, std::pair{Command::Run, false}}) {
        const auto session = session_of("fork", "run=forkdemo --pages 2", command);
        session->run_to_end();
        const ForkRecord* fork = session->tracer()->current();
        ASSERT_NE(fork, nullptr);
        EXPECT_EQ(fork->number > 1, in_workload) << "init's fork comes first";
    }
}

TEST(SessionStops, TheFirstOfSeveralThatAreMet) {
    const auto session = session_of("stop:3");
    StopConditions& stops = session->stops();
    const u32 next = stops.add(compile_condition("stop", session->symbols()).value());
    session->run_to_end();
    EXPECT_EQ(session->outcome().why, "fork, stop 0: enter");
    stops.remove(next); // is gone already: no harm
    session->run_to_end();
    EXPECT_EQ(session->outcome().why, "--until stop:3 is met");
}

// Passes on what the hardware shows, and not what the guest states.
class Deaf : public TraceSink {
  public:
    explicit Deaf(TraceSink& behind) : behind_(behind) {}
    TraceKinds kinds() const override { return behind_.kinds() & ~trace_kinds({TraceKind::Tracepoint}); }
    void on_event(const TraceEvent& event) override { behind_.on_event(event); }

  private:
    TraceSink& behind_;
};

TEST(SessionStops, AtABurstOfTableWritesWhereTheGuestStatesNothing) {
    const auto session = session_of("", "run=cowtest");
    StopConditions stops(session->machine(), session->symbols());
    Deaf deaf(stops);
    session->attach(deaf);
    stops.add(compile_condition("stop", session->symbols()).value());
    const StopReason reason = session->machine().run({.cycle = 4'000'000'000});
    EXPECT_EQ(reason.kind, StopKind::Requested);
    const auto outcome = stops.ended(reason, StopConditions::After::Slice);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->why.find("page-table writes begin: entry at "), 0u) << outcome->why;
}

TEST(SessionStops, RefusesWhatIsNoCondition) {
    Options options;
    for (const char* until : {"weather:fine", "serial:", "symbol:no_such_symbol", "symbol:sh:no_such_symbol",
                              "symbol:no_such_program:main", "address:xyz", "address:1ffffffff", "tracepoint:none",
                              "stop:7", "stop:1c", "stop:", "--stop:0", ":", "fork:"}) {
        options.until = until;
        options.trace_forks = true;
        const auto session = Session::create(options);
        ASSERT_FALSE(session.ok()) << until;
        EXPECT_EQ(session.error().code, ExitCode::Usage);
        EXPECT_NE(session.error().message.find(until), std::string::npos);
        EXPECT_EQ(session.error().message.find("--until: "), 0u) << session.error().message;
        EXPECT_NE(session.error().message.find("^\nsee `forkscope help conditions`"), std::string::npos)
            << session.error().message;
    }
}

std::string read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

TEST(Session, LeavesFilesAloneUnlessAllOptionsAreRight) {
    const std::string serial = testing::TempDir() + "session_serial", trace = testing::TempDir() + "session_trace";
    Options right;
    right.serial = "file:" + serial;
    right.debug_console = "file:" + serial + "_debug";
    right.trace_path = trace;
    std::vector<Options> wrong(6, right);
    wrong[0].until = "weather:fine";
    wrong[1].load_path = "/absent.snapshot";
    wrong[2].type_text = "\u20ac";
    wrong[3].trace_path = "/absent/trace";
    wrong[4].debug_console = "carrier:pigeon";
    wrong[5].save_path = "/absent/snapshot";
    for (const Options& options : wrong) {
        std::ofstream(serial) << "older";
        std::ofstream(trace) << "older";
        EXPECT_FALSE(Session::create(options).ok());
        EXPECT_EQ(read(serial), "older");
        EXPECT_EQ(read(trace), "older");
    }
    EXPECT_TRUE(Session::create(right).ok());
    EXPECT_EQ(read(serial), "");
}

} // namespace
} // namespace forkscope
