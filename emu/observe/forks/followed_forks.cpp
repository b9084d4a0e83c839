#include "emu/observe/forks/followed_forks.hpp"

#include <algorithm>

namespace forkscope {

namespace {

bool child_left(const ForkRecord& fork, u32 page) { return fork.child_ended || fork.shared.at(page).child_settled; }

} // namespace

const std::set<u64>& FollowedForks::found(const Index& index, u32 key) {
    static const std::set<u64> none;
    const auto place = index.find(key);
    return place == index.end() ? none : place->second;
}

void FollowedForks::erase(Index& index, u32 key, u64 number) {
    const auto place = index.find(key);
    if (place == index.end())
        return;
    place->second.erase(number);
    if (place->second.empty())
        index.erase(place);
}

void FollowedForks::add(u64 number, const ForkStore& forks) {
    const ForkRecord& fork = *forks.find(number);
    order_.emplace(++places_, number);
    by_parent_[fork.parent_directory].insert(number);
    if (fork.parent_pid != 0)
        by_pid_[fork.parent_pid].insert(number);
    add_child(fork);
    for (const auto& [linear, shared] : fork.shared) {
        std::vector<Use>& uses = by_frame_[shared.frame];
        std::erase_if(uses, [&, page = linear](const Use& use) {
            const ForkRecord& earlier = *forks.find(use.fork);
            return use.page == page && earlier.parent_directory == fork.parent_directory && child_left(earlier, page);
        });
        uses.push_back({number, linear});
    }
}

void FollowedForks::add_child(const ForkRecord& fork) {
    by_child_[fork.child_directory].insert(fork.number);
    if (fork.child_pid != 0)
        by_pid_[fork.child_pid].insert(fork.number);
}

void FollowedForks::remove_child(const ForkRecord& fork) {
    erase(by_child_, fork.child_directory, fork.number);
    if (fork.child_pid != fork.parent_pid)
        erase(by_pid_, fork.child_pid, fork.number);
}

void FollowedForks::remove(const ForkRecord& fork) {
    std::erase_if(order_, [&](const auto& place) { return place.second == fork.number; });
    remove_child(fork);
    erase(by_parent_, fork.parent_directory, fork.number);
    erase(by_pid_, fork.parent_pid, fork.number);
    for (const auto& [page, shared] : fork.shared) {
        const auto place = by_frame_.find(shared.frame);
        if (place == by_frame_.end())
            continue;
        std::erase_if(place->second, [&](const Use& use) { return use.fork == fork.number; });
        if (place->second.empty())
            by_frame_.erase(place);
    }
}

std::vector<u64> FollowedForks::of_directory(u32 directory) const {
    std::set<u64> numbers = of_parent(directory);
    const std::set<u64>& children = of_child(directory);
    numbers.insert(children.begin(), children.end());
    return {numbers.begin(), numbers.end()};
}

std::vector<u64> FollowedForks::of_pid(u32 pid) const {
    const std::set<u64>& numbers = found(by_pid_, pid);
    return {numbers.begin(), numbers.end()};
}

std::vector<FollowedForks::Use> FollowedForks::uses(u32 frame, const ForkStore& forks) const {
    std::vector<Use> named;
    const auto place = by_frame_.find(frame);
    if (place == by_frame_.end())
        return named;
    std::set<std::pair<u32, u32>> parents; // directory and page
    for (auto use = place->second.rbegin(); use != place->second.rend(); ++use) {
        const ForkRecord& fork = *forks.find(use->fork);
        const bool newest = parents.insert({fork.parent_directory, use->page}).second;
        if (newest || !child_left(fork, use->page))
            named.push_back(*use);
    }
    return named;
}

std::vector<u64> FollowedForks::in_order() const {
    std::vector<u64> numbers;
    for (const auto& [place, number] : order_)
        numbers.push_back(number);
    return numbers;
}

void FollowedForks::restore(const std::vector<u64>& in_order, const ForkStore& forks) {
    *this = FollowedForks{};
    for (const u64 number : in_order)
        if (forks.find(number) != nullptr)
            add(number, forks);
}

} // namespace forkscope
