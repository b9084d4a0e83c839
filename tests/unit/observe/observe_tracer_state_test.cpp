// The tracer's state as a value: kept, written down, read and put back, it goes on as if nothing had been.
#include <cstdlib>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "observe_fork_scene.hpp"

namespace forkscope::testing {
namespace {

std::vector<u8> bytes_of(const ForkTracer& tracer) {
    ForkTracer::State state = tracer.state();
    SaveArchive ar;
    state.serialize(ar);
    return ar.take();
}

std::string differences(const ForkTracer& tracer, const std::vector<u8>& expected) {
    ForkTracer::State state = tracer.state();
    DiffArchive ar(expected);
    state.serialize(ar);
    std::string text;
    for (const std::string& line : ar.differences())
        text += line + "\n";
    return text;
}

// Two tracers that hear the same.
struct Both : TraceSink {
    Both(ForkTracer& first, ForkTracer& second) : one(first), other(second) {}
    void on_event(const TraceEvent& event) override {
        one.on_event(event);
        other.on_event(event);
    }
    ForkTracer &one, &other;
};

void expect_equal(const ForkTracer& tracer, const ForkTracer& other) {
    EXPECT_EQ(differences(tracer, bytes_of(other)), "");
    EXPECT_EQ(bytes_of(tracer), bytes_of(other));
}

// A tracer that was made from what another one wrote.
std::unique_ptr<ForkTracer> reborn(const ForkScene& scene) {
    const std::vector<u8> bytes = bytes_of(*scene.tracer);
    ForkTracer::State state;
    LoadArchive ar(bytes);
    state.serialize(ar);
    EXPECT_TRUE(ar.finish().ok()) << ar.finish().error().message;
    auto other = scene.another_tracer();
    other->restore(&state);
    return other;
}

void show_all(const ForkTracer& tracer) {
    for (const ForkRecord& fork : tracer.forks()) {
        (void)document_text(fork_document(fork));
        (void)document_json(fork_document(fork));
    }
    (void)document_text(fork_tree_document(tracer.forks()));
}

// Events of any kind, on a few addresses, so that they meet.
class AnyEvents {
  public:
    explicit AnyEvents(ForkScene& scene)
        : scene_(scene), frames_{scene.parent, scene.frame(), scene.frame(), 0, 0xFFFFF000u, 0x00A00000u} {}
    void emit(Random& random) {
        const auto any = [&] {
            return random.below(3) == 0 ? random.below(~u64{0}) : frames_[random.below(6)] + random.below(4) * 4;
        };
        const auto kind = static_cast<TraceKind>(random.below(static_cast<u64>(TraceKind::Count)));
        scene_.cpl = static_cast<u8>(random.below(4));
        scene_.cr3 = frames_[random.below(6)];
        if (random.below(8) == 0)
            scene_.stack_pointer = static_cast<u32>(any());
        const u64 first = kind == TraceKind::Tracepoint ? 0x10 + random.below(0x30) : any();
        const bool pids = kind == TraceKind::Tracepoint && random.below(2) == 0;
        const u64 second = pids ? 3 + random.below(4) : any();
        const u64 third = kind == TraceKind::InterruptReturn ? random.below(4) : pids ? random.below(6) : any();
        scene_.emit(kind, first, second, third, any());
    }

  private:
    ForkScene& scene_;
    std::array<u32, 6> frames_;
};

} // namespace

TEST(TracerState, ComesBackInTheMiddleOfAFork) {
    ForkScene scene(4);
    scene.start();
    scene.fork(scene.parent, 3, 4);
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 3, 0, 0);
    scene.tracepoint(TP_FORK_CHILD_SLOT, 3, 5, 0);
    const auto other = reborn(scene);
    ASSERT_NE(other->current(), nullptr);
    EXPECT_EQ(other->current()->number, 2u);
    EXPECT_EQ(other->current()->stops.size(), 2u);
    Both both(*scene.tracer, *other);
    scene.sink = &both;
    scene.tracepoint(TP_FORK_PROTECT, 3, 5);
    scene.write_entry(scene.entry_address(scene.parent, kPages),
                      scene.get(scene.entry_address(scene.parent, kPages)) | kPteAccessed);
    scene.tracepoint(TP_FORK_LEAVE, 3, 5, 5);
    ASSERT_EQ(other->forks().size(), 2u);
    EXPECT_EQ(other->forks().back().ptes.size(), 1u);
    expect_equal(*scene.tracer, *other);
}

