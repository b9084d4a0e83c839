// Owns: SliceLength, how far a run goes before the host's ends, Ctrl-C among them, are looked at.
// Callers: Session::run_to_end(). Promises: a slice takes about 2 ms of the host's time, however slow the guest is to
// simulate, and at most what a fast guest's becomes when it turns slow; the guest cannot tell.
#pragma once

#include <algorithm>
#include <chrono>

#include "emu/base/types.hpp"

namespace forkscope {

class SliceLength {
  public:
    static constexpr std::chrono::nanoseconds kAim = std::chrono::milliseconds(2);

    explicit SliceLength(Cycles longest) : longest_(longest), cycles_(std::max<Cycles>(longest / 64, 1)) {}

    Cycles cycles() const { return cycles_; }
    // Of the last slice.
    void took(std::chrono::nanoseconds time) {
        if (time > 2 * kAim)
            cycles_ = std::max<Cycles>(cycles_ / static_cast<u64>(time / kAim), 1);
        else if (time < kAim / 2)
            cycles_ = std::min(2 * cycles_, longest_);
    }

  private:
    Cycles longest_;
    Cycles cycles_;
};

} // namespace forkscope
