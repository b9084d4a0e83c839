// Order, cancellation and snapshots of the event queue.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "emu/base/event_queue.hpp"
#include "emu/base/random.hpp"

namespace forkscope {
namespace {

TEST(EventQueue, BreaksTiesByTheOrderOfScheduling) {
    EventQueue queue;
    queue.schedule(10, 3, 0);
    queue.schedule(10, 1, 0);
    queue.schedule(5, 9, 0);
    queue.schedule(10, 2, 0);
    std::vector<u32> owners;
    for (Event event; queue.pop_due(10, event);)
        owners.push_back(event.owner);
    EXPECT_EQ(owners, (std::vector<u32>{9, 3, 1, 2}));
    EXPECT_EQ(queue.next(), kNever);
}

TEST(EventQueue, KeepsOneEventForEachOwnerAndPurpose) {
    EventQueue queue;
    queue.schedule(10, 1, 7);
    queue.schedule(20, 1, 7);
    queue.schedule(15, 1, 8);
    EXPECT_EQ(queue.next(), 15u);
    Event event;
    EXPECT_FALSE(queue.pop_due(14, event));
    EXPECT_TRUE(queue.pop_due(15, event));
    EXPECT_EQ(event.what, 8u);
    queue.cancel(1, 7);
    EXPECT_EQ(queue.next(), kNever);
}

TEST(EventQueue, AgreesWithAMapOnRandomUse) {
    EventQueue queue;
    std::map<std::pair<u32, u32>, std::pair<Cycles, u64>> model;
    Random random(6);
    Cycles now = 0;
    for (u64 step = 0; step < 20000; ++step) {
        const u32 owner = static_cast<u32>(random.below(5)), what = static_cast<u32>(random.below(3));
        if (random.chance(4)) {
            queue.cancel(owner, what);
            model.erase({owner, what});
        } else if (random.chance(2)) {
            const Cycles when = now + random.below(20);
            queue.schedule(when, owner, what);
            model[{owner, what}] = {when, step};
        } else {
            now += random.below(5);
            for (Event event; queue.pop_due(now, event);) {
                const auto first = std::min_element(model.begin(), model.end(),
                                                    [](const auto& a, const auto& b) { return a.second < b.second; });
                ASSERT_NE(first, model.end());
                ASSERT_EQ(first->first, std::make_pair(event.owner, event.what));
                ASSERT_EQ(first->second.first, event.when);
                model.erase(first);
            }
        }
        Cycles next = kNever;
        for (const auto& [key, value] : model)
            next = std::min(next, value.first);
        ASSERT_EQ(queue.next(), next);
    }
}

TEST(EventQueue, GoesOnAfterASnapshotWithTheSameTieBreaks) {
    EventQueue queue, other;
    queue.schedule(10, 1, 0);
    queue.schedule(10, 2, 0);
    SaveArchive save;
    queue.serialize(save);
    const std::vector<u8> bytes = save.take();
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_TRUE(load.finish().ok());
    queue.schedule(10, 3, 0);
    other.schedule(10, 3, 0);
    for (Event a, b; queue.pop_due(10, a);) {
        ASSERT_TRUE(other.pop_due(10, b));
        EXPECT_EQ(a.owner, b.owner);
        EXPECT_EQ(a.sequence, b.sequence);
    }
}

TEST(EventQueue, RefusesASnapshotOutOfOrder) {
    class Disordered {
      public:
        void serialize(Archive& ar) {
            std::vector<Event> events = {Event{20, 0, 1, 0}, Event{10, 1, 2, 0}};
            u64 sequence = 2;
            ar.sequence("events", events, 10);
            ar.field("sequence", sequence);
        }
    } wrong;
    SaveArchive save;
    wrong.serialize(save);
    const std::vector<u8> bytes = save.take();
    EventQueue queue;
    LoadArchive load(bytes);
    queue.serialize(load);
    EXPECT_FALSE(load.finish().ok());
}

} // namespace
} // namespace forkscope
