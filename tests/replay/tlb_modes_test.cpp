// Every processor's TLB and every study mode: the engines, the fast table and amnesia do not show in any hash.
#include "guest_machine.hpp"

#include <map>
#include <numeric>

#include "emu/report/tlb_report.hpp"

namespace forkscope {

namespace {

constexpr const char* kWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc";
constexpr u64 kStep = 100'000;

struct TlbCase {
    CpuModel cpu;
    TlbStudy study;
};

void PrintTo(const TlbCase& tlb, std::ostream* out) {
    const std::string study = study_text(tlb.study, 9);
    *out << model_of(tlb.cpu).name << '_' << study.substr(0, study.find(':'));
}

// The built-in guest needs INVLPG, so that the i386 is left to the other tests: its TLB is the i486's.
std::vector<TlbCase> all_cases() {
    std::vector<TlbCase> cases;
    for (const CpuModel cpu : {CpuModel::I486, CpuModel::Pentium, CpuModel::P6})
        for (const TlbStudy study :
             {TlbStudy::Model, TlbStudy::Infinite, TlbStudy::Tiny, TlbStudy::Random, TlbStudy::Fifo})
            cases.push_back({cpu, study});
    return cases;
}

GuestMachine machine_of(const TlbCase& tlb, EngineKind engine, bool fast_table) {
    return GuestMachine(kWorkload, [&](MachineConfig& config) {
        config.cpu = tlb.cpu;
        config.tlb = tlb.study;
        config.tlb_seed = 9;
        config.engine = engine;
        config.fast_table = fast_table;
    });
}

class TlbModes : public ::testing::TestWithParam<TlbCase> {};

} // namespace

TEST_P(TlbModes, HashAlikeInEveryEngineAtEveryStep) {
    const auto forget = [](Machine& machine) { machine.forget_derived_state(); };
    const auto expected = machine_of(GetParam(), EngineKind::Interpreter, false).hashes(kStep);
    EXPECT_GT(expected.size(), 5u);
    EXPECT_EQ(machine_of(GetParam(), EngineKind::Block, true).hashes(kStep), expected);
    EXPECT_EQ(machine_of(GetParam(), EngineKind::Block, true).hashes(kStep, forget), expected);
    EXPECT_EQ(machine_of(GetParam(), EngineKind::Interpreter, true).hashes(kStep), expected);
}

// Stopping in between, also within a repeated string, is no event for the TLB.
TEST_P(TlbModes, HashAlikeHoweverTheRunIsCutIntoSlices) {
    const auto expected = machine_of(GetParam(), EngineKind::Block, true).hashes(kStep);
    GuestMachine guest = machine_of(GetParam(), EngineKind::Block, true);
    std::vector<u64> hashes;
    for (u64 next = kStep;;) {
        const StopKind cause = guest.machine->run({guest.machine->now() + 700, next}).kind;
        if (cause == StopKind::Limit && guest.machine->instructions() < next)
            continue;
        hashes.push_back(guest.machine->hash());
        if (cause == StopKind::Exit)
            break;
        next += kStep;
    }
    EXPECT_EQ(hashes, expected);
}

INSTANTIATE_TEST_SUITE_P(Of, TlbModes, ::testing::ValuesIn(all_cases()), ::testing::PrintToStringParamName());

TEST(TlbModes, ChangeOnlyCountsAndCycles) {
    std::map<std::string, std::string> consoles;
    std::map<std::string, u64> misses;
    for (const TlbCase& tlb : all_cases()) {
        GuestMachine guest = machine_of(tlb, EngineKind::Block, true);
        while (guest.machine->run({}).kind == StopKind::Requested) {
        }
        consoles[::testing::PrintToString(tlb)] = guest.console;
        misses[::testing::PrintToString(tlb)] = guest.machine->mmu().counters().tlb_misses[0];
    }
    for (const auto& [name, console] : consoles)
        EXPECT_EQ(console, consoles[name.substr(0, name.find('_')) + "_model"]) << name;
    for (const char* cpu : {"i486", "pentium", "p6"}) {
        const std::string name = cpu;
        EXPECT_LT(misses[name + "_infinite"], misses[name + "_model"]);
        EXPECT_LT(misses[name + "_model"], misses[name + "_tiny"]);
        EXPECT_NE(misses[name + "_model"], misses[name + "_fifo"]);
        EXPECT_NE(misses[name + "_model"], misses[name + "_random"]);
    }
    EXPECT_LT(misses["p6_model"], misses["i486_model"]);
}

// Counting withholds the front and fetches each instruction, and yet changes no hash; the counts are the engines'
// alike.
TEST_P(TlbModes, CountHitsWithoutLeavingATrace) {
    const auto expected = machine_of(GetParam(), EngineKind::Block, true).hashes(kStep);
    std::vector<std::vector<u64>> counts;
    for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block}) {
        GuestMachine guest = machine_of(GetParam(), engine, true);
        guest.machine->mmu().set_count_hits(true);
        EXPECT_EQ(guest.hashes(kStep), expected);
        std::vector<u64>& hits = counts.emplace_back();
        for (const TlbRow& row : tlb_view(guest.machine->mmu()).rows)
            hits.push_back(row.entry.hits);
    }
    EXPECT_EQ(counts[0], counts[1]);
    EXPECT_GT(std::accumulate(counts[0].begin(), counts[0].end(), u64{0}), 0u);
}

TEST(TlbModes, RefuseASnapshotOfAnotherTlb) {
    const auto machine = [](TlbStudy study, u64 seed) {
        return GuestMachine("run=true", [&](MachineConfig& config) {
            config.tlb = study;
            config.tlb_seed = seed;
        });
    };
    GuestMachine random = machine(TlbStudy::Random, 5);
    random.machine->run({kNever, 300'000});
    const Snapshot snapshot = random.machine->snapshot();
    const auto other = machine(TlbStudy::Model, 0).machine->restore(snapshot);
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("--tlb random:5"), std::string::npos) << other.error().message;
    EXPECT_FALSE(machine(TlbStudy::Random, 6).machine->restore(snapshot).ok());
    GuestMachine same = machine(TlbStudy::Random, 5);
    ASSERT_TRUE(same.machine->restore(snapshot).ok());
    same.machine->run({kNever, 900'000});
    random.machine->run({kNever, 900'000});
    EXPECT_EQ(same.machine->hash(), random.machine->hash());
}

} // namespace forkscope
