#include "emu/machine/breakpoints.hpp"

#include <algorithm>

namespace forkscope {

u32 OwnedBreakpoints::add(Owner owner, u32 linear) {
    all_.push_back({++last_id_, owner, linear});
    tell();
    return last_id_;
}

bool OwnedBreakpoints::remove(Owner owner, u32 id) {
    const auto removed = std::erase_if(all_, [=](const Breakpoint& one) { return one.owner == owner && one.id == id; });
    if (removed != 0)
        tell();
    return removed != 0;
}

void OwnedBreakpoints::remove_all(Owner owner) {
    if (std::erase_if(all_, [=](const Breakpoint& one) { return one.owner == owner; }) != 0)
        tell();
}

u32 OwnedBreakpoints::first_at(u32 linear) const {
    const auto place =
        std::find_if(all_.begin(), all_.end(), [=](const Breakpoint& one) { return one.linear == linear; });
    return place == all_.end() ? 0 : place->id;
}

void OwnedBreakpoints::set_passed(std::vector<u32> linear_addresses, Passed passed) {
    passed_ = std::move(linear_addresses);
    std::sort(passed_.begin(), passed_.end());
    hears_ = std::move(passed);
    tell();
}

bool OwnedBreakpoints::meet(u32 linear) const {
    if (std::binary_search(passed_.begin(), passed_.end(), linear))
        hears_(linear);
    return first_at(linear) != 0;
}

void OwnedBreakpoints::tell() const {
    std::vector<u32> addresses = passed_;
    for (const Breakpoint& one : all_)
        addresses.push_back(one.linear);
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    changed_(std::move(addresses));
}

} // namespace forkscope
