#include "emu/observe/sinks.hpp"

#include <algorithm>

#include "emu/observe/trace_text.hpp"

namespace forkscope {

std::vector<TraceEvent> LastEvents::events() const {
    const u64 kept = std::min<u64>(seen_, ring_.size());
    std::vector<TraceEvent> events;
    events.reserve(kept);
    for (u64 i = seen_ - kept; i < seen_; ++i)
        events.push_back(ring_[i % ring_.size()]);
    return events;
}

std::string LastEvents::text() const {
    std::string text;
    for (const TraceEvent& event : events())
        text += trace_event_line(event) + "\n";
    return text;
}

u64 EventCounts::total() const {
    u64 total = 0;
    for (u64 count : counts_)
        total += count;
    return total;
}

} // namespace forkscope
