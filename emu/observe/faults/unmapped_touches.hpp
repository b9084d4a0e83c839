// Owns: UnmappedTouches, what the guest touched where nothing answers: each port and each physical page, when first and
// how often. Callers: the session makes it the Bus's listener for `--info unmapped`. Promises: bounded; an access that
// is run again after the machine was taken back counts once.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "emu/base/checkpoint_part.hpp"
#include "emu/base/trace.hpp"
#include "mmu/bus.hpp"

namespace forkscope {

struct UnmappedTouch {
    bool is_port = false;
    u64 address = 0; // the port, or the first address touched in its page
    u64 reads = 0, writes = 0;
    // The first one.
    u32 eip = 0; // linear
    u32 address_space = 0;
    u64 instructions = 0;

    void serialize(Archive& ar);
};

class UnmappedTouches : public BusListener {
  public:
    static constexpr u64 kMostPlaces = 4096;

    struct State {
        std::vector<UnmappedTouch> places; // in the order of their first touches
        u64 further = 0;                   // accesses to places that found no room
        void serialize(Archive& ar);
        auto held() const { return std::tie(places); }
    };

    explicit UnmappedTouches(std::function<Moment()> now) : now_(std::move(now)) {}

    void unanswered(BusAccess access, u64 address) override;
    State state() const { return state_; }
    void restore(const State* state);
    CheckpointPart checkpoint_part() { return forkscope::checkpoint_part("unmapped", 1, *this); }

  private:
    State state_;
    std::map<u64, std::size_t> index_; // by place
    std::function<Moment()> now_;
};

} // namespace forkscope
