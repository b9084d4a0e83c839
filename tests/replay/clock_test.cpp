// --clock and --cpu decide the cycles; nothing else does, and they decide nothing else that a program computes.
#include "guest_machine.hpp"

#include "emu/base/random.hpp"
#include "tests/parameter_names.hpp"

namespace forkscope {

namespace {

// Forks, copies on write, pipes, reads files; prints nothing that depends on a clock.
constexpr const char* kWorkload = "run=forkdemo --child 6 --parent 2; cat motd | wc; ls bin | wc; cowtest";
constexpr u64 kStep = 400'000;

struct Processor {
    CpuModel cpu;
    CostModelKind clock;
};

void PrintTo(const Processor& processor, std::ostream* out) {
    *out << ::testing::PrintToString(processor.cpu) << '_' << ::testing::PrintToString(processor.clock);
}

void choose(MachineConfig& config, const Processor& processor) {
    config.cpu = processor.cpu;
    config.clock = processor.clock;
}

class ClockReplay : public ::testing::TestWithParam<Processor> {
  protected:
    GuestMachine machine(const std::function<void(MachineConfig&)>& adjust = {}) {
        return GuestMachine(kWorkload, [&](MachineConfig& config) {
            choose(config, GetParam());
            if (adjust)
                adjust(config);
        });
    }
};

} // namespace

TEST_P(ClockReplay, HashesAlikeInEachEngineAtEveryStep) {
    const auto reference = machine().hashes(kStep);
    EXPECT_EQ(machine([](MachineConfig& config) { config.engine = EngineKind::Interpreter; }).hashes(kStep), reference);
    EXPECT_EQ(machine([](MachineConfig& config) { config.fast_table = false; }).hashes(kStep), reference);
}

TEST_P(ClockReplay, HashesAlikeHoweverItIsCutAndForgotten) {
    auto whole = machine();
    const auto reference = whole.hashes(kStep);
    auto cut = machine();
    Random random(23);
    while (cut.machine->run({cut.machine->now() + 1 + random.below(40'000), ~u64{0}}).kind != StopKind::Exit)
        if (random.below(8) == 0)
            cut.machine->forget_derived_state();
    EXPECT_EQ(cut.machine->hash(), reference.back());
    EXPECT_EQ(cut.console, whole.console);
}

TEST_P(ClockReplay, GoesOnFromASnapshot) {
    auto first = machine();
    ASSERT_EQ(first.machine->run({kNever, 700'000}).kind, StopKind::Limit);
    auto second = machine([](MachineConfig& config) { config.engine = EngineKind::Interpreter; });
    ASSERT_TRUE(second.machine->restore(first.machine->snapshot()).ok());
    EXPECT_EQ(second.machine->hash(), first.machine->hash());
    EXPECT_EQ(second.hashes(kStep).back(), first.hashes(kStep).back());
}

constexpr Processor kProcessors[] = {
    {CpuModel::I486, CostModelKind::Model},    {CpuModel::I486, CostModelKind::Cache},
    {CpuModel::Pentium, CostModelKind::Model}, {CpuModel::Pentium, CostModelKind::Cache},
    {CpuModel::P6, CostModelKind::Model},      {CpuModel::P6, CostModelKind::Cache}};
INSTANTIATE_TEST_SUITE_P(ByProcessor, ClockReplay, ::testing::ValuesIn(kProcessors),
                         ::testing::PrintToStringParamName());

// What the guest prints and how it ends, whatever a cycle is. (Its kernel needs a 486: INVLPG, CR0.WP.)
TEST(Clock, IsNotFeltByProgramsThatDoNotLookAtIt) {
    for (const CpuModel cpu : {CpuModel::I486, CpuModel::Pentium, CpuModel::P6}) {
        std::string console;
        std::vector<u64> cycles;
        for (const CostModelKind clock : {CostModelKind::Flat, CostModelKind::Model, CostModelKind::Cache}) {
            GuestMachine guest(kWorkload, [&](MachineConfig& config) { choose(config, {cpu, clock}); });
            guest.hashes(~u64{0});
            EXPECT_EQ(guest.machine->exit_status(), 0u) << guest.console;
            if (clock == CostModelKind::Flat)
                console = guest.console;
            EXPECT_EQ(guest.console, console) << model_of(cpu).name;
            cycles.push_back(guest.machine->now());
        }
        EXPECT_NE(cycles[0], cycles[1]);
        EXPECT_NE(cycles[1], cycles[2]);
    }
}

} // namespace forkscope
