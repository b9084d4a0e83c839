// Owns: the small sinks: several observers at once (SinkList), the last events (LastEvents), a filter, a counter.
// Callers: machine, cli, ui, tests. Promises: events pass in order and unchanged; LastEvents never allocates after
// construction, so that an assert dump may read it.
#pragma once

#include <array>
#include <functional>
#include <string>
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

// The last `capacity` events but for translations, for assert dumps and crash reports.
class LastEvents : public TraceSink {
  public:
    explicit LastEvents(std::size_t capacity = 256) : ring_(capacity == 0 ? 1 : capacity) {}
    TraceKinds kinds() const override { return ~kTranslationKinds; }
    void on_event(const TraceEvent& event) override { ring_[seen_++ % ring_.size()] = event; }
    u64 seen() const { return seen_; }
    // Oldest first.
    std::vector<TraceEvent> events() const;
    // One line an event, as `trace dump` prints them.
    std::string text() const;

  private:
    std::vector<TraceEvent> ring_;
    u64 seen_ = 0;
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
