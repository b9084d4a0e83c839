// Owns: the ways to a place of a run, compared: straight, run past and back, back and forward again, on the other
// engine. Callers: the timeline's tests. Promises: what is compared is the saved bytes, observers' included, and the
// events.
#pragma once

#include <vector>

#include "guest_machine.hpp"

#include "emu/base/random.hpp"

namespace forkscope {

inline constexpr const char* kTimelineWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";

struct TimelineChoice {
    std::string os;
    CpuModel cpu = CpuModel::P6;
    TlbStudy tlb = TlbStudy::Model;
    CostModelKind clock = CostModelKind::Flat;

    std::string text() const;
};

// Each of --cpu, --tlb and --clock, with one system or with each.
std::vector<TimelineChoice> timeline_choices(const std::string& os);
std::vector<TimelineChoice> timeline_choices();

// Two places at random, with keys and serial bytes on the way. Fails the test at the first difference.
void check_ways_to_a_place(const TimelineChoice& choice, Random& random);

} // namespace forkscope
