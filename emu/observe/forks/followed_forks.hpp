// Owns: which forks may still receive faults, and whom a page, a process or an address space concerns among them.
// Callers: ForkTracer. Promises: derived from the records but for their order; a question costs what it answers.
#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "emu/observe/forks/fork_store.hpp"

namespace forkscope {

class FollowedForks {
  public:
    // A page that a fork left shared.
    struct Use {
        u64 fork = 0; // its number
        u32 page = 0; // linear, of its first byte
        u32 at = 0;   // linear, where the frame lies that was asked for
    };

    void add(u64 number, const ForkStore& forks);
    void remove(const ForkRecord& fork);
    // Before and after its child gets another pid or directory.
    void remove_child(const ForkRecord& fork);
    void add_child(const ForkRecord& fork);
    std::size_t size() const { return order_.size(); }
    // Of those that are followed longest.
    u64 oldest() const { return order_.begin()->second; }

    // Forks that have the directory, or the process, on that side, by number; ended or not.
    const std::set<u64>& of_parent(u32 directory) const { return found(by_parent_, directory); }
    const std::set<u64>& of_child(u32 directory) const { return found(by_child_, directory); }
    std::vector<u64> of_directory(u32 directory) const;
    std::vector<u64> of_pid(u32 pid) const;
    // Who left a frame shared, newest first, on its own or in a large page. A page that a fork's child has left is its
    // parent's alone: of those only what the parent's newest fork left is named.
    std::vector<Use> uses(u32 frame) const;
    // The record says now that the child has ended, or something else of whether it has left the page.
    void child_ended(const ForkRecord& fork);
    void child_moved(const ForkRecord& fork, u32 page);

    // Large pages of a fork become pieces: before its record says so, and after.
    u64 remove_page(const ForkRecord& fork, u32 page);
    void add_page(const ForkRecord& fork, u32 page, u64 place);

    // By number, in the order in which they came to be followed.
    std::vector<u64> in_order() const;
    void restore(const std::vector<u64>& in_order, const ForkStore& forks);

  private:
    using Index = std::map<u32, std::set<u64>>;
    static const std::set<u64>& found(const Index& index, u32 key);
    static void erase(Index& index, u32 key, u64 number);

    std::map<u64, u64> order_; // number by place
    u64 places_ = 0;
    Index by_parent_, by_child_, by_pid_;
    struct Entry {
        u64 place = 0; // of the fork, in order_
        u64 fork = 0;
        u32 page = 0;
        u32 frame = 0;     // the page's, as in the fork's record
        u32 parent = 0;    // its directory
        bool left = false; // by the child
    };
    // In the order of places. Large pages by each 2 MB of theirs.
    using Frames = std::unordered_map<u32, std::vector<Entry>>;
    static std::vector<Use> named(const std::vector<Entry>& entries, u32 frame);
    template <class Act> void each_list(const SharedPage& shared, Act act);
    Frames by_frame_, by_large_frame_;
};

} // namespace forkscope
