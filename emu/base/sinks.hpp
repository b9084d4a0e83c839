// Owns: the small sinks: several observers at once (SinkList), a filter, a counter.
// Callers: whoever attaches observers to a machine. Promises: events pass in order and unchanged.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "emu/base/trace.hpp"

namespace forkscope {

// Broadcasts to every sink in the order of adding. A sink may be added or removed between events only.
class SinkList : public TraceSink {
  public:
    void add(TraceSink& sink) { sinks_.push_back(&sink); }
    void remove(TraceSink& sink) { std::erase(sinks_, &sink); }
    bool empty() const { return sinks_.empty(); }
    // What any of them wants; attach the list again after adding or removing.
    TraceKinds kinds() const override {
        TraceKinds all = 0;
        for (const TraceSink* sink : sinks_)
            all |= sink->kinds();
        return all;
    }
    void on_event(const TraceEvent& event) override {
        for (TraceSink* sink : sinks_)
            if (((sink->kinds() >> static_cast<u8>(event.kind)) & 1) != 0)
                sink->on_event(event);
    }

  private:
    std::vector<TraceSink*> sinks_;
};

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
    u64 total() const;

  private:
    std::array<u64, 256> counts_{};
};

} // namespace forkscope
