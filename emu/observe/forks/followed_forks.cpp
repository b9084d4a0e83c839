#include "emu/observe/forks/followed_forks.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr u32 kLargeShift = 21; // of the smaller of the large pages: 2 MB

bool child_left(const ForkRecord& fork, const SharedPage& shared) { return fork.child_ended || shared.child_settled; }

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
                return entry.page == page && entry.parent == fork.parent_directory && entry.left;
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
    const SharedPage& shared = fork.shared.at(page);
    each_list(shared, [&](std::vector<Entry>& entries) {
        const auto after = std::upper_bound(entries.begin(), entries.end(), place,
                                            [](u64 value, const Entry& entry) { return value < entry.place; });
        entries.insert(after,
                       {place, fork.number, page, shared.frame, fork.parent_directory, child_left(fork, shared)});
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

void FollowedForks::child_moved(const ForkRecord& fork, u32 page) {
    const SharedPage& shared = fork.shared.at(page);
    each_list(shared, [&](std::vector<Entry>& entries) {
        for (Entry& entry : entries)
            if (entry.fork == fork.number && entry.page == page)
                entry.left = child_left(fork, shared);
    });
}

void FollowedForks::child_ended(const ForkRecord& fork) {
    for (const auto& [page, shared] : fork.shared)
        child_moved(fork, page);
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

std::vector<FollowedForks::Use> FollowedForks::uses(u32 frame) const {
    const auto small = by_frame_.find(frame);
    const auto large = by_large_frame_.empty() ? by_large_frame_.end() : by_large_frame_.find(frame >> kLargeShift);
    if (large == by_large_frame_.end())
        return small == by_frame_.end() ? std::vector<Use>{} : named(small->second, frame);
    std::vector<Entry> entries = large->second;
    if (small != by_frame_.end())
        entries.insert(entries.begin(), small->second.begin(), small->second.end());
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.place < b.place; });
    return named(entries, frame);
}

std::vector<FollowedForks::Use> FollowedForks::named(const std::vector<Entry>& entries, u32 frame) {
    std::vector<Use> uses;
    std::set<std::pair<u32, u32>> parents; // directory and page
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
        const u32 at = entry->page + (frame - entry->frame);
        const bool newest = entries.size() == 1 || parents.insert({entry->parent, at}).second;
        if (newest || !entry->left)
            uses.push_back({entry->fork, entry->page, at});
    }
    return uses;
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
