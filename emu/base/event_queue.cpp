#include "emu/base/event_queue.hpp"

#include <algorithm>

namespace forkscope {

void Event::serialize(Archive& ar) {
    ar.field("when", when);
    ar.field("sequence", sequence);
    ar.field("owner", owner);
    ar.field("what", what);
}

void EventQueue::schedule(Cycles when, u32 owner, u32 what) {
    cancel(owner, what);
    const Event event{when, sequence_++, owner, what};
    events_.insert(std::upper_bound(events_.begin(), events_.end(), event), event);
}

void EventQueue::cancel(u32 owner, u32 what) {
    std::erase_if(events_, [=](const Event& event) { return event.owner == owner && event.what == what; });
}

bool EventQueue::pop_due(Cycles now, Event& event) {
    if (events_.empty() || events_.front().when > now)
        return false;
    event = events_.front();
    events_.erase(events_.begin());
    return true;
}

void EventQueue::serialize(Archive& ar) {
    constexpr u64 kMostEvents = 4096;
    ar.sequence("events", events_, kMostEvents);
    ar.field("sequence", sequence_);
    if (ar.loading() && !std::is_sorted(events_.begin(), events_.end()))
        ar.fail("the events are not in order");
}

} // namespace forkscope
