// Owns: EventQueue, what is to happen at which cycle of the guest's only clock, the Cpu's retired cost.
// Callers: devices schedule through their Wiring; the Machine takes what is due. Promises: plain data, ordered by
// (when, sequence number), so that ties are broken the same way in every run; serialises.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// What is to happen, as plain data: `owner` says which handler (a device's number), `what` is the handler's own word.
struct Event {
    Cycles when = 0;
    u64 sequence = 0;
    u32 owner = 0;
    u32 what = 0;

    bool operator<(const Event& other) const {
        return when != other.when ? when < other.when : sequence < other.sequence;
    }
    void serialize(Archive& ar);
};

class EventQueue {
  public:
    // At most one event per (owner, what): scheduling again moves it.
    void schedule(Cycles when, u32 owner, u32 what);
    void cancel(u32 owner, u32 what);
    // When the first event is due; kNever if there is none.
    Cycles next() const { return events_.empty() ? kNever : events_.front().when; }
    // Takes the first event if it is due at or before `now`.
    bool pop_due(Cycles now, Event& event);
    void clear() { events_.clear(); }
    void serialize(Archive& ar);

  private:
    std::vector<Event> events_; // sorted; a machine has about ten
    u64 sequence_ = 0;
};

} // namespace forkscope
