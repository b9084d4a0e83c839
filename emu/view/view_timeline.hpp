// Owns: TimelineView, what a face shows of a session's history, and TimelineMarks, which remembers it.
// Callers: the faces that go both ways. Promises: plain copies; the marks of what comes after the machine's position
// stay, though the tracer does not know them in the past; memory is bounded, and then marks become sparser.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "emu/machine/timeline/timeline.hpp"
#include "emu/observe/forks/fork_tracer.hpp"

namespace forkscope {

// A moment that one may want to go to.
struct TimelineMark {
    u64 instructions = 0; // the position behind which it shows
    u64 fork = 0;
    u32 stop = 0;    // of the fork; 0: a page fault
    u32 address = 0; // of the fault

    std::string text() const;
};

struct TimelineView {
    struct Branch {
        u32 id = 0, parent = 0;
        u64 from = 0, end = 0; // in instructions
    };

    bool kept = false; // else there is no way back, and nothing below
    Position beginning, now, end;
    bool in_past = false;
    u32 branch = 0; // the present one
    std::vector<Branch> branches;
    std::vector<TimelineMark> stops, faults; // in order; where they crowd, some stand for all
};

class TimelineMarks {
  public:
    // Takes over what the tracer, which may be null, knows now.
    void look(const Timeline& timeline, const ForkTracer* tracer);
    TimelineView view(const Timeline& timeline) const;

  private:
    struct OfBranch {
        std::map<u64, TimelineMark> stops, faults;
        u64 seen = 0; // instructions up to which forks that had ended were looked at
    };
    std::map<u32, OfBranch> branches_;
};

} // namespace forkscope
