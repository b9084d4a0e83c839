// Going back gives the machine that was: the saved bytes of a place are those of a straight run, whatever way leads
// there, and what comes behind it is the same again, event for event.
#include <algorithm>
#include <map>

#include <malloc.h>

#include "cpu/engine/block_engine.hpp"
#include "emu/machine/timeline/timeline.hpp"
#include "timeline_ways.hpp"

namespace forkscope {

namespace {

constexpr u32 kProgram = 0x1000;

// A machine that runs a program of flat 32-bit code without paging.
std::unique_ptr<Machine> machine_with(std::span<const u8> code) {
    auto machine = std::move(Machine::create(MachineConfig()).value());
    EXPECT_TRUE(machine->mmu().poke_physical(PhysicalAddress(kProgram), code));
    CpuState state = machine->registers();
    const SegmentCache data = SegmentCache::from(0x10, {0x00CF93000000FFFF, {}});
    for (SegmentCache& segment : state.segments)
        segment = data;
    state.segments[kCs] = SegmentCache::from(0x08, {0x00CF9B000000FFFF, {}});
    state.cr0 |= kCr0Pe;
    state.eip = kProgram;
    machine->mmu().set_a20(true);
    machine->cpu().set_state(state);
    return machine;
}

// An engine, watched: how often it forgets all that it derived, and how often code under it changes.
class WatchedEngine final : public Engine {
  public:
    WatchedEngine(std::unique_ptr<Engine> engine, int& forgotten, int& changed)
        : engine_(std::move(engine)), forgotten_(forgotten), changed_(changed) {}
    void run(u64 instruction_limit) override { engine_->run(instruction_limit); }
    bool code_changed(PhysicalAddress address, u32 size) override {
        ++changed_;
        return engine_->code_changed(address, size);
    }
    void forget() override {
        ++forgotten_;
        engine_->forget();
    }

