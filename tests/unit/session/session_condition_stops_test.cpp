// Where conditions stop the built-in guest: that no moment is missed, what is said, what is remembered.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "emu/session/conditions/help.hpp"
#include "emu/session/session.hpp"

namespace forkscope {
namespace {

constexpr Cycles kEnough = 400'000'000;

Options demo(EngineKind engine = EngineKind::Block) {
    Options options;
    options.machine.command_line = "run=forkdemo --pages 2";
    options.machine.engine = engine;
    options.limit = {.cycle = kEnough};
    return options;
}

std::unique_ptr<Session> session_until(const std::string& until, EngineKind engine = EngineKind::Block) {
    Options options = demo(engine);
    options.until = until;
    auto session = Session::create(options);
    EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
    return std::move(session).value();
}

Condition compiled(const std::string& text, Session& session) {
    auto condition = compile_condition(text, session.symbols());
    EXPECT_TRUE(condition.ok()) << (condition.ok() ? "" : condition.error().message);
    return std::move(condition).value();
}

struct Place {
    u64 instructions = 0;
    Cycles cycle = 0;
    bool operator==(const Place&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.instructions << "@" << place.cycle;
}

Place place_of(Session& session) { return {session.machine().instructions(), session.machine().now()}; }

// Every place where a condition that stays is met, to the end of the run.
std::vector<Place> places_of(Session& session) {
    std::vector<Place> places;
    for (;;) {
        session.run_to_end();
        if (session.stops().met().empty())
            return places;
        places.push_back(place_of(session));
    }
}

std::vector<Place> all_places(const std::string& condition, EngineKind engine) {
    auto session = std::move(Session::create(demo(engine))).value();
    session->stops().add(compiled(condition, *session), {.keep = Keep::Stay});
    return places_of(*session);
}

TEST(SessionConditionStops, EachExampleIsMetByTheForkDemo) {
    for (const ConditionExample& example : condition_examples()) {
        if (example.meaning.empty())
            continue;
        const auto session = session_until(std::string(example.text));
        EXPECT_EQ(session->run_to_end().code, ExitCode::Ok) << example.text;
        EXPECT_EQ(session->outcome().why.find(fmt::format("--until {} is met", example.text)), 0u)
            << session->outcome().why;
    }
}

TEST(SessionConditionStops, TheirPageHasTheExamples) {
    std::stringstream page;
    page << std::ifstream(FORKSCOPE_CONDITIONS_PAGE).rdbuf();
    EXPECT_NE(page.str().find(conditions_markdown()), std::string::npos) << conditions_markdown();
}

// What a person would see who looks at the machine after each instruction.
template <class Look> std::vector<Place> changes_seen_stepping(Look look) {
    auto session = std::move(Session::create(demo(EngineKind::Interpreter))).value();
    std::vector<Place> places;
    auto before = look(*session);
    while (session->step()) {
        const auto now = look(*session);
        if (now != before)
            places.push_back(place_of(*session));
        before = now;
    }
    return places;
}

u64 entry_of(Session& session, u32 address) {
    const PagingState& paging = session.machine().mmu().paging();
    if (!paging.control().paging())
        return 0;
    const Walk walk = paging.look(LinearAddress(address), Privilege::Supervisor, AccessKind::Read);
    return walk.at(1).read ? walk.at(1).entry : 0;
}

TEST(SessionConditionStops, NoChangeOfAnEntryIsMissed) {
    const auto seen = changes_seen_stepping([](Session& session) { return entry_of(session, 0xBFFFE000); });
    EXPECT_GT(seen.size(), 8u) << "made, used, protected, copied";
    for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block})
        EXPECT_EQ(all_places("pte(0xbfffe000) changes", engine), seen);
}

TEST(SessionConditionStops, NoChangeOfTheAddressSpaceIsMissed) {
    const auto seen = changes_seen_stepping([](Session& session) { return session.machine().registers().cr3; });
    EXPECT_GT(seen.size(), 4u);
    EXPECT_EQ(all_places("cr3 changes", EngineKind::Block), seen);
}

TEST(SessionConditionStops, NoChangeOfMemoryIsMissedWhateverItIsMappedTo) {
    const auto seen = changes_seen_stepping([](Session& session) {
        std::array<u8, 4> bytes{};
        return std::pair(session.machine().mmu().peek(LinearAddress(0xBFFFEFC0), bytes), bytes);
    });
    EXPECT_GT(seen.size(), 8u);
    for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block})
        EXPECT_EQ(all_places("u32(0xbfffefc0) changes", engine), seen);
}

// Among them fetches, which fill before their instruction runs.
TEST(SessionConditionStops, BothEnginesStopAtTheSameInstruction) {
    for (const char* condition :
         {"fills", "evicts", "flushes", "stale(0xbfffe000)", "fault", "writes(0xb8000, 160)",
          "syscall || interrupt(0x20)", "pte(0x400000).a changes", "pmap.c:16", "maps(pte(0xbfffe000).frame)"}) {
        const auto by_block = all_places(condition, EngineKind::Block);
        EXPECT_FALSE(by_block.empty()) << condition;
        EXPECT_EQ(by_block, all_places(condition, EngineKind::Interpreter)) << condition;
    }
}

