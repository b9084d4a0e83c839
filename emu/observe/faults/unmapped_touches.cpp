#include "emu/observe/faults/unmapped_touches.hpp"

namespace forkscope {

namespace {

u64 place_of(bool is_port, u64 address) { return is_port ? address | u64{1} << 63 : address >> kPageShift; }

} // namespace

void UnmappedTouch::serialize(Archive& ar) {
    ar.field("is_port", is_port);
    ar.field("address", address);
    ar.field("reads", reads);
    ar.field("writes", writes);
    ar.field("eip", eip);
    ar.field("address_space", address_space);
    ar.field("instructions", instructions);
}

void UnmappedTouches::State::serialize(Archive& ar) {
    ar.sequence("places", places, kMostPlaces);
    ar.field("further", further);
}

void UnmappedTouches::unanswered(BusAccess access, u64 address) {
    const bool is_port = access == BusAccess::ReadPort || access == BusAccess::WritePort;
    const bool writes = access == BusAccess::WritePort || access == BusAccess::WriteMemory;
    const u64 place = place_of(is_port, address);
    auto found = index_.find(place);
    if (found == index_.end()) {
        if (state_.places.size() == kMostPlaces) {
            ++state_.further;
            return;
        }
        const Moment now = now_();
        found = index_.emplace(place, state_.places.size()).first;
        state_.places.push_back({.is_port = is_port,
                                 .address = address,
                                 .eip = now.eip,
                                 .address_space = now.address_space,
                                 .instructions = now.instructions});
    }
    UnmappedTouch& touch = state_.places[found->second];
    ++(writes ? touch.writes : touch.reads);
}

void UnmappedTouches::restore(const State* state) {
    state_ = state != nullptr ? *state : State{};
    index_.clear();
    for (std::size_t i = 0; i < state_.places.size(); ++i)
        index_.emplace(place_of(state_.places[i].is_port, state_.places[i].address), i);
}

} // namespace forkscope
