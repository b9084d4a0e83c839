#include "cpu/cost/branch_predictor.hpp"

namespace forkscope {

bool BranchPredictor::enter(u32 at, u32 target) {
    const u32 set = at % kSets;
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
