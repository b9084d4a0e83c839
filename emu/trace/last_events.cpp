#include "emu/trace/last_events.hpp"

#include <algorithm>

#include "emu/trace/trace_text.hpp"

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

} // namespace forkscope