  private:
    std::unique_ptr<Engine> engine_;
    int& forgotten_;
    int& changed_;
};

} // namespace

namespace {

// Each thousand rounds of a loop it changes the number that the loop adds.
void go_back_over_code_that_changes_itself(const EngineFactory& engine) {
    const std::vector<u8> code = {0xB9, 0xE8, 0x03, 0x00, 0x00,       // 1000: mov ecx, 1000
                                  0x81, 0xC3, 0x01, 0x00, 0x00, 0x00, // 1005: add ebx, 1
                                  0x49,                               // 100B: dec ecx
                                  0x75, 0xF7,                         // 100C: jnz 1005
                                  0xFF, 0x05, 0x07, 0x10, 0x00, 0x00, // 100E: inc dword [1007]
                                  0xEB, 0xEA};                        // 1014: jmp 1000
    const std::vector<u64> places = {2'500, 4'000, 9'500, 13'007, 29'990, 30'000};
    std::map<u64, u64> hashes;
    const auto straight = machine_with(code);
    for (const u64 place : places) {
        straight->run({kNever, place});
        hashes[place] = straight->hash();
    }
    const auto machine = machine_with(code);
    int forgotten = 0, changed = 0;
    machine->cpu().set_engine([&](Context& context, Interpreter& interpreter) {
        return std::make_unique<WatchedEngine>(engine(context, interpreter), forgotten, changed);
    });
    TimelineLimits limits;
    limits.spacing = 1'200;
    limits.ladder_spacing = 400;
    Timeline timeline(*machine, limits);
    timeline.run({kNever, places.back()});
    const int by_itself = changed;
    for (const u64 place : {4'000, 29'990, 2'500, 13'007, 9'500, 2'500, 30'000}) {
        ASSERT_TRUE(timeline.go_to(place).ok());
        EXPECT_EQ(machine->hash(), hashes[place]) << place;
    }
    EXPECT_GT(changed, by_itself) << "the way back changes code, too";
    EXPECT_EQ(forgotten, 0) << "what is the same stays decoded";
}

} // namespace

TEST(Timeline, GoesBackOverCodeThatChangesItself) {
    go_back_over_code_that_changes_itself(
        [](Context& context, Interpreter&) { return std::make_unique<BlockEngine>(context); });
}

TEST(Timeline, GoesBackOverTranslatedCodeThatChangesItself) {
    if (const EngineFactory translator = test::eager_translator())
        go_back_over_code_that_changes_itself(translator);
}

// How long the way back may take decides where checkpoints lie, and that alone.
TEST(Timeline, LaysCheckpointsTheFartherApartTheFasterTheMachineRuns) {
    const std::vector<u8> code = {0x43, 0xEB, 0xFD}; // inc ebx; jmp back
    std::vector<u64> hashes;
    for (const auto& [picoseconds, expected] :
         {std::pair(4'000, 2'500), std::pair(250, 40'000), std::pair(1, 80'000)}) {
        const auto machine = machine_with(code);
        TimelineLimits limits;
        limits.spacing = 10'000;
        limits.near = 10'000'000;
        limits.way = 10'000;
        limits.clock = [&] { return machine->instructions() * picoseconds / 1'000; };
        Timeline timeline(*machine, limits);
        timeline.run({kNever, 2'000'000});
        const auto last = std::prev(timeline.present().checkpoints.end());
        EXPECT_NEAR(last->first.instructions - std::prev(last)->first.instructions, expected, expected / 50)
            << picoseconds << " ps an instruction; 80,000 are eight times what is usual, which is the most";
        ASSERT_TRUE(timeline.go_to(1'234'567).ok());
        hashes.push_back(machine->hash());
    }
    EXPECT_EQ(hashes[0], hashes[1]);
    EXPECT_EQ(hashes[0], hashes[2]);
}

// The firmware copies the kernel by string instructions: few instructions, and most of the time until the kernel runs.
TEST(Timeline, CountsCyclesWhereInstructionsTakeMany) {
    GuestMachine guest(kTimelineWorkload);
    Timeline timeline(*guest.machine);
    timeline.run({kNever, 700'000});
    const auto& all = timeline.present().checkpoints;
    ASSERT_GE(all.size(), 2u);
    for (auto at = std::next(all.begin()); at != all.end(); ++at) {
        EXPECT_LT(at->first.instructions, 100'000u) << "the firmware's";
        EXPECT_GE(at->second->busy - std::prev(at)->second->busy, 4 * TimelineLimits().spacing);
    }
    EXPECT_LT(timeline.position().cycle - all.rbegin()->first.cycle, 8 * TimelineLimits().spacing);
    const u64 hash = guest.machine->hash();
    ASSERT_TRUE(timeline.go_to(std::prev(all.end(), 2)->first).ok());
    ASSERT_TRUE(timeline.go_to(timeline.end()).ok());
    EXPECT_EQ(guest.machine->hash(), hash);
}

// Observers' states are the larger part of it. The heap's own account is the judge.
TEST(Timeline, StaysBelowItsLimitWithAllThatCheckpointsTake) {
    constexpr u64 kLimit = u64{24} << 20;
    Watched watched({embedded_kernel_names().front()}, EngineKind::Block, "run=forkstorm 400");
    TimelineLimits limits;
    limits.bytes = kLimit;
    limits.spacing = 300'000;
    limits.near = 6'000'000;
    limits.far_spacing = 3'000'000;
    auto timeline = std::make_unique<Timeline>(watched.machine(), limits);
    while (watched.machine().instructions() < 30'000'000) {
        timeline->run({kNever, watched.machine().instructions() + limits.spacing});
        ASSERT_LE(timeline->bytes(), kLimit);
    }
    EXPECT_EQ(timeline->beginning().instructions, 0u) << "coarser, not shorter";
    const u64 counted = timeline->bytes();
    EXPECT_GT(counted, kLimit / 2);
    const u64 in_use = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    ASSERT_TRUE(timeline->go_to(15'000'000).ok());
    ASSERT_TRUE(timeline->go_to(timeline->end()).ok());
    ASSERT_LE(timeline->bytes(), kLimit) << "with what was laid on the way";
    const u64 with = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    const u64 kept = timeline->bytes();
    timeline.reset();
    watched.tracer->restore(nullptr); // it goes on with a part of them
    const u64 freed = with - (::mallinfo2().uordblks + ::mallinfo2().hblkhd);
    if (in_use == 0)
        return; // a sanitizer's heap keeps no account
    EXPECT_GT(kept, freed * 85 / 100);
    EXPECT_LT(kept, freed * 115 / 100);
}

// Checkpoints are forgotten where they lie too close; what they knew of stores must not be.
TEST(Timeline, KnowsInWhichStretchesAFrameWasWritten) {
    constexpr u64 kWindow = 10'000, kEnd = 600'000;
    GuestMachine straight(kTimelineWorkload);
    PhysicalMemory& memory = straight.machine->mmu().memory();
    std::map<u64, std::vector<u64>> written; // windows by frame
    for (u64 at = kWindow; at <= kEnd; at += kWindow) {
        const u32 epoch = memory.begin_epoch();
        while (straight.machine->instructions() < at)
            straight.machine->run({kNever, at});
        for (u64 frame = 0; frame < memory.frame_count(); ++frame)
            if (memory.written_since(frame, epoch))
                written[frame].push_back(at - kWindow);
    }
    GuestMachine guest(kTimelineWorkload);
    TimelineLimits limits;
    limits.spacing = 7'000;
    limits.near = 60'000;
    limits.far_spacing = 90'000;
    Timeline timeline(*guest.machine, limits);
    while (guest.machine->instructions() < kEnd)
        timeline.run({kNever, kEnd});
    ASSERT_LT(timeline.checkpoint_count(), kEnd / limits.spacing / 2) << "some were forgotten";
    std::size_t stretches = 0;
    for (const auto& [frame, windows] : written) {
        std::vector<Timeline::Stretch> found;
        for (auto at = timeline.writes_before(timeline.position(), frame); at;
             at = timeline.writes_before(at->begin, frame))
            found.push_back(*at);
        stretches += found.size();
        for (const u64 window : windows)
            EXPECT_TRUE(std::any_of(found.begin(), found.end(),
                                    [&](const Timeline::Stretch& one) {
                                        return one.begin.instructions < window + kWindow &&
                                               one.end.instructions > window;
                                    }))
                << "frame " << frame << " in instructions from " << window;
    }
    EXPECT_LT(stretches, written.size() * timeline.checkpoint_count() / 2) << "not all are named for each frame";
}

TEST(Timeline, EveryWayToAPlaceGivesTheSameBytes) {
    Random random(41);
    const std::vector<TimelineChoice> choices = timeline_choices();
    for (int round = 0; round < 50 && !::testing::Test::HasFatalFailure(); ++round)
        check_ways_to_a_place(choices[random.below(choices.size())], random);
}

// gdb's threads, say, where a recording is opened before gdb comes: of what was before, they know nothing.
TEST(Timeline, GoesBackToBeforeAnObserverCame) {
    struct Counter {
        struct State {
            u32 count = 0;
            void serialize(Archive& ar) { ar.field("count", count); }
        };
        State state() const { return now; }
        void restore(const State* state) { now = state != nullptr ? *state : State{}; }
        State now;
    } counter;
    GuestMachine guest(kTimelineWorkload);
    Timeline timeline(*guest.machine);
    timeline.run({kNever, 2'000});
    guest.machine->add_checkpoint_part(checkpoint_part("counter", 1, counter));
    counter.now.count = 7;
    timeline.run({kNever, 2'000'000});
    ASSERT_TRUE(timeline.go_to(1'000).ok());
    EXPECT_EQ(counter.now.count, 0u);
    counter.now.count = 5;
    ASSERT_TRUE(timeline.go_to(timeline.present().checkpoints.rbegin()->first).ok());
    EXPECT_EQ(counter.now.count, 7u);
}

} // namespace forkscope
