#include "emu/observe/forks/followed_forks.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr u32 kLargeShift = 21; // of the smaller of the large pages: 2 MB

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
        each_list(shared, [&, page = linear](std::vector<Entry>& entries) {
            std::erase_if(entries, [&](const Entry& entry) {
                const ForkRecord& earlier = *forks.find(entry.fork);
                return entry.page == page && earlier.parent_directory == fork.parent_directory &&
                       child_left(earlier, page);
            });
        });
        add_page(fork, linear, places_);
    }
}

template <class Act> void FollowedForks::each_list(const SharedPage& shared, Act act) {
    const bool large = shared.bytes > kPageSize;
    Frames& frames = large ? by_large_frame_ : by_frame_;
    const u32 keys = large ? shared.bytes >> kLargeShift : 1;
    for (u32 i = 0; i < keys; ++i) {
        const auto list = frames.try_emplace((large ? shared.frame >> kLargeShift : shared.frame) + i).first;
        act(list->second);
        if (list->second.empty())
            frames.erase(list);
    }
}

void FollowedForks::add_page(const ForkRecord& fork, u32 page, u64 place) {
    each_list(fork.shared.at(page), [&](std::vector<Entry>& entries) {
        const auto after = std::upper_bound(entries.begin(), entries.end(), place,
                                            [](u64 value, const Entry& entry) { return value < entry.place; });
        entries.insert(after, {place, fork.number, page});
    });
}

u64 FollowedForks::remove_page(const ForkRecord& fork, u32 page) {
    u64 place = 0;
    each_list(fork.shared.at(page), [&](std::vector<Entry>& entries) {
        std::erase_if(entries, [&](const Entry& entry) {
            const bool it = entry.fork == fork.number && entry.page == page;
            place = it ? entry.place : place;
            return it;
        });
    });
    return place;
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
    for (const auto& [page, shared] : fork.shared)
        remove_page(fork, page);
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
    std::vector<Entry> entries;
    if (const auto small = by_frame_.find(frame); small != by_frame_.end())
        entries = small->second;
    if (const auto large = by_large_frame_.find(frame >> kLargeShift); large != by_large_frame_.end()) {
        entries.insert(entries.end(), large->second.begin(), large->second.end());
        std::stable_sort(entries.begin(), entries.end(),
                         [](const Entry& a, const Entry& b) { return a.place < b.place; });
    }
    std::vector<Use> named;
    std::set<std::pair<u32, u32>> parents; // directory and page
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
        const ForkRecord& fork = *forks.find(entry->fork);
        const Use use{entry->fork, entry->page, entry->page + (frame - fork.shared.at(entry->page).frame)};
        const bool newest = parents.insert({fork.parent_directory, use.at}).second;
        if (newest || !child_left(fork, use.page))
            named.push_back(use);
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
