// Owns: VirtualClock, the only clock of the guest, and EventQueue, what is to happen at which cycle.
// Callers: the Machine moves the clock; devices schedule through their Wiring. Promises: plain data, ordered by
// (when, sequence number), so that ties are broken the same way in every run; both serialise.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

class VirtualClock {
  public:
    Cycles now() const { return now_; }
    void set(Cycles cycle) {
        EMU_ASSERT(cycle >= now_, "the clock would run backwards from {} to {}", now_, cycle);
        now_ = cycle;
    }
    void serialize(Archive& ar) { ar.field("now", now_); }

  private:
    Cycles now_ = 0;
};

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
