// Owns: SinkList, several observers at once, and FilteredSink, one that is not told of all.
// Callers: code that attaches observers to a machine. Promises: events pass in order and unchanged.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "emu/base/trace.hpp"

namespace forkscope {

// Broadcasts to every sink in the order of adding. A sink may be added or removed between events only.
class SinkList : public TraceSink {
  public:
    void add(TraceSink& sink) { sinks_.push_back({&sink, sink.kinds()}); }
    void remove(TraceSink& sink) {
        std::erase_if(sinks_, [&](const Listening& one) { return one.sink == &sink; });
    }
    bool empty() const { return sinks_.empty(); }
    // What any of them wants; attach the list again after adding or removing, or when one wants others.
    TraceKinds kinds() const override {
        TraceKinds all = 0;
        for (Listening& one : sinks_)
            all |= one.kinds = one.sink->kinds();
        return all;
    }
    TraceKinds looks_at() const override {
        TraceKinds all = 0;
        for (const Listening& one : sinks_)
            all |= one.sink->looks_at();
        return all;
    }
    void on_event(const TraceEvent& event) override {
        for (const Listening& one : sinks_)
            if (((one.kinds >> static_cast<u8>(event.kind)) & 1) != 0)
                one.sink->on_event(event);
    }

  private:
    struct Listening {
        TraceSink* sink;
        TraceKinds kinds; // as it said when it was asked last
    };
    mutable std::vector<Listening> sinks_;
};

// Passes on what a sink wants of some kinds, while it is open.
class FilteredSink final : public TraceSink {
  public:
    FilteredSink(TraceSink& sink, TraceKinds kinds, std::function<bool()> open = {})
        : sink_(sink), kinds_(kinds), open_(std::move(open)) {}
    TraceKinds kinds() const override { return sink_.kinds() & kinds_; }
    TraceKinds looks_at() const override { return sink_.looks_at() & kinds_; }
    void on_event(const TraceEvent& event) override {
        if (!open_ || open_())
            sink_.on_event(event);
    }

  private:
    TraceSink& sink_;
    TraceKinds kinds_;
    std::function<bool()> open_;
};

} // namespace forkscope
