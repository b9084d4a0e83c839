#include "timeline_ways.hpp"

#include <algorithm>
#include <cstring>

#include "emu/machine/timeline/timeline.hpp"

namespace forkscope {

namespace {

constexpr u64 kWorkloadInstructions = 1'400'000; // about, with any kernel

std::string tracer_difference(std::span<const u8> saved, std::span<const u8> expected) {
    ForkTracer::State state;
    LoadArchive load(saved);
    state.serialize(load);
    DiffArchive ar(expected);
    state.serialize(ar);
    std::string text = "part.forks: ";
    for (const std::string& line : ar.differences())
        text += line + "; ";
    return text;
}

// The first difference of what two machines have saved; "": none.
std::string difference(const Snapshot& saved, const Snapshot& expected) {
    for (const SnapshotSection& section : expected.sections()) {
        const SnapshotSection* other = saved.find(section.name);
        if (other == nullptr)
            return section.name + " is missing";
        if (other->bytes == section.bytes)
            continue;
        if (section.name == "part.forks")
            return tracer_difference(other->bytes, section.bytes);
        for (std::size_t i = 0; i < section.bytes.size(); ++i)
            if (i >= other->bytes.size() || section.bytes[i] != other->bytes[i])
                return fmt::format("{} differs at byte {} of {} ({})", section.name, i, section.bytes.size(),
                                   other->bytes.size());
        return section.name + " is longer";
    }
    return saved.count() == expected.count() ? "" : "there is a section more";
}

std::string difference(const std::vector<TraceEvent>& events, const std::vector<TraceEvent>& expected) {
    for (std::size_t i = 0; i < std::min(events.size(), expected.size()); ++i) {
        const TraceEvent& a = events[i];
        const TraceEvent& b = expected[i];
        if (a.kind != b.kind || a.instructions != b.instructions || a.cycle != b.cycle || a.eip != b.eip ||
            a.a != b.a || a.b != b.b || a.c != b.c || a.d != b.d)
            return fmt::format("event {} of kind {} at {}, expected {} at {}", i, static_cast<int>(a.kind),
                               a.instructions, static_cast<int>(b.kind), b.instructions);
    }
    return events.size() == expected.size() ? "" : fmt::format("{} events of {}", events.size(), expected.size());
}

// What somebody does to the machine, and when: at a count of instructions, or at a time.
struct Deed {
    RunLimit when;
    InputEvent input;
};

std::vector<Deed> random_deeds(Random& random, u64 from, u64 to) {
    std::vector<Deed> deeds;
    for (u64 at = from; at < to; at += 1000 + random.below(to / 4)) {
        Deed deed{{kNever, at}, {}};
        if (random.below(2) == 0)
            deed.input = {.kind = InputKind::Key, .data = 0x1E + random.below(8)};
        else
            deed.input = {.kind = InputKind::SerialByte, .data = 'a' + random.below(26)};
        deeds.push_back(deed);
    }
    return deeds;
}

// Runs to `end`, doing what is to be done on the way. `run` and `inject` are the machine's or its timeline's.
template <class Runner> void run_with(Runner& runner, Machine& machine, const std::vector<Deed>& deeds, u64 end) {
    for (const Deed& deed : deeds) {
        if (deed.when.instructions <= machine.instructions() || deed.when.instructions > end)
            continue;
        while (machine.instructions() < deed.when.instructions && runner.run(deed.when).kind != StopKind::Halted) {
        }
        runner.inject(deed.input);
    }
    while (machine.instructions() < end && runner.run({kNever, end}).kind != StopKind::Halted) {
    }
}

constexpr EngineKind kEngines[] = {EngineKind::Interpreter, EngineKind::Block, EngineKind::Translator};

EngineKind engine_but(EngineKind engine, Random& random) {
    const auto step = 1 + random.below(std::size(kEngines) - 1);
    return kEngines[(static_cast<std::size_t>(engine) + step) % std::size(kEngines)];
}

std::string name(EngineKind engine) {
    return engine == EngineKind::Interpreter ? "interpreter" : engine == EngineKind::Block ? "block" : "translator";
}

} // namespace

std::string TimelineChoice::text() const {
    return fmt::format("os {} cpu {} tlb {} clock {}", os, static_cast<int>(cpu), static_cast<int>(tlb),
                       static_cast<int>(clock));
}

std::vector<TimelineChoice> timeline_choices(const std::string& os) {
    std::vector<TimelineChoice> choices;
    for (const CpuModel cpu : {CpuModel::I486, CpuModel::Pentium, CpuModel::P6})
        for (u32 tlb = 0; tlb <= static_cast<u32>(TlbStudy::Fifo); ++tlb)
            for (const CostModelKind clock : {CostModelKind::Flat, CostModelKind::Model, CostModelKind::Cache})
                choices.push_back({os, cpu, static_cast<TlbStudy>(tlb), clock});
    return choices;
}

std::vector<TimelineChoice> timeline_choices() {
    std::vector<TimelineChoice> choices;
    for (const std::string& os : embedded_kernel_names()) {
        const auto more = timeline_choices(os);
        choices.insert(choices.end(), more.begin(), more.end());
    }
    return choices;
}

void check_ways_to_a_place(const TimelineChoice& choice, Random& random) {
    const u64 at = 1000 + random.below(kWorkloadInstructions);
    const u64 end = at + 1 + random.below(300'000);
    const EngineKind engine = kEngines[random.below(std::size(kEngines))];
    const EngineKind other = engine_but(engine, random);
    SCOPED_TRACE(fmt::format("{}, {} to {}, {}, then {}", choice.text(), at, end, name(engine), name(other)));
    const std::vector<Deed> deeds = random_deeds(random, 500'000, end);

    Watched straight(choice, engine);
    run_with(straight.machine(), straight.machine(), deeds, at);
    const Snapshot then = straight.machine().snapshot();
    const Position there = straight.machine().position();
    straight.events.listening = true;
    run_with(straight.machine(), straight.machine(), deeds, end);
    const Snapshot last = straight.machine().snapshot();
    const Position furthest = straight.machine().position();

    Watched watched(choice, engine);
    TimelineLimits limits;
    limits.spacing = 20'000 + random.below(200'000);
    Timeline timeline(watched.machine(), limits);
    run_with(timeline, watched.machine(), deeds, end);
    ASSERT_EQ(difference(watched.machine().snapshot(), last), "") << "run past";
    const std::string console = watched.guest.console;
    auto gone = timeline.go_to(there);
    ASSERT_TRUE(gone.ok()) << gone.error().message;
    ASSERT_EQ(difference(watched.machine().snapshot(), then), "") << "run past and rewind";
    watched.events.listening = true;
    run_with(timeline, watched.machine(), {}, end);
    ASSERT_FALSE(timeline.in_past());
    ASSERT_EQ(difference(watched.machine().snapshot(), last), "") << "rewind and forward again";
    ASSERT_EQ(difference(watched.events.events, straight.events.events), "") << "rewind and forward again";
    ASSERT_EQ(watched.guest.console, console) << "what is done again must not be put out again";
    ASSERT_TRUE(timeline.go_to(at).ok());
    ASSERT_EQ(difference(watched.machine().snapshot(), then), "") << "back once more";

    Watched replayed(choice, other);
    Timeline known(replayed.machine(), limits);
    known.expect(straight.machine().inputs(), furthest);
    gone = known.go_to(there);
    ASSERT_TRUE(gone.ok()) << gone.error().message;
    ASSERT_EQ(difference(replayed.machine().snapshot(), then), "") << "replay on the other engine";
    gone = known.go_to(furthest);
    ASSERT_TRUE(gone.ok()) << gone.error().message;
    ASSERT_EQ(difference(replayed.machine().snapshot(), last), "") << "replay on the other engine, to the end";
}

} // namespace forkscope
