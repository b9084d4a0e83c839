// Owns: the branch target buffer: which branches were taken lately, and their targets. Callers: CostMeter, where the
// cost model predicts. Promises: part of the machine's state; 256 entries, 4 ways, two-bit counters (AP-500); an entry
// comes in when its branch is first taken. The manuals do not say how a way is chosen: here in turn.
#pragma once

#include <array>

#include "emu/base/archive.hpp"

namespace forkscope {

class BranchPredictor {
  public:
    // A branch at `at` (linear) went to `target`, or fell through. Was that predicted?
    bool predicted(u32 at, bool taken, u32 target) {
        const u32 set = at % kSets * kWays;
        for (u32 entry = set; entry < set + kWays; ++entry)
            if (address_[entry] == at && (counter_[entry] & kValid) != 0) [[likely]]
                return known(entry, taken, target);
        return !taken || enter(at, target);
    }
    void reset() { *this = BranchPredictor(); }
    void serialize(Archive& ar);

  private:
    static constexpr u32 kSets = 64, kWays = 4;
    static constexpr u8 kStronglyTaken = 3, kWeaklyTaken = 2, kValid = 4;

    bool known(u32 entry, bool taken, u32 target) {
        const u8 strength = counter_[entry] & kStronglyTaken;
        const bool right = strength >= kWeaklyTaken ? taken && target_[entry] == target : !taken;
        const int moved = strength + (taken ? 1 : -1);
        if (moved >= 0 && moved <= kStronglyTaken)
            counter_[entry] = static_cast<u8>(kValid | moved);
        if (taken)
            target_[entry] = target;
        return right;
    }
    bool enter(u32 at, u32 target); // false

    std::array<u32, kSets * kWays> address_{}; // set-major
    std::array<u32, kSets * kWays> target_{};
    std::array<u8, kSets * kWays> counter_{}; // 0 to 3, + 4 where the entry is valid
    std::array<u8, kSets> next_way_{};
};

} // namespace forkscope
