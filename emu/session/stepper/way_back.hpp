// Owns: the ways back along a timeline: one step, and to the last moment at which something was met.
// Callers: Stepper, GdbStub. Promises: backwards and forwards, the same stops are met, for the way back
// is searched by running forwards; a search can be left after each interval of the timeline.
#pragma once

#include <functional>
#include <optional>

#include "emu/machine/timeline/timeline.hpp"

namespace forkscope {

// A step as one sees it, up to a position at most: sleep is one, however long.
void step_forward(Timeline& timeline, const Machine& machine, Position most);

// To the position before this one: one instruction back, or one delivery. False: this is the beginning.
Result<bool> step_back(Timeline& timeline, Machine& machine);

class WayBack {
  public:
    // Whether a stop means that it was met: at this position, or by the instruction that led here.
    enum class Met : u8 { No, Here, ByTheLastInstruction };
    using Look = std::function<Met(const StopReason& reason)>;
    enum class Progress : u8 { Searching, Found, AtBeginning, Interrupted };

    // How the machine is run through an interval; empty: as its timeline does it.
    using Run = std::function<StopReason(const RunLimit&)>;

    // From where the machine is, which does not count.
    WayBack(Timeline& timeline, Machine& machine, Look look, Run run = {}, std::function<bool()> interrupted = {});

    // Looks through one interval. Found: the machine is there; before the instruction by which it was met.
    Result<Progress> search();
    // From here on all was looked through, but where it began.
    Position searched() const { return end_; }
    // Back to where it began.
    Result<void> give_up() { return timeline_.go_to(origin_); }

  private:
    Result<Progress> settle();
    // False: interrupted.
    bool look_through(Position end);
    void note(Met met);

    Timeline& timeline_;
    Machine& machine_;
    Look look_;
    Run run_;
    std::function<bool()> interrupted_;
    Position origin_;
    Position end_; // everything behind it was looked through
    std::optional<Position> found_;
    bool by_instruction_ = false;
};

} // namespace forkscope
