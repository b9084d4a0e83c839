#include "emu/observe/forks/fork_store.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"
#include "emu/observe/forks/fork_archive.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostRecords = u64{1} << 17; // that a section may hold

} // namespace

const ForkRecord* ForkStore::find(u64 number) const {
    const auto found = records_.find(number);
    return found == records_.end() ? nullptr : &*found->second;
}

void ForkStore::index(const ForkRecord& record) {
    by_child_pid_.insert({record.child_pid, record.number});
    by_child_directory_.insert({record.child_directory, record.number});
}

void ForkStore::unindex(const ForkRecord& record) {
    by_child_pid_.erase({record.child_pid, record.number});
    by_child_directory_.erase({record.child_directory, record.number});
}

u64 ForkStore::made(const Index& index, u32 key) {
    const auto after = index.upper_bound({key, ~u64{0}});
    return key != 0 && after != index.begin() && std::prev(after)->first == key ? std::prev(after)->second : 0;
}

ForkRecord& ForkStore::add(ForkRecord record) {
    const u64 number = record.number;
    index(record);
    CopyOnWrite<ForkRecord>& place = records_[number];
    place = CopyOnWrite<ForkRecord>(std::move(record));
    return place.edit();
}

void ForkStore::name_child(u64 number, u32 pid, u32 directory) {
    ForkRecord& record = edit(number);
    unindex(record);
    record.child_pid = pid;
    record.child_directory = directory;
    index(record);
}

// Old forks first lose their lists, then their place. The newest keeps both.
void ForkStore::rest(u64 number, const Limits& limits) {
    if (number == limits.chosen)
        return;
    resting_.insert(number);
    whole_.insert(number);
    const auto with_lists = [this] { return records_.size() - resting_.size() + whole_.size(); };
    while (with_lists() > limits.whole && !whole_.empty() && *whole_.begin() != back().number)
        trim(*whole_.begin());
    while (records_.size() > limits.forks && !resting_.empty() && *resting_.begin() != back().number)
        forget(*resting_.begin());
}

void ForkStore::trim(u64 number) {
    whole_.erase(number);
    if (find(number)->ptes.empty() && find(number)->faults.empty())
        return;
    ForkRecord& fork = edit(number);
    fork.trimmed = true;
    fork.ptes.clear();
    fork.frames.clear();
    fork.flushes.clear();
    fork.cr3_loads.clear();
    fork.faults.clear();
    fork.shared.clear();
    fork.differences.clear();
}

void ForkStore::trim_to(u64 bytes) {
    u64 kept = 0;
    const Records all = records_;
    for (auto record = all.rbegin(); record != all.rend(); ++record) {
        kept += record->second->list_bytes();
        if (kept > bytes)
            trim(record->first);
    }
}

void ForkStore::forget(u64 number) {
    unindex(*records_.at(number));
    resting_.erase(number);
    whole_.erase(number);
    records_.erase(number);
    ++forgotten_;
}

void ForkStore::collect(FaultPool& faults) const {
    for (const auto& [number, record] : records_)
        collect_faults(*record, faults);
}

void ForkStore::serialize(Archive& ar, const FaultPool& faults) {
    ar.field("forgotten", forgotten_);
    std::vector<u64> numbers;
    for (const auto& [number, record] : records_)
        numbers.push_back(number);
    ar.sequence("numbers", numbers, kMostRecords);
    if (ar.loading())
        records_.clear();
    for (const u64 number : numbers) {
        ForkRecord record = ar.loading() ? ForkRecord{} : *records_.at(number);
        record.number = number;
        archive_fork(ar, record, faults);
        if (!ar.good())
            return;
        if (ar.loading() && number != 0)
            records_[number] = CopyOnWrite<ForkRecord>(std::move(record));
    }
    archive_set(ar, "resting", resting_, kMostRecords);
    archive_set(ar, "whole", whole_, kMostRecords);
    if (!ar.loading())
        return;
    for (const SharedSet<u64>* set : {&resting_, &whole_})
        for (const u64 number : *set)
            if (records_.count(number) == 0)
                return ar.fail("no such fork");
    by_child_pid_.clear();
    by_child_directory_.clear();
    for (const auto& [number, record] : records_)
        index(*record);
}

} // namespace forkscope
