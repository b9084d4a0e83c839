// Owns: the records of forks, by number; which of them still change, and how many are kept whole, or at all.
// Callers: ForkTracer writes, everybody reads. Promises: a value; copies share what does not change; nothing costs more
// with the number of forks; a pointer to a record is good until the next event.
#pragma once

#include <iterator>
#include <utility>
#include <vector>

#include "emu/base/shared/shared_map.hpp"
#include "emu/observe/faults/fault_archive.hpp"
#include "emu/observe/forks/fork_record.hpp"

namespace forkscope {

class ForkStore {
    using Records = SharedMap<u64, CopyOnWrite<ForkRecord>>;

  public:
    struct Limits {
        std::size_t whole = 256;  // forks that keep their lists once nothing more comes to them
        std::size_t forks = 4096; // that are remembered at all
        u64 chosen = 0;           // the fork of this number keeps its lists and its place
    };

    // Over the records, in the order of their numbers.
    class iterator {
      public:
        using iterator_category = std::bidirectional_iterator_tag;
        using value_type = const ForkRecord;
        using difference_type = std::ptrdiff_t;
        using pointer = const ForkRecord*;
        using reference = const ForkRecord&;
        iterator() = default;
        explicit iterator(Records::const_iterator at) : at_(at) {}
        reference operator*() const { return *at_->second; }
        pointer operator->() const { return &**this; }
        iterator& operator++() { return ++at_, *this; }
        iterator& operator--() { return --at_, *this; }
        iterator operator++(int) { return iterator(at_++); }
        iterator operator--(int) { return iterator(at_--); }
        bool operator==(const iterator&) const = default;

      private:
        Records::const_iterator at_;
    };
    iterator begin() const { return iterator(records_.begin()); }
    iterator end() const { return iterator(records_.end()); }
    auto rbegin() const { return std::make_reverse_iterator(end()); }
    auto rend() const { return std::make_reverse_iterator(begin()); }
    bool empty() const { return records_.empty(); }
    std::size_t size() const { return records_.size(); }
    const ForkRecord& front() const { return *records_.begin()->second; }
    const ForkRecord& back() const { return *records_.rbegin()->second; }

    // nullptr: none of that number, or forgotten.
    const ForkRecord* find(u64 number) const;
    // That was made.
    ForkRecord& edit(u64 number) { return records_.edit(number).edit(); }
    ForkRecord& add(ForkRecord record);
    // Its child has got a pid or a directory.
    void name_child(u64 number, u32 pid, u32 directory);
    // Nothing more will come to it: its lists, and later itself, may be dropped.
    void rest(u64 number, const Limits& limits);
    // The last fork that made a process, by pid or by directory; 0: none that is remembered.
    u64 maker_of_pid(u32 pid) const { return made(by_child_pid_, pid); }
    u64 maker_of_directory(u32 directory) const { return made(by_child_directory_, directory); }
    u64 forgotten() const { return forgotten_; }
    // The newest forks keep their lists, as far as so much memory reaches.
    void trim_to(u64 bytes);

    void serialize(Archive& ar, const FaultPool& faults);
    // Adds the faults of all records.
    void collect(FaultPool& faults) const;
    auto held() const { return std::tie(records_, resting_, whole_, by_child_pid_, by_child_directory_); }

  private:
    using Index = SharedSet<std::pair<u32, u64>>; // key and number
    static u64 made(const Index& index, u32 key);
    void index(const ForkRecord& record);
    void unindex(const ForkRecord& record);
    void trim(u64 number);
    void forget(u64 number);

    Records records_;
    SharedSet<u64> resting_, whole_; // at rest; and with their lists
    u64 forgotten_ = 0;
    Index by_child_pid_, by_child_directory_; // derived
};

} // namespace forkscope