TEST(TracerState, KeepsOpenFaultsAndWhoSharesWhat) {
    ForkScene scene(4);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    scene.switch_to(4, child);
    scene.cow_fault(child, 4, kPages);
    scene.fault(kPages + kPageSize, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    const auto other = reborn(scene);
    EXPECT_EQ(other->faults().open_count(), 1u);
    Both both(*scene.tracer, *other);
    scene.sink = &both;
    scene.write_entry(scene.entry_address(child, kPages + kPageSize), scene.fresh(2) | kUserWrite);
    scene.return_to(kWriteInstruction, 3);
    scene.cow_fault(child, 4, kPages + 2 * kPageSize);
    EXPECT_EQ(other->forks().front().cow_faults(), 3u);
    expect_equal(*scene.tracer, *other);
}

// A copy that was kept is not changed by what follows, and can be gone back to as often as one likes.
TEST(TracerState, OfThePastStaysAsItWas) {
    ForkScene scene(4);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    const ForkTracer::State past = scene.tracer->state();
    const std::vector<u8> then = bytes_of(*scene.tracer);
    for (int round = 0; round < 2; ++round) {
        scene.switch_to(4, child);
        scene.fault(kPages, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
        scene.tracepoint(TP_PROCESS_EXIT, 4, 3, 0);
        EXPECT_TRUE(scene.tracer->forks().front().child_ended);
        EXPECT_NE(bytes_of(*scene.tracer), then);
        scene.tracer->restore(&past);
        EXPECT_EQ(bytes_of(*scene.tracer), then);
    }
}

TEST(TracerState, OfNothingIsThatOfANewTracer) {
    ForkScene scene(4);
    const std::vector<u8> fresh = bytes_of(*scene.tracer);
    scene.start();
    scene.fork(scene.parent, 3, 4);
    scene.tracer->restore(nullptr);
    EXPECT_EQ(bytes_of(*scene.tracer), fresh);
    EXPECT_TRUE(scene.tracer->forks().empty());
}

TEST(TracerState, GoesOnAlikeFromAnyPlaceInAnyStream) {
    const u64 rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 2000 : 40;
    for (u64 seed = 1; seed <= rounds; ++seed) {
        ForkScene scene(2);
        scene.start();
        AnyEvents events(scene);
        Random random(seed);
        for (u64 left = random.below(4000); left > 0; --left)
            events.emit(random);
        const auto other = reborn(scene);
        Both both(*scene.tracer, *other);
        scene.sink = &both;
        for (u64 left = random.below(4000); left > 0; --left)
            events.emit(random);
        ASSERT_EQ(differences(*scene.tracer, bytes_of(*other)), "") << "seed " << seed;
        ASSERT_EQ(bytes_of(*scene.tracer), bytes_of(*other)) << "seed " << seed;
    }
}

// What a section holds may be anything: it is refused, or it is a state that can be shown and gone on from.
TEST(TracerState, FromADamagedSectionIsRefusedOrSound) {
    ForkScene scene(4);
    scene.start();
    const u32 child = scene.fork(scene.parent, 3, 4);
    scene.switch_to(4, child);
    scene.cow_fault(child, 4, kPages);
    scene.fault(kPages + kPageSize, kFaultProtection | kFaultWrite | kFaultUser, kWriteInstruction);
    scene.return_to(kWriteInstruction, 3);
    scene.enter_system_call(kForkInstruction);
    scene.tracepoint(TP_FORK_ENTER, 4, 0, 0);
    const std::vector<u8> sound = bytes_of(*scene.tracer);
    Random random(3);
    int refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::vector<u8> bytes = sound;
        for (u64 changes = 1 + random.below(3); changes > 0; --changes)
            bytes[random.below(bytes.size())] =
                static_cast<u8>(random.below(4) == 0 ? random.below(256) : random.below(8));
        ForkTracer::State state;
        LoadArchive ar(bytes);
        state.serialize(ar);
        if (!ar.finish().ok()) {
            ++refused;
            continue;
        }
        const auto tracer = scene.another_tracer();
        tracer->restore(&state);
        show_all(*tracer);
        scene.sink = tracer.get();
        AnyEvents events(scene);
        for (int i = 0; i < 50; ++i)
            events.emit(random);
        show_all(*tracer);
    }
    EXPECT_GT(refused, 500);
    EXPECT_LT(refused, 3000);
}

} // namespace forkscope::testing
