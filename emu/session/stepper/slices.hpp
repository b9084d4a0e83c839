// Owns: Slices, how far a long way goes before somebody is asked whether to go on.
// Callers: the stepper and its ways back. Promises: asked about every 20 ms of the host's time, whatever a cycle costs
// it; the guest cannot tell where slices end.
#pragma once

#include <algorithm>
#include <chrono>

#include "emu/base/types.hpp"

namespace forkscope {

class Slices {
  public:
    explicit Slices(u64 cycles_per_second) : most_(std::max<Cycles>(1, cycles_per_second / 50)) {}

    // How many cycles the next one takes.
    Cycles next() {
        const auto now = std::chrono::steady_clock::now();
        if (began_ != Time{} && now - began_ > kTime)
            cycles_ = std::max<Cycles>(1, cycles_ / 4);
        else if (began_ != Time{} && now - began_ < kTime / 2)
            cycles_ = std::min(most_, cycles_ * 2);
        began_ = now;
        return std::min(most_, cycles_);
    }

  private:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::milliseconds kTime{20};

    Cycles most_;
    Cycles cycles_ = 2'000; // where each instruction is looked at, they take a millisecond or so
    Time began_{};
};

} // namespace forkscope
