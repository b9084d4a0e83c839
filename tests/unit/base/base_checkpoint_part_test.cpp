// What an observer gives to a checkpoint: a state of its own that comes back, or word that there is none.
#include <gtest/gtest.h>

#include "emu/base/checkpoint_part.hpp"

namespace forkscope {
namespace {

struct Counter {
    struct State {
        u64 seen = 0;
        void serialize(Archive& ar) { ar.field("seen", seen); }
    };
    State state() const { return {seen}; }
    void restore(const State* kept) {
        whole = kept != nullptr;
        seen = kept != nullptr ? kept->seen : 0;
    }
    u64 seen = 0;
    bool whole = true;
};

TEST(CheckpointPart, KeepsItsStateApartFromItsOwner) {
    Counter counter;
    const CheckpointPart part = checkpoint_part("counter", 1, counter);
    counter.seen = 5;
    const auto kept = part.save();
    counter.seen = 9;
    part.restore(kept.get());
    EXPECT_EQ(counter.seen, 5u);
    EXPECT_TRUE(counter.whole);
}

TEST(CheckpointPart, ComesBackFromASection) {
    Counter counter;
    counter.seen = 7;
    const CheckpointPart part = checkpoint_part("counter", 1, counter);
    SaveArchive save;
    part.save()->serialize(save);
    const std::vector<u8> section = save.take();
    counter.seen = 0;
    const auto loaded = part.make();
    LoadArchive load(section);
    loaded->serialize(load);
    ASSERT_TRUE(load.finish().ok());
    EXPECT_EQ(counter.seen, 0u) << "reading a section alone touches nobody";
    part.restore(loaded.get());
    EXPECT_EQ(counter.seen, 7u);
}

TEST(CheckpointPart, TellsItsOwnerThatASnapshotHasNone) {
    Counter counter;
    counter.seen = 3;
    checkpoint_part("counter", 1, counter).restore(nullptr);
    EXPECT_FALSE(counter.whole);
    EXPECT_EQ(counter.seen, 0u);
}

} // namespace
} // namespace forkscope