TEST(SessionConditionStops, NothingOfThemReachesTheGuest) {
    auto plain = std::move(Session::create(demo())).value();
    plain->run_to_end();
    auto watched = std::move(Session::create(demo())).value();
    for (const char* condition : {"fills", "u32(esp) == 1 && fault", "u32(0xbfffefc0) changes",
                                  "writes(0x400000, 65536)", "stale(0xbfffe000)", "pmap.c:16", "cr3 changes"})
        watched->stops().add(compiled(condition, *watched), {.keep = Keep::Stay});
    EXPECT_GT(places_of(*watched).size(), 100u);
    EXPECT_EQ(watched->machine().hash(), plain->machine().hash());
    EXPECT_EQ(place_of(*watched), place_of(*plain));
}

TEST(SessionConditionStops, BeforeTheHandlersFirstInstructionOfAFault) {
    const auto session = session_until("fault(0xbfffe000)");
    session->run_to_end();
    EXPECT_EQ(session->machine().registers().cr2 >> kPageShift, 0xBFFFEu);
    EXPECT_NE(session->place().find("stub_14"), std::string::npos) << session->place();
}

TEST(SessionConditionStops, BehindAStoreAndSayWhatWasThereWhatIsAndWhoseItWas) {
    const auto session = session_until("fork_process || stop == 2 && pte(0xbfffe000).p");
    session->run_to_end();
    session->stops().add(compiled("pte(0xbfffe000).w changes", *session), {.asked_as = "continue"});
    session->run_to_end();
    const std::string& why = session->outcome().why;
    EXPECT_EQ(why.find("continue is met: pte(0xbfffe000).w changed: 0x"), 0u) << why;
    EXPECT_NE(why.find("67 -> 0x"), std::string::npos) << why;
    EXPECT_NE(why.find("65 at set_pte"), std::string::npos) << why;
    EXPECT_NE(why.find(", called by "), std::string::npos) << "who has a helper write an entry: " << why;
    EXPECT_EQ(entry_of(*session, 0xBFFFE000) & 0xFFF, 0x65u);
}

// Asked at the places alone: what changed in between and back again is no change.
TEST(SessionConditionStops, AskStateOnlyWhereTheArmedPartHolds) {
    auto session = std::move(Session::create(demo())).value();
    const u32 number = session->stops().add(compiled("fork_process && cpl changes", *session), {.keep = Keep::Stay});
    const u32 calls = session->stops().add(compiled("fork_process", *session), {.keep = Keep::Stay});
    EXPECT_FALSE(places_of(*session).empty());
    EXPECT_GT(session->stops().times_met(calls), 1u);
    EXPECT_EQ(session->stops().times_met(number), 0u);
}

TEST(SessionConditionStops, CountAndIgnoreAgree) {
    const auto all = all_places("fault", EngineKind::Block);
    ASSERT_GT(all.size(), 5u);
    const auto third = session_until("count(fault) == 3");
    third->run_to_end();
    EXPECT_EQ(place_of(*third), all[2]);
    auto later = std::move(Session::create(demo())).value();
    later->stops().add(compiled("fault", *later), {.ignore = 3});
    later->run_to_end();
    EXPECT_EQ(place_of(*later), all[3]);
}

// What they remember goes back, and the future is met again as it was.
TEST(SessionConditionStops, GoBackWithTheMachine) {
    auto session = std::move(Session::create(demo())).value();
    StopConditions& stops = session->stops();
    const u32 number =
        stops.add(compiled("count(pte(0xbfffe000) changes || fault) >= 3", *session), {.keep = Keep::Stay});
    session->run_to_end();
    session->run_to_end();
    const Place there = place_of(*session);
    const Snapshot snapshot = session->machine().snapshot();
    const auto future = places_of(*session);
    ASSERT_GT(future.size(), 3u);
    for (const bool again : {false, true}) {
        ASSERT_TRUE(session->machine().restore(snapshot).ok());
        EXPECT_EQ(place_of(*session), there);
        EXPECT_EQ(stops.times_met(number), 2u);
        EXPECT_EQ(places_of(*session), future) << again;
    }
}

// A checkpoint may be laid on the way to somewhere, where nobody asks: what is true there does not come about later.
TEST(SessionConditionStops, TakeWhatTheMachineShowsForAskedWhereItGoesBackTo) {
    for (const char* condition : {"pte(0xbfffe000).p", "pte(0xbfffe000) changes", "cr3 != 0", "eax != 0xffffffff"}) {
        const auto seen = all_places(condition, EngineKind::Block);
        auto session = std::move(Session::create(demo())).value();
        session->stops().add(compiled(condition, *session), {.keep = Keep::Stay});
        const u64 middle = 500'000;
        while (session->machine().instructions() < middle)
            session->machine().run({.cycle = kNever, .instructions = middle});
        ASSERT_TRUE(session->machine().restore(session->machine().snapshot()).ok());
        std::vector<Place> later;
        for (const Place& place : seen)
            if (place.instructions > middle)
                later.push_back(place);
        EXPECT_EQ(places_of(*session), later) << condition;
    }
}

// One that was added after the checkpoint begins anew there, and one that is at its place is not met at once.
TEST(SessionConditionStops, BeginAnewWhereTheyWereNotYetThere) {
    const auto session = session_until("fork_process");
    session->run_to_end();
    const Snapshot snapshot = session->machine().snapshot();
    const Place first = place_of(*session);
    StopConditions& stops = session->stops();
    const u32 number = stops.add(compiled("fork_process", *session), {.keep = Keep::Stay});
    session->run_to_end();
    const Place second = place_of(*session);
    EXPECT_GT(second.instructions, first.instructions);
    ASSERT_TRUE(session->machine().restore(snapshot).ok());
    EXPECT_EQ(stops.times_met(number), 0u);
    session->run_to_end();
    EXPECT_EQ(place_of(*session), second);
}

} // namespace
} // namespace forkscope
