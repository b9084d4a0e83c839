// Owns: LastEvents, the sink that remembers the last events.
// Callers: the session, for assert dumps and crash reports. Promises: never allocates after construction but to answer.
#pragma once

#include <string>
#include <vector>

#include "emu/base/trace.hpp"

namespace forkscope {

// The last `capacity` events but for translations, for assert dumps and crash reports.
class LastEvents : public TraceSink {
  public:
    explicit LastEvents(std::size_t capacity = 256) : ring_(capacity == 0 ? 1 : capacity) {}
    TraceKinds kinds() const override { return ~kTranslationKinds; }
    TraceKinds looks_at() const override { return 0; }
    void on_event(const TraceEvent& event) override {
        ring_[next_] = event;
        next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
        ++seen_;
    }
    u64 seen() const { return seen_; }
    // Oldest first.
    std::vector<TraceEvent> events() const;
    // One line an event, as `trace dump` prints them.
    std::string text() const;

  private:
    std::vector<TraceEvent> ring_;
    std::size_t next_ = 0; // seen_ modulo the ring's size
    u64 seen_ = 0;
};

} // namespace forkscope
