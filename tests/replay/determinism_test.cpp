// A run is decided by configuration and inputs alone: engines, tables, snapshots, slices and observers do not show.
#include "guest_machine.hpp"

#include "emu/base/random.hpp"
#include "tests/eager_translator.hpp"

namespace forkscope {

namespace {

// Boots, forks, copies on write, execs through the shell, exits.
constexpr const char* kWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";
constexpr u64 kStep = 100'000;

struct Mode {
    const char* name;
    EngineKind engine;
    bool fast_table;
    bool amnesia;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

class Modes : public ::testing::TestWithParam<std::tuple<Mode, std::string>> {};

class CountingSink : public TraceSink {
  public:
    void on_event(const TraceEvent&) override { ++count; }
    u64 count = 0;
};

const std::vector<u64>& reference(const std::string& os = embedded_kernel_names().front()) {
    static std::map<std::string, std::vector<u64>> known;
    std::vector<u64>& hashes = known[os];
    if (hashes.empty())
        hashes = GuestMachine(kWorkload, {}, os).hashes(kStep);
    return hashes;
}

} // namespace

TEST(Determinism, TheWorkloadReachesItsEndOnEachPersonality) {
    for (const std::string& os : embedded_kernel_names()) {
        GuestMachine guest(kWorkload, {}, os);
        guest.hashes(kStep);
        EXPECT_EQ(guest.machine->exit_status(), 0u) << os << ": " << guest.console;
        EXPECT_NE(guest.console.find("child"), std::string::npos) << os << ": " << guest.console;
        EXPECT_GT(guest.machine->instructions(), 1'000'000u) << os;
    }
}

TEST(Determinism, TwoRunsOfOneConfigurationHashAlikeAtEveryStep) {
    EXPECT_EQ(GuestMachine(kWorkload).hashes(kStep), reference());
}

TEST_P(Modes, HashAsTheReferenceAtEveryStep) {
    const auto& [mode, os] = GetParam();
    const bool amnesia = mode.amnesia;
    GuestMachine guest(
        kWorkload,
        [mode = mode](MachineConfig& config) {
            config.engine = mode.engine;
            config.translator = test::eager_translator();
            config.fast_table = mode.fast_table;
        },
        os);
    const auto hashes = guest.hashes(kStep, [&](Machine& machine) {
        if (amnesia)
            machine.forget_derived_state();
    });
    EXPECT_EQ(hashes, reference(os));
}

INSTANTIATE_TEST_SUITE_P(
    EngineByTableByAmnesiaByKernel, Modes,
    ::testing::Combine(::testing::Values(Mode{"interp", EngineKind::Interpreter, true, false},
                                         Mode{"interp_slow_table", EngineKind::Interpreter, false, false},
                                         Mode{"interp_amnesia", EngineKind::Interpreter, true, true},
                                         Mode{"interp_slow_table_amnesia", EngineKind::Interpreter, false, true},
                                         Mode{"block_slow_table", EngineKind::Block, false, false},
                                         Mode{"block_amnesia", EngineKind::Block, true, true},
                                         Mode{"block_slow_table_amnesia", EngineKind::Block, false, true},
                                         Mode{"translator", EngineKind::Translator, true, false},
                                         Mode{"translator_slow_table", EngineKind::Translator, false, false},
                                         Mode{"translator_amnesia", EngineKind::Translator, true, true}),
                       ::testing::ValuesIn(embedded_kernel_names())),
    [](const auto& mode) { return std::get<1>(mode.param) + "_" + std::get<0>(mode.param).name; });

TEST(Determinism, ForgettingDerivedStateAtRandomCyclesChangesNothing) {
    GuestMachine guest(kWorkload);
    Random random(11);
    std::vector<u64> hashes;
    u64 next = kStep;
    for (;;) {
        const Cycles slice = guest.machine->now() + 1 + random.below(5000);
        const StopKind cause = guest.machine->run({slice, next}).kind;
        guest.machine->forget_derived_state();
        if (cause == StopKind::Limit && guest.machine->instructions() >= next) {
            hashes.push_back(guest.machine->hash());
            next += kStep;
        } else if (cause == StopKind::Exit) {
            hashes.push_back(guest.machine->hash());
            break;
        }
    }
    EXPECT_EQ(hashes, reference());
}

TEST(Determinism, ListeningChangesNothing) {
    GuestMachine guest(kWorkload);
    CountingSink sink;
    guest.machine->set_trace_sink(&sink);
    EXPECT_EQ(guest.hashes(kStep), reference());
    EXPECT_GT(sink.count, 10'000u);
    guest.machine->set_trace_sink(nullptr);
}

TEST(Determinism, TypedKeysAreReplayedFromTheLogToTheSameState) {
    const u64 end = 30'000'000;
    GuestMachine typed("quiet");
    ASSERT_TRUE(typed.machine->type("ls bin\nforkdemo\n").ok());
    ASSERT_EQ(typed.machine->run({end, ~u64{0}}).kind, StopKind::Limit);
    EXPECT_NE(typed.console.find("forkdemo"), std::string::npos) << typed.console;
    EXPECT_GE(typed.machine->inputs().events().size(), 30u);

    GuestMachine replayed("quiet");
    replayed.machine->replay(typed.machine->inputs());
    ASSERT_EQ(replayed.machine->run({end, ~u64{0}}).kind, StopKind::Limit);
    EXPECT_EQ(replayed.console, typed.console);
    EXPECT_EQ(replayed.machine->hash(), typed.machine->hash());
}

TEST(Determinism, SingleStepsReachTheSameState) {
    GuestMachine stepped("");
    while (stepped.machine->instructions() < 50'000)
        ASSERT_EQ(stepped.machine->step().kind, StopKind::Limit);
    GuestMachine whole("");
    ASSERT_EQ(whole.machine->run({kNever, stepped.machine->instructions()}).kind, StopKind::Limit);
    // A step may have ended after a delivery that the whole run has still to make.
    whole.machine->run({stepped.machine->now(), ~u64{0}});
    EXPECT_EQ(stepped.machine->hash(), whole.machine->hash());
}

} // namespace forkscope
