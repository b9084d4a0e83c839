// Owns: sinks that only tests want: a filter and a counter.
// Callers: tests of observers and traces. Promises: events pass in order and unchanged.
#pragma once

#include <array>
#include <functional>
#include <numeric>

#include "emu/base/trace.hpp"

namespace forkscope {

// Passes on only the events that the predicate accepts.
class FilterSink : public TraceSink {
  public:
    using Predicate = std::function<bool(const TraceEvent&)>;
    FilterSink(TraceSink& target, Predicate accepts) : target_(target), accepts_(std::move(accepts)) {}
    void on_event(const TraceEvent& event) override {
        if (accepts_(event))
            target_.on_event(event);
    }

  private:
    TraceSink& target_;
    Predicate accepts_;
};

// How many events of each kind there were.
class EventCounts : public TraceSink {
  public:
    void on_event(const TraceEvent& event) override { ++counts_[static_cast<u8>(event.kind)]; }
    u64 of(TraceKind kind) const { return counts_[static_cast<u8>(kind)]; }
    u64 total() const { return std::accumulate(counts_.begin(), counts_.end(), u64{0}); }

  private:
    std::array<u64, 256> counts_{};
};

} // namespace forkscope
