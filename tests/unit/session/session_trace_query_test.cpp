// Conditions asked of a trace: the moments are those at which a machine stops, and the rest is refused by name.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "emu/session/conditions/help.hpp"
#include "emu/session/conditions/query/trace_query.hpp"
#include "emu/session/conditions/query/trace_symbols.hpp"
#include "emu/session/session.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {
namespace {

Options demo() {
    Options options;
    options.machine.command_line = "run=forkdemo --pages 2";
    options.limit = {.cycle = 400'000'000};
    return options;
}

class TemporaryFile {
  public:
    explicit TemporaryFile(const std::string& suffix)
        : path_(std::filesystem::temp_directory_path() / fmt::format("forkscope-query-{}{}", ::getpid(), suffix)) {}
    ~TemporaryFile() { std::filesystem::remove(path_); }
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

std::vector<TraceEvent> recorded(Options options, FileHeader& header) {
    const TemporaryFile file(".trace");
    options.trace_path = file.path();
    auto session = std::move(Session::create(options)).value();
    session->run_to_end();
    EXPECT_TRUE(session->finish().ok());
    const auto trace = TraceFileReader::open(file.path());
    EXPECT_TRUE(trace.ok());
    header = trace->header();
    std::vector<TraceEvent> events;
    EXPECT_TRUE(trace
                    ->for_each([&](const TraceEvent& event) {
                        events.push_back(event);
                        return true;
                    })
                    .ok());
    return events;
}

// With each translation.
struct Run {
    FileHeader header;
    std::vector<TraceEvent> events;
};
const Run& demo_run() {
    static const Run run = [] {
        Run made;
        Options options = demo();
        options.all_events = true;
        made.events = recorded(options, made.header);
        return made;
    }();
    return run;
}

const Symbolizer& symbols() {
    static const auto session = std::move(Session::create(demo())).value();
    return session->symbols();
}

// The page's addresses are those of one build of the guest: a directory in use, and a frame that is mapped.
std::string with_this_guests_addresses(std::string text) {
    u64 directory = 0, frame = 0;
    for (const TraceEvent& event : demo_run().events) {
        if (event.kind == TraceKind::Cr3Load)
            directory = event.b;
        if (event.kind == TraceKind::PteWrite && event.d == 1 && (event.c & kPtePresent) != 0)
            frame = event.c & kPteFrame;
    }
    for (const auto& [shown, here] : {std::pair("0x121000", directory), std::pair("0x122000", frame)})
        if (const std::size_t at = text.find(shown); at != std::string::npos)
            text.replace(at, std::strlen(shown), fmt::format("{:#x}", here));
    return text;
}

struct Answer {
    u64 times_met = 0;
    std::vector<TraceEvent> events;
    std::vector<u64> moments; // instructions retired before each
    std::string note;
};
Answer asked(const std::string& text, const std::vector<TraceEvent>& events, const FileHeader& header) {
    auto query = TraceQuery::create(text, symbols(), header);
    EXPECT_TRUE(query.ok()) << (query.ok() ? "" : query.error().message);
    Answer answer;
    const auto keep = [&](const TraceEvent& event) {
        answer.events.push_back(event);
        answer.moments.resize(query->times_met(), event.instructions);
    };
    for (const TraceEvent& event : events)
        query->on_event(event, keep);
    query->finish(keep);
    answer.times_met = query->times_met();
    answer.note = query->note();
    return answer;
}
Answer asked(const std::string& text) { return asked(text, demo_run().events, demo_run().header); }

std::string refusal(const std::string& text, const FileHeader& header = demo_run().header) {
    const auto query = TraceQuery::create(text, symbols(), header);
    EXPECT_FALSE(query.ok()) << text;
    EXPECT_EQ(query.error().code, ExitCode::Usage);
    return query.error().message;
}

// Instructions retired where the machine stops for it.
std::vector<u64> stops_of(const std::string& text) {
    auto session = std::move(Session::create(demo())).value();
    auto condition = compile_condition(text, session->symbols());
    EXPECT_TRUE(condition.ok()) << text;
    session->stops().add(std::move(condition).value(), {.keep = Keep::Stay});
    std::vector<u64> places;
    for (;;) {
        session->run_to_end();
        if (session->stops().met().empty())
            return places;
        places.push_back(session->machine().instructions());
    }
}

// The boundary behind an instruction has a number more than its events, that before a handler the same.
bool are_moments(const std::vector<u64>& stops, const std::vector<u64>& moments) {
    return std::equal(stops.begin(), stops.end(), moments.begin(), moments.end(),
                      [](u64 stop, u64 moment) { return stop == moment || stop == moment + 1; });
}

TEST(SessionTraceQuery, EachExampleMeetsTheMomentsAtWhichAMachineStops) {
    for (const TraceConditionExample& example : trace_condition_examples()) {
        if (!example.decided)
            continue;
        const std::string text = with_this_guests_addresses(std::string(example.text));
        const Answer answer = asked(text);
        const std::vector<u64> stops = stops_of(text);
        EXPECT_GT(answer.times_met, 0u) << text;
        EXPECT_TRUE(are_moments(stops, answer.moments))
            << text << ": " << stops.size() << " stops, " << answer.times_met << " moments in the trace";
    }
}

TEST(SessionTraceQuery, OtherConditionsMeetTheMomentsOfAMachineToo) {
    for (const char* shown : {"entries",
                              "fault",
                              "interrupt",
                              "fills",
                              "flushes",
                              "stop",
                              "tracepoint(fault_enter) || flushes",
                              "cr0 changes",
                              "cr4 & 0x80",
                              "cr3 == 0x121000",
                              "cr3 != 0x121000",
                              "!(cr3 == 0x121000)",
                              "fault && cr3 != 0x121000",
                              "entries && !fault",
                              "count(fork) == 1",
                              "count(switch) >= 5",
                              "fault && cr3 changes",
                              "maps(0x122000) || maps(0x3000)",
                              "fault(forkdemo:main)",
                              "maps(cr3)",
                              "(fault || switch) && (cr0 >> 31) == 1"}) {
        const std::string text = with_this_guests_addresses(shown);
        const Answer answer = asked(text);
        const std::vector<u64> stops = stops_of(text);
        EXPECT_TRUE(are_moments(stops, answer.moments))
            << text << ": " << stops.size() << " stops, " << answer.times_met << " moments in the trace";
    }
}

TEST(SessionTraceQuery, WhatATraceDoesNotHoldIsRefusedByNameWithItsPlaceMarked) {
    for (const TraceConditionExample& example : trace_condition_examples()) {
        if (example.decided)
            continue;
        EXPECT_NE(refusal(std::string(example.text)).find("this needs a machine: use `step` on a recording"),
                  std::string::npos)
            << example.text;
    }
    EXPECT_EQ(refusal("fault && eax == 2")
                  .find("'eax' cannot be decided: a trace holds no register but cr0, cr3 and "
                        "cr4; this needs a machine: use `step` on a recording\n"
                        "  fault && eax == 2\n"
                        "           ^\n"),
              0u)
        << refusal("fault && eax == 2");
    EXPECT_NE(refusal("!fault").find("'!fault' cannot be decided"), std::string::npos);
    EXPECT_NE(refusal("maps(pte(0x1000).frame)").find("'pte(0x1000).frame' cannot"), std::string::npos);
    EXPECT_NE(refusal("fault &&").find("missing before the end"), std::string::npos) << "the parser's own";
}

TEST(SessionTraceQuery, TranslationsThatWereNotRecordedAreNoSilence) {
    FileHeader header;
    header.set("events", "all but tlb_fill and tlb_evict");
    EXPECT_NE(refusal("flushes || fills", header)
                  .find("'fills' cannot be decided: a trace holds no fills and evictions "
                        "of the TLB, which --all-events records"),
              std::string::npos);
}

// Nobody but the header knows what a machine's registers were that was loaded from a snapshot.
TEST(SessionTraceQuery, RegistersAreKnownFromTheBeginningOrFromTheFirstWriteThatTellsThem) {
    TraceEvent fault;
    fault.kind = TraceKind::PageFault;
    fault.address_space = 0x5000;
    TraceEvent global = fault;
    global.kind = TraceKind::ControlRegister;
    global.instructions = 5;
    global.a = 4, global.b = 0x10, global.c = 0x90;
    TraceEvent later = fault;
    later.instructions = 9;
    const std::vector<TraceEvent> events = {fault, global, later};
    FileHeader header;
    EXPECT_EQ(asked("fault && cr4 & 0x10", events, header).times_met, 1u) << "before that nobody knows";
    EXPECT_EQ(asked("cr4 & 0x10", events, header).times_met, 0u) << "the write says that it was so before";
    EXPECT_EQ(asked("cr4 & 0x80", events, header).times_met, 1u);
    EXPECT_EQ(asked("cr3 == 0x5000", events, header).times_met, 0u) << "it was so when the trace began";
    EXPECT_EQ(asked("fault && cr3 == 0x5000", events, header).times_met, 2u);
    set_trace_registers(header, 0x80000011, 0x5000, 0x10);
    EXPECT_EQ(asked("fault && cr4 & 0x10", events, header).times_met, 2u);
}

TEST(SessionTraceQuery, AnInstructionCountsOnceAndShowsAllItsEvents) {
    TraceEvent write;
    write.kind = TraceKind::PteWrite;
    write.instructions = 3;
    TraceEvent delivery = write;
    delivery.kind = TraceKind::Interrupt;
    TraceEvent next = write;
    next.instructions = 4;
    const std::vector<TraceEvent> events = {write, write, delivery, write, next};
    const Answer answer = asked("entries", events, {});
    EXPECT_EQ(answer.times_met, 3u) << "the instruction, the handler's first one, the next one";
    EXPECT_EQ(answer.events.size(), 4u);
    EXPECT_EQ(asked("entries && interrupt", events, {}).times_met, 1u);
    EXPECT_EQ(asked("count(entries) == 2", events, {}).events.size(), 1u);
}

TEST(SessionTraceQuery, AGuestThatStatesNothingIsToldOf) {
    TraceEvent write;
    write.kind = TraceKind::PteWrite;
    EXPECT_NE(asked("entries || stop == 1", {write}, {}).note.find("states nothing, so 'stop == 1' never happens"),
              std::string::npos);
    EXPECT_EQ(asked("entries", {write}, {}).note, "");
    EXPECT_EQ(asked("stop == 1").note, "");
}

TEST(SessionTraceQuery, NamesComeFromTheGuestThatTheTraceIsOf) {
    const TemporaryFile file(".names");
    Options options = demo();
    options.limit.cycle = 2'000'000;
    for (const bool records : {false, true}) {
        options.trace_path = records ? "" : file.path();
        options.record_path = records ? file.path() : "";
        auto session = std::move(Session::create(options)).value();
        session->run_to_end();
        ASSERT_TRUE(session->finish().ok());
        const auto trace = TraceFileReader::open(file.path());
        ASSERT_TRUE(trace.ok());
        Symbolizer names;
        add_symbols_of_trace(names, *trace);
        EXPECT_EQ(names.address_of("fork_process"), session->symbols().address_of("fork_process"));
        EXPECT_EQ(names.address_of("forkdemo:main"), session->symbols().address_of("forkdemo:main"));
    }
    const auto nobody = TraceQuery::create("maps(page_directory)", Symbolizer(), {});
    ASSERT_FALSE(nobody.ok());
    EXPECT_NE(nobody.error().message.find("no names of the guest are known"), std::string::npos);
}

TEST(SessionTraceQuery, ThePageHasTheExamples) {
    std::stringstream page;
    page << std::ifstream(FORKSCOPE_CONDITIONS_PAGE).rdbuf();
    EXPECT_NE(page.str().find(trace_conditions_markdown()), std::string::npos) << trace_conditions_markdown();
}

} // namespace
} // namespace forkscope
