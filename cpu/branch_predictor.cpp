#include "cpu/branch_predictor.hpp"

namespace forkscope {

namespace {
constexpr u8 kValid = 4;
}

bool BranchPredictor::foretold(u32 at, bool taken, u32 target) {
    const u32 set = at % kSets;
    for (u32 entry = set * kWays; entry < (set + 1) * kWays; ++entry) {
        u8& counter = counter_[entry];
        if ((counter & kValid) == 0 || address_[entry] != at)
            continue;
        const u8 strength = counter & kStronglyTaken;
        const bool right = strength >= kWeaklyTaken ? taken && target_[entry] == target : !taken;
        if (taken) {
            counter = static_cast<u8>(kValid | (strength < kStronglyTaken ? strength + 1 : strength));
            target_[entry] = target;
        } else {
            counter = static_cast<u8>(kValid | (strength > 0 ? strength - 1 : 0));
        }
        return right;
    }
    if (!taken)
        return true;
    const u32 entry = set * kWays + next_way_[set];
    next_way_[set] = static_cast<u8>((next_way_[set] + 1) % kWays);
    address_[entry] = at;
    target_[entry] = target;
    counter_[entry] = kValid | kStronglyTaken;
    return false;
}

void BranchPredictor::serialize(Archive& ar) {
    ar.field("address", address_);
    ar.field("target", target_);
    ar.field("counter", counter_);
    ar.field("next_way", next_way_);
    if (!ar.loading())
        return;
    bool fits = true;
    for (const u8 way : next_way_)
        fits &= way < kWays;
    for (const u8 counter : counter_)
        fits &= counter < 2 * kValid;
    if (!fits)
        ar.fail("the branch target buffer holds impossible values");
}

} // namespace forkscope
