// A machine saved inside a fork comes back inside that fork: what the tracer knows goes with it.
#include "guest_machine.hpp"

#include <cstdlib>

#include "emu/base/random.hpp"
#include "emu/session/session.hpp"

namespace forkscope {

namespace {

constexpr const char* kWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";

// A machine with the observers that a session has.
struct Traced {
    explicit Traced(const std::string& os) : guest(kWorkload, {}, os) {
        Machine& machine = *guest.machine;
        const auto kernel = embedded_kernel(os).value();
        symbols.add_kernel(ElfImage::from_bytes("kernel", kernel).value());
        EXPECT_TRUE(symbols.add_programs_of_initrd(embedded_initrd()).ok());
        tracer = std::make_unique<ForkTracer>(machine.mmu().memory(), &symbols, tracer_options_for(machine));
        machine.add_checkpoint_part(tracer->checkpoint_part());
        machine.add_checkpoint_part(symbols.checkpoint_part());
        machine.set_trace_sink(tracer.get());
    }
    ~Traced() { guest.machine->set_trace_sink(nullptr); }
    void run_to(u64 instructions) { guest.machine->run({kNever, instructions}); }

    GuestMachine guest;
    Symbolizer symbols;
    std::unique_ptr<ForkTracer> tracer;
};

// Every field in which two tracers differ.
std::string differences(const ForkTracer& tracer, const ForkTracer& expected) {
    ForkTracer::State other = expected.state();
    SaveArchive saved;
    other.serialize(saved);
    const std::vector<u8> bytes = saved.take();
    ForkTracer::State state = tracer.state();
    DiffArchive ar(bytes);
    state.serialize(ar);
    std::string text;
    for (const std::string& line : ar.differences())
        text += line + "\n";
    return text;
}

class TracerOf : public ::testing::TestWithParam<std::string> {};

} // namespace

TEST_P(TracerOf, AnyPlaceGoesOnToTheSameRecords) {
    Random random(31);
    const int rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 60 : 4;
    Traced straight(GetParam());
    straight.run_to(2'000'000);
    ASSERT_FALSE(straight.tracer->forks().empty());
    // Inside a fork, and anywhere.
    std::vector<u64> places;
    for (const ForkRecord& fork : straight.tracer->forks())
        if (fork.in_workload)
            places.push_back((fork.begin_instructions + fork.left_instructions) / 2);
    ASSERT_FALSE(places.empty());
    while (places.size() < static_cast<std::size_t>(rounds))
        places.push_back(200'000 + random.below(1'700'000));
    for (const u64 at : places) {
        Traced saved(GetParam());
        saved.run_to(at);
        const Snapshot snapshot = saved.guest.machine->snapshot();
        Traced loaded(GetParam());
        loaded.run_to(random.below(1'000'000));
        ASSERT_TRUE(loaded.guest.machine->restore(snapshot).ok());
        EXPECT_FALSE(loaded.guest.machine->restored_without("forks"));
        EXPECT_EQ(differences(*loaded.tracer, *saved.tracer), "") << "at " << at;
        EXPECT_EQ(loaded.tracer->current() != nullptr, saved.tracer->current() != nullptr);
        loaded.run_to(2'000'000);
        ASSERT_EQ(differences(*loaded.tracer, *straight.tracer), "") << "saved at " << at;
        EXPECT_EQ(loaded.guest.machine->hash(), straight.guest.machine->hash());
    }
}

TEST_P(TracerOf, AForkIsThereAgainAtOnce) {
    Traced saved(GetParam());
    u64 at = 0;
    while (saved.tracer->current() == nullptr || saved.tracer->current()->stops.size() < 4)
        saved.run_to(at += 1000);
    Traced loaded(GetParam());
    ASSERT_TRUE(loaded.guest.machine->restore(saved.guest.machine->snapshot()).ok());
    const ForkRecord* fork = loaded.tracer->current();
    ASSERT_NE(fork, nullptr);
    EXPECT_EQ(fork->number, saved.tracer->current()->number);
    EXPECT_EQ(fork->stops.size(), saved.tracer->current()->stops.size());
    EXPECT_EQ(loaded.symbols.program_of(fork->parent_directory), saved.symbols.program_of(fork->parent_directory));
}

// Saved by a machine that nobody traced: the tracer begins there, and whoever shows it can tell.
TEST(TracerOf, AMachineSavedWithoutOneBeginsAnew) {
    GuestMachine untraced(kWorkload);
    untraced.machine->run({kNever, 900'000});
    Traced loaded(embedded_kernel_names().front());
    loaded.run_to(1'000'000);
    ASSERT_FALSE(loaded.tracer->forks().empty());
    ASSERT_TRUE(loaded.guest.machine->restore(untraced.machine->snapshot()).ok());
    EXPECT_TRUE(loaded.guest.machine->restored_without("forks"));
    EXPECT_TRUE(loaded.tracer->forks().empty());
    loaded.run_to(2'000'000);
    EXPECT_FALSE(loaded.tracer->forks().empty());
}

INSTANTIATE_TEST_SUITE_P(Systems, TracerOf, ::testing::ValuesIn(embedded_kernel_names()),
                         [](const auto& name) { return name.param; });

} // namespace forkscope
